package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/child"
	"pelton/internal/dev/tcpproxy"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/schema"
)

// round is one set of processes, from their start to the audit.
type round struct {
	n      int
	seed   uint64
	shape  Shape
	binary string
	dir    string
	say    func(format string, args ...any)

	timeout int // seconds of a call

	llm     *faultyllm.Server
	server  *child.Process // nil in an embedded round
	address string         // of the server, once it has one
	seats   []*seat
	log     io.Writer

	admin   *nats.Conn // straight to the server
	client  *jobs.Client
	reading *tcpproxy.Proxy // between the server and all readers
	readers *nats.Conn      // through it

	mu     sync.Mutex
	broker bool // a fault of the broker or its store is under way
	faults []Fault
	jobs   []*running
	live   []*reader
}

// seat is the place of one worker: it is killed and started again.
type seat struct {
	n     int
	life  int
	name  string // of the present life
	proc  *child.Process
	proxy *tcpproxy.Proxy // nil for the worker that is the server
	busy  bool            // a fault of it is under way
}

// running is a job that was submitted.
type running struct {
	order
	cancelled bool
	ended     chan struct{}
}

// config is what all workers of all rounds are given: three deployments, so that
// one that answers 429 and is left alone for a second does not stop the others,
// and calls that are given up after a while.
func config(upstream string, timeout int) string {
	var text strings.Builder
	text.WriteString("model_list:\n")
	for _, id := range []string{"a", "b", "c"} {
		fmt.Fprintf(&text, `  - model_name: "*"
    litellm_params: {model: openai/*, api_base: %q, api_key: os.environ/OPENAI_API_KEY}
    model_info: {id: %s}
`, upstream, id)
	}
	fmt.Fprintf(&text, "router_settings: {num_retries: 5, timeout: %d, cooldown_time: 1}\n", timeout)
	return text.String()
}

// begin starts everything.
func (r *round) begin(ctx context.Context) (err error) {
	log, err := os.Create(filepath.Join(r.dir, "processes.log"))
	if err != nil {
		return err
	}
	r.log = log
	if r.llm == nil {
		if r.llm, err = newUpstream(r.seed); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(r.dir, "config.yaml"), []byte(config(r.llm.URL(), r.timeout)), 0o600); err != nil {
		return err
	}
	for n := range r.shape.Workers {
		r.seats = append(r.seats, &seat{n: n})
	}
	if r.shape.Embedded {
		err = r.startSeat(ctx, r.seats[0])
	} else {
		err = r.startServer(ctx)
	}
	if err != nil {
		return err
	}
	for _, s := range r.seats {
		if s.proc != nil {
			continue
		}
		if s.proxy, err = tcpproxy.Listen(r.address); err != nil {
			return err
		}
		if err := r.startSeat(ctx, s); err != nil {
			return err
		}
	}
	if r.reading, err = tcpproxy.Listen(r.address); err != nil {
		return err
	}
	if r.admin, err = dial("nats://" + r.address); err != nil {
		return err
	}
	if r.readers, err = dial("nats://" + r.reading.Addr()); err != nil {
		return err
	}
	r.client, err = jobs.NewClient(r.admin)
	return err
}

func dial(url string) (*nats.Conn, error) {
	return nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
}

// startServer starts the server of its own, at the address it had before.
func (r *round) startServer(ctx context.Context) error {
	p, at, err := startRole(ctx, r.log, role{
		Server: filepath.Join(r.dir, "store"), Port: r.port(), MaxStore: r.shape.MaxStore, Sync: r.shape.Sync,
	})
	if err != nil {
		return fmt.Errorf("NATS server: %w", err)
	}
	r.server = p
	return r.setAddress(at)
}

func (r *round) setAddress(at string) error {
	u, err := url.Parse(at)
	if err != nil {
		return err
	}
	r.address = u.Host
	return nil
}

func (r *round) port() int {
	_, text, _ := strings.Cut(r.address, ":")
	port, _ := strconv.Atoi(text)
	return port
}

// startSeat starts a worker in its next life, and tries again while that ends
// before it is ready: its server may be away just now.
func (r *round) startSeat(life context.Context, s *seat) error {
	ctx, cancel := context.WithTimeout(life, time.Minute)
	defer cancel()
	for {
		r.mu.Lock()
		s.life++
		s.name = fmt.Sprintf("w%d-%d", s.n, s.life)
		name := s.name
		r.mu.Unlock()
		args := []string{
			"--config", filepath.Join(r.dir, "config.yaml"), "--slots", strconv.Itoa(slots),
			"--queues", "default=" + strconv.Itoa(queueCap), "--log-level", "debug",
		}
		embedded := r.shape.Embedded && s.n == 0
		if embedded {
			args = append(args, "--store-dir", filepath.Join(r.dir, "store"), "--listen", "127.0.0.1:"+strconv.Itoa(r.port()))
			if r.shape.Sync {
				args = append(args, "--sync", "always")
			}
		} else {
			args = append(args, "-s", "nats://"+s.proxy.Addr())
		}
		p, at, err := startWorker(life, ctx, r.log, r.binary, r.dir, name, []string{"OPENAI_API_KEY=" + name}, args...)
		if err == nil {
			r.mu.Lock()
			s.proc = p
			r.mu.Unlock()
			if embedded {
				return r.setAddress(at)
			}
			return nil
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// note adds a fault to the evidence, once it is over.
func (r *round) note(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, f)
}

// load keeps jobs running until ctx ends.
func (r *round) load(ctx context.Context, hard context.Context) {
	places := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	defer wg.Wait()
	for k := 0; ; k++ {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		if ctx.Err() != nil {
			return
		}
		wg.Go(func() {
			r.runJob(hard, orderOf(r.seed, r.n, k))
			<-places
		})
	}
}

// runJob submits a job, whatever it takes, has it read, and waits for its end.
func (r *round) runJob(ctx context.Context, o order) {
	job := &running{order: o, ended: make(chan struct{})}
	defer close(job.ended)
	r.mu.Lock()
	r.jobs = append(r.jobs, job)
	r.mu.Unlock()
	var h *jobs.Handle
	if err := persist(ctx, func(ctx context.Context) (err error) {
		h, err = r.submit(ctx, &o)
		return err
	}); err != nil {
		r.say("job %s was not submitted: %v", o.job.ID, err)
		return
	}
	for i, order := range o.readers {
		r.read(ctx, o.job.ID, i, order, o.commands[i])
	}
	var wg sync.WaitGroup
	if o.cancel > 0 {
		wg.Go(func() { r.cancel(ctx, job, h) })
	}
	err := persist(ctx, func(ctx context.Context) error {
		_, err := h.Wait(ctx)
		return err
	})
	if err != nil {
		r.say("job %s: %v", o.job.ID, err)
	}
	wg.Wait()
}

// submit submits a job, in one message or as a stream of lines.
func (r *round) submit(ctx context.Context, o *order) (*jobs.Handle, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if !o.bulk {
		return r.client.Submit(ctx, o.job)
	}
	var lines []byte
	for _, request := range o.job.Requests {
		lines = append(schema.AppendRequest(lines, request), '\n')
	}
	job := o.job
	job.Requests = nil
	return r.client.Submit(ctx, job, jobs.WithInput(strings.NewReader(string(lines))))
}

func (r *round) cancel(ctx context.Context, job *running, h *jobs.Handle) {
	select {
	case <-time.After(job.order.cancel):
	case <-ctx.Done():
		return
	}
	r.mu.Lock()
	job.cancelled = true
	r.mu.Unlock()
	_ = persist(ctx, func(ctx context.Context) error {
		ctx, stop := context.WithTimeout(ctx, 5*time.Second)
		defer stop()
		return h.Cancel(ctx, "the harness wants it so")
	})
}

// persist tries until it works or ctx ends: it is the broker that is broken on
// purpose.
func persist(ctx context.Context, try func(context.Context) error) error {
	for {
		err := try(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// unended lists the jobs that have not ended.
func (r *round) unended() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for _, j := range r.jobs {
		select {
		case <-j.ended:
		default:
			ids = append(ids, j.job.ID)
		}
	}
	return ids
}

// owner returns the seat whose worker owns the job, or nil.
func (r *round) owner(ctx context.Context, job string) *seat {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	js, err := jetstream.New(r.admin)
	if err != nil {
		return nil
	}
	kv, err := js.KeyValue(ctx, "PELTON_STATE")
	if err != nil {
		return nil
	}
	entry, err := kv.Get(ctx, "default."+job)
	if err != nil {
		return nil
	}
	var state struct{ Owner string }
	if json.Unmarshal(entry.Value(), &state) != nil {
		return nil
	}
	name, _, _ := strings.Cut(state.Owner, " ")
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.seats {
		if s.name == name {
			return s
		}
	}
	return nil
}

// close ends every process.
func (r *round) close() error {
	for _, nc := range []*nats.Conn{r.readers, r.admin} {
		if nc != nil {
			nc.Close()
		}
	}
	var wg sync.WaitGroup
	for i, s := range r.seats {
		if s.proc != nil && (i > 0 || !r.shape.Embedded) {
			wg.Go(func() { s.proc.End(15 * time.Second) })
		}
	}
	wg.Wait()
	if r.shape.Embedded && r.seats[0].proc != nil {
		r.seats[0].proc.End(15 * time.Second)
	}
	if r.server != nil {
		r.server.End(15 * time.Second)
	}
	var errs []error
	for _, s := range r.seats {
		if s.proxy != nil {
			errs = append(errs, s.proxy.Close())
		}
	}
	if r.reading != nil {
		errs = append(errs, r.reading.Close())
	}
	if r.llm != nil {
		errs = append(errs, r.llm.Close())
	}
	return errors.Join(errs...)
}
