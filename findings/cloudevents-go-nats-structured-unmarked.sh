#!/usr/bin/env bash
# CloudEvents SDK for Go v2.16.2 (protocol/nats_jetstream/v2): a structured event is sent
# without a Content-Type, by which receivers would know it.
#
# Expected: Content-Type: application/cloudevents+json. The CloudEvents NATS binding (1.0.3-wip,
# 3): with that header the message is in structured mode, otherwise it is in binary mode.
#
# Seen: no header at all. A receiver that keeps to the binding takes the message for a binary
# one without attributes. (This SDK takes each message without ce-specversion for structured, so
# it reads its own.)
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
	if err := sender.Send(binding.WithForceStructured(ctx), binding.ToMessage(&event)); err != nil {
		return false, err
	}
	stored, err := stream.GetMsg(ctx, 1)
	if err != nil {
		return false, err
	}
	fmt.Println("payload:", string(stored.Data))
	fmt.Println("headers:", stored.Header)
	return len(stored.Header) == 0 && len(stored.Data) > 0, nil
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
