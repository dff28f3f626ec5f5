package benchmark

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"pelton/internal/faultyllm"
	"pelton/internal/nats/embednats"
)

// upstream is the part of the model: the mock, with a bound on what it remembers.
type upstream struct{ server *faultyllm.Server }

// keepTimes is enough to know the first call of a start of the command.
const keepTimes = 64

func newUpstream() (*upstream, error) {
	server, err := faultyllm.New(faultyllm.Config{MaxIdentities: 1, KeepTimes: keepTimes})
	if err != nil {
		return nil, err
	}
	return &upstream{server}, server.Start("")
}

func (u *upstream) url() string { return u.server.URL() }
func (u *upstream) close()      { _ = u.server.Close() }

func (u *upstream) do(ctx context.Context, t task) (answer, error) {
	switch t.Do {
	case doBusy:
		return answer{}, u.server.Wait(ctx, func(s faultyllm.Stats) bool { return s.InFlight >= t.Requests })
	case doFree:
		err := u.server.Wait(ctx, func(s faultyllm.Stats) bool { return s.InFlight == 0 })
		return answer{At: time.Now()}, err
	case doLatency:
		u.server.Reset()
		return answer{}, u.server.Update(func(c *faultyllm.Config) { c.Latency = t.Latency })
	case doUsage:
		a := answer{Used: used(), Count: u.server.Stats().Calls}
		if times := u.server.Arrivals(); len(times) > 0 {
			a.First = times[0]
		}
		return a, nil
	}
	return answer{}, fmt.Errorf("%s: no such task", t.Do)
}

// natsServer is the part of a NATS server in a process of its own.
type natsServer struct{ server *embednats.Server }

func newNATS(dir string) (*natsServer, error) {
	server, err := embednats.Start(embednats.Options{StoreDir: dir, Logger: zerolog.Nop()})
	if err != nil {
		return nil, err
	}
	return &natsServer{server}, nil
}

func (n *natsServer) url() string { return n.server.ClientURL() }
func (n *natsServer) close()      { n.server.Close() }

func (n *natsServer) do(_ context.Context, t task) (answer, error) {
	if t.Do != doUsage {
		return answer{}, fmt.Errorf("%s: no such task", t.Do)
	}
	return answer{Used: used()}, nil
}
