package nats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"pelton/jobs/store"
	"pelton/schema"
)

// three starts the three nodes of cluster.conf, with addresses of this machine in
// the place of those in the file.
func three(t *testing.T) []*server.Server {
	t.Helper()
	text, err := os.ReadFile("cluster.conf")
	if err != nil {
		t.Fatal(err)
	}
	var routes [3]string
	for i := range routes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		routes[i] = l.Addr().String()
		l.Close()
	}
	var nodes []*server.Server
	for i := range 3 {
		name := fmt.Sprintf("nats-%d", i)
		t.Setenv("NATS_NODE", name)
		change := strings.NewReplacer("0.0.0.0:4222", "127.0.0.1:-1", "0.0.0.0:8222", "127.0.0.1:-1", "0.0.0.0:6222", routes[i],
			"/data", filepath.ToSlash(t.TempDir()), "nats-0:6222", routes[0], "nats-1:6222", routes[1], "nats-2:6222", routes[2])
		path := filepath.Join(t.TempDir(), "nats.conf")
		if err := os.WriteFile(path, []byte(change.Replace(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
		opts, err := server.ProcessConfigFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if opts.ServerName != name || opts.Cluster.Name != "pelton" || len(opts.Routes) != 3 || !opts.JetStream {
			t.Fatalf("node %s of %s, %d routes", opts.ServerName, opts.Cluster.Name, len(opts.Routes))
		}
		opts.NoSigs, opts.NoLog = true, true
		node, err := server.NewServer(opts)
		if err != nil {
			t.Fatal(err)
		}
		node.Start()
		t.Cleanup(func() {
			node.Shutdown()
			node.WaitForShutdown()
		})
		nodes = append(nodes, node)
	}
	for _, node := range nodes {
		if !node.ReadyForConnections(30 * time.Second) {
			t.Fatal("a node does not listen")
		}
	}
	return nodes
}

// lag asks a server how a consumer stands, as KEDA's scaler does: what is pending
// and what is not acknowledged, by the consumer's leader.
func lag(t *testing.T, node *server.Server, stream, consumer string) (n int, found bool) {
	t.Helper()
	answer, err := http.Get("http://" + node.MonitorAddr().String() + "/jsz?acc=$G&consumers=true&config=true")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var jsz struct {
		Accounts []struct {
			Streams []struct {
				Name      string `json:"name"`
				Consumers []struct {
					Name    string `json:"name"`
					Pending int    `json:"num_pending"`
					Unacked int    `json:"num_ack_pending"`
					Cluster struct {
						Leader string `json:"leader"`
					} `json:"cluster"`
				} `json:"consumer_detail"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&jsz); err != nil {
		t.Fatal(err)
	}
	for _, a := range jsz.Accounts {
		for _, s := range a.Streams {
			for _, c := range s.Consumers {
				if s.Name == stream && c.Name == consumer && c.Cluster.Leader == node.Name() {
					return c.Pending + c.Unacked, true
				}
			}
		}
	}
	return 0, false
}

// The three nodes of the file are one cluster, on which everything is kept three
// times; and a job that nobody has taken shows where a scaler from zero looks.
func TestThreeNodes(t *testing.T) {
	nodes := three(t)
	nc, err := nats.Connect(nodes[0].ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	broker, err := store.Open(nc, store.Settings{Names: schema.Names{Prefix: "pelton"}, Replicas: 3})
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Setup(ctx, map[string]int{"default": 8}); err != nil {
		t.Fatal(err)
	}
	names := broker.Names
	scaler, err := os.ReadFile("../kubernetes/components/keda/scaledobject.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"stream: " + names.JobsStream() + "\n", "consumer: " + names.OwnersConsumer("default") + "\n", "account: $G\n"} {
		if !strings.Contains(string(scaler), line) {
			t.Errorf("scaledobject.yaml lacks %q", line)
		}
	}
	await(t, "the consumer is known, and idle", func() bool { n, ok := lagOf(t, nodes, names); return ok && n == 0 })
	if _, err := nc.RequestWithContext(ctx, "pelton.jobs.default", []byte(`{"requests":[{"model":"m","messages":[]}]}`)); err != nil {
		t.Fatal(err)
	}
	await(t, "the job is waiting", func() bool { n, ok := lagOf(t, nodes, names); return ok && n == 1 })
}

func lagOf(t *testing.T, nodes []*server.Server, names schema.Names) (n int, found bool) {
	t.Helper()
	for _, node := range nodes {
		if n, found = lag(t, node, names.JobsStream(), names.OwnersConsumer("default")); found {
			return n, true
		}
	}
	return 0, false
}

// await asks until it is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("it does not come to this: %s", what)
		}
	}
}
