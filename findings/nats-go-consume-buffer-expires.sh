#!/usr/bin/env bash
# nats-server v2.15.2, nats.go v1.55.0: Consume handles a message again whose time ran out in
# its own buffer.
#
# Expected: each of 30 messages once: the handler takes 0.1 s and AckWait is 1 s. The client
# knows when each message came and what AckWait is (the consumer's info is in its hands).
#
# Seen: the client takes up to 500 messages at once, and AckWait counts from there. Those that
# wait behind ten others are delivered a second time, and the handler gets both. For a handler
# that calls a paid API each is a second bill; PullMaxMessages(1) prevents it.
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

func check(_ *nats.Conn, js jetstream.JetStream) (bool, error) {
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "JOBS", Subjects: []string{"jobs"}, Retention: jetstream.WorkQueuePolicy})
	if err != nil {
		return false, err
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "workers", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Second})
	if err != nil {
		return false, err
	}
	run := func(options ...jetstream.PullConsumeOpt) (int, error) {
		for range 30 {
			if _, err := js.Publish(ctx, "jobs", nil); err != nil {
				return 0, err
			}
		}
		handled := make(chan struct{}, 1000)
		consuming, err := consumer.Consume(func(m jetstream.Msg) {
			time.Sleep(100 * time.Millisecond) // the work
			_ = m.DoubleAck(ctx)
			handled <- struct{}{}
		}, options...)
		if err != nil {
			return 0, err
		}
		defer consuming.Stop()
		for n := 0; ; n++ {
			select {
			case <-handled:
			case <-time.After(2500 * time.Millisecond):
				return n, nil
			}
		}
	}
	byDefault, err := run()
	if err != nil {
		return false, err
	}
	one, err := run(jetstream.PullMaxMessages(1))
	fmt.Println("30 messages; handled by default:", byDefault, "- with PullMaxMessages(1):", one)
	return byDefault > 30 && one == 30, err
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
