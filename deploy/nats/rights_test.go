// Package nats_test starts a server with the very files of this directory and
// tries what each role may and may not do.
package nats_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/internal/fleet"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/router"
	"pelton/schema"
	"pelton/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.Leaks()...) }

var queues = map[string]int{"default": 8, "bulk": 4}

// smallMessages makes bodies go through the object store.
func smallMessages(o *server.Options) { o.MaxPayload, o.MaxPending = 128<<10, 64<<20 }

func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	t.Cleanup(cancel)
	return c
}

func broker(t *testing.T, nc *nats.Conn, change ...func(*store.Settings)) *store.Store {
	t.Helper()
	set := store.Settings{Log: testenv.Logger(t), ReplyAllow: []string{"answers.>"}}
	for _, f := range change {
		f(&set)
	}
	b, err := store.Open(nc, set)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func client(t *testing.T, nc *nats.Conn) *jobs.Client {
	t.Helper()
	c, err := jobs.NewClient(nc, jobs.WithLogger(testenv.Logger(t)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// setUp makes a tenant's streams, as `pelton check --create` does.
func setUp(t *testing.T, s *testenv.Tenants, tenant string) *nats.Conn {
	t.Helper()
	admin := s.Conn(tenant, "admin")
	if err := broker(t, admin).Setup(ctx(t), queues); err != nil {
		t.Fatal(err)
	}
	if err := fleet.Setup(ctx(t), admin, schema.Names{}, 1); err != nil {
		t.Fatal(err)
	}
	return admin
}

// work starts a worker, as `pelton worker` does, that ends with the test.
func work(t *testing.T, s *testenv.Tenants, nc *nats.Conn, change ...func(*store.Settings)) {
	t.Helper()
	llm, err := faultyllm.New(faultyllm.Config{})
	if err == nil {
		err = llm.Start("")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = llm.Close() })
	b := broker(t, nc, change...)
	if err := b.Setup(ctx(t), queues); err != nil {
		t.Fatal(err)
	}
	all, err := fleet.Join(ctx(t), nc, schema.Names{}, "worker", testenv.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(all.Close)
	upstreams, err := router.New(&router.Config{Deployments: []router.Deployment{{
		ID: "mock", Group: "*", Model: "*", BaseURL: llm.URL(), MaxParallel: 8,
	}}}, router.WithLimiter(all))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(upstreams.Close)
	all.OnRoom(upstreams.Wake)
	soft, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- worker.Run(soft, soft, worker.Config{Store: b, Router: upstreams, Queues: queues, Name: "worker",
			Log: testenv.Logger(t), Ready: func() { close(ready) }})
	}()
	t.Cleanup(func() { stop(); <-ended })
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
}
