#!/usr/bin/env bash
# CloudEvents SDK for Go v2.16.2 (protocol/nats_jetstream/v2): attribute values go into NATS
# headers as they are, and come out as they came.
#
# Expected: "Euro%20%E2%82%AC" on the wire for "Euro €", and back again on receipt. The
# CloudEvents NATS binding (1.0.3-wip, 3.1.3.2): space, double quote, percent and what is not
# printable ASCII must be percent-encoded in binary mode, and decoded once.
#
# Seen: the raw text is sent, so a conforming receiver refuses or misreads it ("100%25" becomes
# "100%"); and the text of a conforming sender is handed to the program still encoded.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	cejs "github.com/cloudevents/sdk-go/protocol/nats_jetstream/v2"
	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var ctx = context.Background()

func start(dir string) (*server.Server, error) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		return nil, errors.New("the server does not listen")
	}
	return s, nil
}

func check(nc *nats.Conn, js jetstream.JetStream) (bool, error) {
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "CE", Subjects: []string{"ce.>"}})
	if err != nil {
		return false, err
	}
	sender, err := cejs.NewSenderFromConn(nc, "CE", "ce.a", nil)
	if err != nil {
		return false, err
	}
	event := cloudevents.NewEvent()
	event.SetID("1")
	event.SetSource("check")
	event.SetType("t")
	event.SetSubject("Euro €")
	if err := sender.Send(ctx, binding.ToMessage(&event)); err != nil {
		return false, err
	}
	stored, err := stream.GetMsg(ctx, 1)
	if err != nil {
		return false, err
	}
	sent := stored.Header.Get("ce-subject")
	foreign := &nats.Msg{Header: nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {"2"}, "ce-source": {"check"}, "ce-type": {"t"}, "ce-subject": {"Euro%20%E2%82%AC"},
	}}
	read, err := binding.ToEvent(ctx, cejs.NewMessage(foreign))
	if err != nil {
		return false, err
	}
	fmt.Printf("sent %q, in the header: %q\n", event.Subject(), sent)
	fmt.Printf("in the header %q, read: %q\n", "Euro%20%E2%82%AC", read.Subject())
	return sent == "Euro €" && read.Subject() == "Euro%20%E2%82%AC", nil
}

func main() {
	s, err := start("store")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	js, _ := jetstream.New(nc)
	same, err := check(nc, js)
	nc.Close()
	s.Shutdown()
	if err != nil || !same {
		fmt.Println("The behaviour has changed.", err)
		os.Exit(1)
	}
}
GO
go mod init finding >go.log 2>&1
timeout 500 go get github.com/nats-io/nats-server/v2@v2.15.2 github.com/nats-io/nats.go@v1.55.0 \
	github.com/cloudevents/sdk-go/protocol/nats_jetstream/v2@v2.16.2 github.com/cloudevents/sdk-go/v2@v2.16.2 >>go.log 2>&1
timeout 500 go build -o check . >>go.log 2>&1 || { cat go.log; exit 1; }
timeout 60 ./check
