package fleet

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/internal/nats/embednats"
	"pelton/schema"
)

// Whatever comes on the fleet's subjects, from whomever, the coordinator's books
// and a member's hold: no more is given back than was given, and nothing breaks.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		`{"epoch":1,"seq":1,"state":{"got":0},"asks":[{"id":1,"deployment":"d","limits":{"parallel":1}}]}`,
		`{"epoch":1,"seq":2,"done":[{"epoch":1,"n":1,"sent":true}],"cancel":[1,2]}`,
		`{"epoch":1,"seq":1,"state":{"held":[{"deployment":"d","permits":[[1,1,5]]}],"waiting":[7],"cooldowns":[{"deployment":"d","until":"2099-01-01T00:00:00Z"}]}}`,
		`{"epoch":1,"seq":1,"state":{},"asks":[{"id":1,"deployment":"d","limits":{"rpm":-5,"tpm":-1,"parallel":-9},"tokens":-100,"once":true}]}`,
		`{"epoch":1,"bye":true}`, `{"epoch":1,"state":{"held":[{"deployment":"","permits":[[],[1],[1,2,3,4]]}]}}`,
		`{"epoch":1,"lease_us":-1,"ack":18446744073709551615,"granted":9,"answers":[{"ask":1,"n":1,"after_us":-7}],"missing":[1],"room":["d"],"hello":true}`,
		`{"deployment":"d","until":"2026-01-01T00:00:00Z","at":"2099-01-01T00:00:00Z","fatal":true}`,
		`{"id":"other","epoch":18446744073709551615}`, `null`, `[]`, ``, `{`, `"x"`,
	} {
		f.Add("member", []byte(seed))
	}
	srv, err := embednats.Start(embednats.Options{StoreDir: f.TempDir(), Logger: zerolog.Nop()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(srv.Close)
	nc, err := connect(srv.ClientURL())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(nc.Close)
	fleet, err := Join(context.Background(), nc, schema.Names{}, "f", zerolog.Nop())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(fleet.Close)
	f.Fuzz(func(t *testing.T, from string, data []byte) {
		c := newCoordinator(fleet, &lease{epoch: 1, until: time.Now().Add(time.Hour), first: true}, time.Now())
		defer c.end()
		m := &nats.Msg{Subject: "pelton.fleet.up." + from, Data: data}
		c.receive(m)
		c.receive(m)
		fleet.receive(m)
		fleet.receiveCooldown(m)
		c.mu.Lock()
		defer c.mu.Unlock()
		for name, a := range c.accounts {
			if a.inUse < 0 {
				t.Errorf("%q: %d permits of %s are in use", data, a.inUse, name)
			}
		}
	})
}
