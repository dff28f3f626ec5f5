#!/usr/bin/env bash
# nats-server v2.15.2, nats.go v1.55.0: a late +WPI undoes the delay of a -NAK.
#
# Expected: redelivery after the 500 ms that the -NAK asked for. The message was given back: a
# heartbeat of the old holder that was already on its way has nothing to extend.
#
# Seen: the message comes after AckWait, 3 s here, counted from the +WPI: a back-off turns into
# the crash timeout.
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
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "JOBS", Subjects: []string{"jobs"}})
	if err != nil {
		return false, err
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy, AckWait: 3 * time.Second})
	if err != nil {
		return false, err
	}
	var waited []time.Duration
	for _, late := range []bool{false, true} {
		if _, err := js.Publish(ctx, "jobs", nil); err != nil {
			return false, err
		}
		held, err := consumer.Next()
		if err != nil {
			return false, err
		}
		start := time.Now()
		words := []string{`-NAK {"delay": 500000000}`}
		if late {
			words = append(words, "+WPI")
		}
		for _, word := range words {
			if err := nc.Publish(held.Reply(), []byte(word)); err != nil {
				return false, err
			}
		}
		again, err := consumer.Next(jetstream.FetchMaxWait(10 * time.Second))
		if err != nil {
			return false, err
		}
		waited = append(waited, time.Since(start))
		fmt.Printf("%q: again after %.1f s\n", words, time.Since(start).Seconds())
		if err := again.DoubleAck(ctx); err != nil {
			return false, err
		}
	}
	return waited[0] < 2*time.Second && waited[1] > 2*time.Second, nil
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
