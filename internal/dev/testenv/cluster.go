package testenv

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pelton/internal/dev/tcpproxy"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// Node is a server that is a member of a cluster, as a [Role] of its own.
type Node struct {
	Name   string
	Store  string
	Routes []string // to the other members: their route URLs
}

// serve runs the node until ctx ends, then shuts it down in good order. It
// says where it listens for clients, for routes and for questions about its health.
func (n *Node) serve(ctx context.Context) error {
	opts := &server.Options{
		ServerName: n.Name, Host: "127.0.0.1", Port: server.RANDOM_PORT,
		HTTPHost: "127.0.0.1", HTTPPort: server.RANDOM_PORT,
		JetStream: true, StoreDir: n.Store, MaxPayload: 8 << 20, NoSigs: true, DisableJetStreamBanner: true,
		// Members and clients know each other by the proxies before them, and by
		// nothing else: what is cut stays cut.
		Cluster: server.ClusterOpts{
			Name: "pelton-test", Host: "127.0.0.1", Port: server.RANDOM_PORT, NoAdvertise: true, Advertise: nowhere,
		},
	}
	for _, route := range n.Routes {
		u, err := url.Parse(route)
		if err != nil {
			return err
		}
		opts.Routes = append(opts.Routes, u)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(30 * time.Second) {
		return errors.New("the node does not listen")
	}
	fmt.Println("ready", srv.Addr(), srv.ClusterAddr(), srv.MonitorAddr()) //nolint:forbidigo // the word to the parent
	<-ctx.Done()
	return nil
}

// nowhere is the address that members tell each other: nobody listens there.
const nowhere = "127.0.0.1:1"

// Cluster is three nodes, each in a process of its own with a store of its own.
// Clients and routes go through proxies, so that addresses outlive processes and
// connections can be cut.
type Cluster struct {
	T     testing.TB
	Nodes [3]*Member
}

// Member is one node of a [Cluster] and what leads to it.
type Member struct {
	Name    string
	role    Role
	process *Process
	clients *tcpproxy.Proxy
	routes  map[string]*tcpproxy.Proxy // from each other member to this one, by its name
	health  string
}

// StartCluster starts three nodes and returns when all are healthy.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{T: t}
	dir := t.TempDir()
	for i := range c.Nodes {
		name := string(rune('a' + i))
		c.Nodes[i] = &Member{Name: name, clients: NewProxy(t), routes: map[string]*tcpproxy.Proxy{},
			role: Role{Name: name, Node: &Node{Name: name, Store: filepath.Join(dir, name)}}}
	}
	for _, to := range c.Nodes {
		for _, from := range c.Nodes {
			if from != to {
				p := NewProxy(t)
				to.routes[from.Name] = p
				from.role.Node.Routes = append(from.role.Node.Routes, "nats://"+p.Addr())
			}
		}
	}
	for _, m := range c.Nodes {
		c.Start(m)
	}
	for _, m := range c.Nodes {
		c.AwaitHealthy(m)
	}
	return c
}

// URL is where a client connects that may use all nodes; of nodes, if any are
// given, only those.
func (c *Cluster) URL(nodes ...*Member) string {
	if len(nodes) == 0 {
		nodes = c.Nodes[:]
	}
	var urls []string
	for _, m := range nodes {
		urls = append(urls, "nats://"+m.clients.Addr())
	}
	return strings.Join(urls, ",")
}

// Start runs a node, for the first time or again.
func (c *Cluster) Start(m *Member) {
	c.T.Helper()
	m.process = StartProcess(c.T, m.role)
	at := strings.Fields(m.process.URL)
	if len(at) != 3 {
		c.T.Fatalf("node %s says it listens on %q", m.Name, m.process.URL)
	}
	m.clients.Point(at[0])
	for _, p := range m.routes {
		p.Point(at[1])
	}
	m.health = "http://" + at[2] + "/healthz"
}

// Kill ends a node as a power cut would.
func (c *Cluster) Kill(m *Member) { m.process.Kill() }

// Stop ends a node in good order.
func (c *Cluster) Stop(m *Member) { m.process.Stop() }

// Pause stops a node in its tracks, its connections left open; Resume lets it go on.
func (c *Cluster) Pause(m *Member) { m.process.Pause() }

// Resume lets a paused node go on.
func (c *Cluster) Resume(m *Member) { m.process.Resume() }

// Isolate cuts a node off from the other two. Its clients keep it.
func (c *Cluster) Isolate(m *Member) {
	for _, p := range c.routesOf(m) {
		p.Cut()
	}
}

// Rejoin undoes Isolate.
func (c *Cluster) Rejoin(m *Member) {
	for _, p := range c.routesOf(m) {
		p.Heal()
	}
}

func (c *Cluster) routesOf(m *Member) []*tcpproxy.Proxy {
	var list []*tcpproxy.Proxy
	for _, to := range c.Nodes {
		for from, p := range to.routes {
			if to == m || from == m.Name {
				list = append(list, p)
			}
		}
	}
	return list
}

// AwaitHealthy returns when the node calls itself healthy: its streams and
// consumers have caught up. An operator who restarts nodes one by one waits for
// the same.
func (c *Cluster) AwaitHealthy(m *Member) {
	c.T.Helper()
	c.await("node "+m.Name+" to be healthy", func(ctx context.Context) bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.health, nil)
		if err != nil {
			c.T.Fatal(err)
		}
		request.Close = true // a kept connection would outlive the test
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

// Leader returns the node that leads a stream, or a consumer of it where one is named.
func (c *Cluster) Leader(js jetstream.JetStream, stream, consumer string) *Member {
	c.T.Helper()
	var leader *Member
	c.await("a leader of "+stream+" "+consumer, func(ctx context.Context) bool {
		name := ""
		if consumer == "" {
			if s, err := js.Stream(ctx, stream); err == nil && s.CachedInfo().Cluster != nil {
				name = s.CachedInfo().Cluster.Leader
			}
		} else if s, err := js.Consumer(ctx, stream, consumer); err == nil && s.CachedInfo().Cluster != nil {
			name = s.CachedInfo().Cluster.Leader
		}
		for _, m := range c.Nodes {
			if m.Name == name {
				leader = m
			}
		}
		return leader != nil
	})
	return leader
}

// await polls until cond holds, for a minute at most.
func (c *Cluster) await(what string, cond func(context.Context) bool) {
	c.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		one, end := context.WithTimeout(ctx, 5*time.Second)
		ok := cond(one)
		end()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			c.T.Fatalf("waited a minute in vain for %s", what)
		}
	}
}
