package store

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/jobs/store/internal/capacity"
	"pelton/jobs/store/internal/jet"
	"pelton/schema"
)

// Timing of ownership and delivery. The two belong together: the server gives a
// message out again AckWait after its holder was last heard of, and a holder
// renews it every Heartbeat.
const (
	AckWait   = 6 * time.Second
	Heartbeat = 1500 * time.Millisecond
)

// RetryPause is the pause after a publish that failed.
const RetryPause = jet.RetryPause

// DefaultResultsMaxAge is how long results are kept.
const DefaultResultsMaxAge = 72 * time.Hour

// Settings describe one installation on a NATS account. The zero value is a
// single-server installation with the default names.
type Settings struct {
	Names           schema.Names
	Replicas        int           // of every stream, 0 means 1; a stream that has more keeps them
	ResultsMaxAge   time.Duration // 0: [DefaultResultsMaxAge]; everything else is kept twice as long
	AutoConcurrency bool          // jobs may leave their concurrency to be found (experimental)
	WorkInMemory    bool          // the work stream in memory: for a server in the same process
	Alone           bool          // no other process reaches the server: work and results are handed on in memory
	ReplyAllow      []string      // subject patterns a job's reply must match; empty: any that is valid
	Log             zerolog.Logger

	// AskService lets clients ask a worker, over the micro service, for what they
	// may not read themselves.
	AskService bool

	// Callbacks are the webhooks that jobs may name. Nil: none.
	Callbacks Callbacks

	// CallbackPauses are the pauses between tries to deliver a callback; after
	// them it has failed. Nil: eight, from 5 s to 10 h.
	CallbackPauses []time.Duration

	// StoreUsage returns the bytes used and the most there may be, where the
	// account itself has no limit that says so. Nil: the account is asked.
	StoreUsage func() (used, most int64)
}

func (s Settings) maxAge() time.Duration {
	if s.ResultsMaxAge > 0 {
		return s.ResultsMaxAge
	}
	return DefaultResultsMaxAge
}

// copies is how many of every stream there are at least.
func (s Settings) copies() int { return max(1, s.Replicas) }

// Keeps returns how long the store keeps a file or an input.
func (s Settings) Keeps() time.Duration { return 2 * s.maxAge() }

// LongestDeadline returns how long after its publication a job can end at the
// latest. It keeps a job's results at least as long after its end as the job took.
func (s Settings) LongestDeadline() time.Duration { return s.maxAge() / 2 }

// Deadline returns when a job published at t must have ended.
func (s Settings) Deadline(job *schema.Job, t time.Time) time.Time {
	if job.Deadline == (schema.Deadline{}) {
		return t.Add(min(schema.DefaultDeadline, s.LongestDeadline()))
	}
	return job.Deadline.Time(t)
}

// Limits returns what a job of this installation is checked against.
func (s Settings) Limits() schema.Limits {
	return schema.Limits{Prefix: s.Names.Prefix, AutoConcurrency: s.AutoConcurrency}
}

// JobKey names a job among those of all queues.
type JobKey struct{ Queue, ID string }

// Store is one installation's streams as seen over one connection: what the
// owner, the worker and the client have in common. Its parts are named by what
// lies there. It is safe for concurrent use.
type Store struct {
	Settings
	c *jet.Conn

	Jobs    *Jobs        // the jobs as they were published
	Work    *WorkStream  // the requests on their way to workers
	Records *Records     // the state of each job, whose revision fences owners
	Results *Results     // one result per request, and the end of each job
	Parked  *Parked      // what is known of requests that wait, or were begun before
	Cancels *Cancels     // the cancels of jobs
	Objects *jet.Objects // what does not fit a message
	Live    *Live        // what is told to whoever listens, and not kept

	capacity *capacity.Capacity
}

// Open wraps a connection, which the caller keeps and closes. It does not
// talk to the server; [Store.Setup] does.
func Open(nc *nats.Conn, set Settings) (*Store, error) {
	c, err := jet.New(nc, set.Names, set.Log, set.Alone)
	if err != nil {
		return nil, err
	}
	objects := jet.NewObjects(c)
	return &Store{
		Settings: set, c: c, Jobs: &Jobs{c, set, objects}, Work: &WorkStream{c}, Records: &Records{c}, Results: newResults(c, objects, set.Alone),
		Parked: &Parked{c}, Cancels: &Cancels{c: c}, Objects: objects, Live: &Live{c: c},
		capacity: capacity.New(c, set.StoreUsage),
	}, nil
}

// Conn returns the connection the store was made with.
func (s *Store) Conn() *nats.Conn { return s.c.NATS() }

// Subscribed returns once the server has taken a subscription on the store's
// connection: what is published from then on is heard. [ErrDenied] says that it
// has not.
func (s *Store) Subscribed(subject string) error { return s.c.Subscribed(subject) }

// Request asks whoever serves a subject, and returns the answer.
func (s *Store) Request(ctx context.Context, subject string, data []byte) (*nats.Msg, error) {
	return s.c.Request(ctx, subject, data)
}

// Fits reports whether a message with so many bytes of content can be sent.
func (s *Store) Fits(bytes int) bool { return s.c.Fits(bytes) }

// Objects are the inputs of jobs, files, and bodies above the message limit.
type Objects = jet.Objects
