#!/usr/bin/env bash
# nats-server v2.15.2, nats.go v1.55.0: a message that used up MaxDeliver stays in a WorkQueue
# stream for good.
#
# Expected: the message leaves the stream, as after +TERM: no consumer will get it again, and
# "work queue" means that a message is kept until it has been consumed.
#
# Seen: it is counted in the stream and not in NumPending, and a stream with MaxMsgs and
# DiscardNew stays full: each new message is refused, while the consumer has nothing to deliver.
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
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "JOBS", Subjects: []string{"jobs"}, Retention: jetstream.WorkQueuePolicy, MaxMsgs: 1, Discard: jetstream.DiscardNew,
	})
	if err != nil {
		return false, err
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "workers", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 2})
	if err != nil {
		return false, err
	}
	if _, err := js.Publish(ctx, "jobs", nil); err != nil {
		return false, err
	}
	for range 2 {
		held, err := consumer.Next()
		if err != nil {
			return false, err
		}
		if err := held.Nak(); err != nil {
			return false, err
		}
	}
	_, none := consumer.Next(jetstream.FetchMaxWait(2 * time.Second))
	state, _ := stream.Info(ctx)
	info, _ := consumer.Info(ctx)
	_, refused := js.Publish(ctx, "jobs", nil)
	fmt.Printf("delivered twice; next: %v; in the stream %d, pending %d\n", none, state.State.Msgs, info.NumPending)
	fmt.Println("the next publish:", refused)
	return errors.Is(none, nats.ErrTimeout) && state.State.Msgs == 1 && info.NumPending == 0 && refused != nil, nil
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
