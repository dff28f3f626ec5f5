#!/usr/bin/env bash
# nats-server v2.15.2, nats.go v1.55.0: a confirmed +WPI does not say that the message is still
# yours.
#
# Expected: no answer, or an error: +WPI extends the time of a message in work, and this one has
# been acknowledged. With a reply subject the server confirms acknowledgements, which is how a
# worker can learn that its lease holds.
#
# Seen: the same empty confirmation as for a message in work. A worker that lost its message to
# another one, which finished it, is told that all is well and goes on with a call that is paid
# twice. -NAK is confirmed as well.
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
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "JOBS", Subjects: []string{"jobs"}, Retention: jetstream.WorkQueuePolicy})
	if err != nil {
		return false, err
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "workers", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		return false, err
	}
	if _, err := js.Publish(ctx, "jobs", nil); err != nil {
		return false, err
	}
	held, err := consumer.Next()
	if err != nil {
		return false, err
	}
	confirmed := func(word string) bool {
		answer, err := nc.Request(held.Reply(), []byte(word), 2*time.Second)
		info, _ := stream.Info(ctx)
		fmt.Printf("%s: confirmed %v, messages in the stream %d\n", word, err == nil && len(answer.Data) == 0, info.State.Msgs)
		return err == nil
	}
	return confirmed("+WPI") && confirmed("+ACK") && confirmed("+WPI") && confirmed("-NAK"), nil
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
timeout 500 go get github.com/nats-io/nats-server/v2@v2.15.2 github.com/nats-io/nats.go@v1.55.0 >>go.log 2>&1
timeout 500 go build -o check . >>go.log 2>&1 || { cat go.log; exit 1; }
timeout 60 ./check
