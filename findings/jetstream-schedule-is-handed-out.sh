#!/usr/bin/env bash
# nats-server v2.15.2, nats.go v1.55.0: a scheduled message of a WorkQueue stream is given to
# the workers before its time.
#
# Expected: the schedule stays with the server until it fires and only the message that it
# makes, on the target subject, is delivered.
#
# Seen: a consumer without a filter gets the schedule itself at once, as a job with an empty
# body, and its acknowledgement deletes it: it never fires.
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
		Name: "JOBS", Subjects: []string{"jobs.>"}, Retention: jetstream.WorkQueuePolicy, AllowMsgSchedules: true,
	})
	if err != nil {
		return false, err
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "workers", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		return false, err
	}
	later := nats.NewMsg("jobs.later")
	later.Header.Set("Nats-Schedule", "@at "+time.Now().Add(3*time.Second).UTC().Format(time.RFC3339Nano))
	later.Header.Set("Nats-Schedule-Target", "jobs.now")
	if _, err := js.PublishMsg(ctx, later); err != nil {
		return false, err
	}
	early, err := consumer.Next(jetstream.FetchMaxWait(2 * time.Second))
	if err != nil {
		return false, err
	}
	fmt.Println("delivered before its time, on", early.Subject())
	if err := early.DoubleAck(ctx); err != nil {
		return false, err
	}
	_, never := consumer.Next(jetstream.FetchMaxWait(6 * time.Second))
	fmt.Println("at its time and 3 s later:", never)
	return early.Subject() == "jobs.later" && errors.Is(never, nats.ErrTimeout), nil
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
