#!/usr/bin/env bash
# nats-server v2.15.2, nats.go v1.55.0: a Nats-Msg-Id refuses a message whose first copy is
# gone.
#
# Expected: a second store after the first message was purged, and one per subject: the
# documentation speaks of discarding duplicates, and there is nothing left to be a duplicate of.
#
# Seen: within the window (2 minutes by default) the publish is acknowledged with duplicate true
# and the number of a message that is not there. The ids are the stream's, not the subject's:
# the same id on another subject is refused too. No error: the work is lost unless the publisher
# looks at duplicate.
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
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "JOBS", Subjects: []string{"jobs.*"}})
	if err != nil {
		return false, err
	}
	publish := func(subject string) bool {
		ack, err := js.Publish(ctx, subject, []byte("work"), jetstream.WithMsgID("r1"))
		if err != nil {
			fmt.Println(subject, err)
			return false
		}
		info, _ := stream.Info(ctx)
		fmt.Printf("%s: acknowledged as %d, duplicate %v; the stream holds %d\n", subject, ack.Sequence, ack.Duplicate, info.State.Msgs)
		return ack.Duplicate
	}
	first, other := publish("jobs.a"), publish("jobs.b")
	if err := stream.Purge(ctx); err != nil {
		return false, err
	}
	fmt.Println("purged")
	return !first && other && publish("jobs.a"), nil
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
