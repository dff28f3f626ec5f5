package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/rs/zerolog"

	"pelton/jobs/store"
	"pelton/schema"
)

// Client submits jobs and reads their results. It needs no more of the broker
// than any NATS client has, and is safe for concurrent use.
type Client struct {
	st    *store.Store
	queue string
}

// Option changes a [Client].
type Option func(*clientOptions)

type clientOptions struct {
	queue string
	set   store.Settings
}

// WithQueue sets the queue that jobs are submitted to; the default is
// [schema.DefaultQueue].
func WithQueue(queue string) Option { return func(o *clientOptions) { o.queue = queue } }

// WithPrefix sets the first token of all subjects, for an installation that
// does not use [schema.DefaultPrefix].
func WithPrefix(prefix string) Option {
	return func(o *clientOptions) { o.set.Names.Prefix = prefix }
}

// WithLogger sets where interruptions are logged, at debug level; the default
// is nowhere.
func WithLogger(log zerolog.Logger) Option { return func(o *clientOptions) { o.set.Log = log } }

// NewClient returns a client on a connection that the caller keeps and closes.
// It fails for a queue name that no queue can have.
func NewClient(nc *nats.Conn, options ...Option) (*Client, error) {
	opts := clientOptions{queue: schema.DefaultQueue, set: store.Settings{Log: zerolog.Nop()}}
	for _, option := range options {
		option(&opts)
	}
	if !schema.ValidQueue(opts.queue) {
		return nil, fmt.Errorf("queue %q: must be 1 to %d letters, digits, - and _", opts.queue, schema.MaxIDLength)
	}
	opts.set.AskService = true
	st, err := store.Open(nc, opts.set)
	if err != nil {
		return nil, err
	}
	return &Client{st: st, queue: opts.queue}, nil
}

// Queue returns the queue that the client submits to.
func (c *Client) Queue() string { return c.queue }

// ClientOn returns a client for one queue on a store's connection.
func ClientOn(st *store.Store, queue string) *Client { return &Client{st: st, queue: queue} }

// SubmitOption changes one [Client.Submit].
type SubmitOption func(*submission)

type submission struct {
	input    io.Reader
	endpoint schema.Endpoint
	retryOf  string // the job that this one runs again
}

// WithInput takes the job's requests from NDJSON of any length, one request per
// line as in [schema.ParseRequest], instead of from the job. It is streamed to
// the broker's object store and judged by the job's owner.
func WithInput(r io.Reader) SubmitOption { return func(s *submission) { s.input = r } }

// WithEndpoint says which endpoint every line of the input is for: a line that
// names another makes the job invalid. It goes with [WithInput].
func WithEndpoint(e schema.Endpoint) SubmitOption { return func(s *submission) { s.endpoint = e } }

// Submit publishes a job and returns a handle to it. A job without an id is
// given one. It returns once the broker has the job: from then on it is carried
// out, or ends with a state that says why not. An invalid job is refused with
// [*schema.Problems]; one above the broker's message limit goes through the
// object store. Submitting the same job with the same id again is safe.
func (c *Client) Submit(ctx context.Context, job schema.Job, options ...SubmitOption) (*Handle, error) {
	h, _, err := c.SubmitOrFind(ctx, job, options...)
	return h, err
}

// SubmitOrFind is [Client.Submit] that reports whether the job was there already.
func (c *Client) SubmitOrFind(ctx context.Context, job schema.Job, options ...SubmitOption) (h *Handle, duplicate bool, err error) {
	var s submission
	for _, option := range options {
		option(&s)
	}
	named := job.ID != ""
	if !named {
		job.ID = nuid.Next()
	}
	if c.st.Full(ctx) {
		return nil, false, ErrStoreFull
	}
	message, hash, err := c.pack(ctx, &job, s)
	if err != nil {
		return nil, false, err
	}
	h = &Handle{st: c.st, queue: c.queue, id: job.ID, submitted: time.Now()}
	known := false
	if named {
		h.hash = hash
		known, err = h.checkIdentity(ctx)
	}
	if err == nil {
		duplicate, err = c.publish(ctx, &job, message, s.retryOf)
	}
	if duplicate && !known && err == nil {
		var stored bool
		stored, err = c.resubmit(ctx, h, &job, message, s.retryOf)
		duplicate = !stored
	}
	if job.Input != nil && (err != nil || duplicate) {
		c.st.Objects.Delete(ctx, c.st.Names.InputBucket(), job.Input.Object)
	}
	if err != nil {
		return nil, false, err
	}
	duplicate = duplicate || known
	if duplicate { // it may have aged out already
		h.submitted = time.Time{}
	}
	return h, duplicate, nil
}

// pack makes the job's message, and uploads the requests where it would be
// above the broker's limit. hash is what the job's owner will know it by.
func (c *Client) pack(ctx context.Context, job *schema.Job, s submission) (message []byte, hash string, err error) {
	input := s.input
	if input == nil {
		limits := c.st.Limits()
		limits.AutoConcurrency = true // whether it is on is the worker's to say
		if err := job.Validate(limits); err != nil {
			return nil, "", err
		}
		if message, err = job.AppendJSON(nil); err != nil {
			return nil, "", err
		}
		if c.st.Fits(len(message)) {
			return message, store.HashOf(message), nil
		}
		input = requestLines(job.Requests)
	}
	object, err := c.putInput(ctx, job.ID, input)
	if err != nil {
		return nil, "", err
	}
	job.Requests, job.Input = nil, &schema.Input{Object: object.Name, Endpoint: s.endpoint}
	message, err = job.AppendJSON(nil)
	return message, store.HashWithInput(message, object.Digest), err
}

// publish hands the job's message to the broker, and tries again while the
// broker does not answer: the message's own id makes that harmless.
func (c *Client) publish(ctx context.Context, job *schema.Job, data []byte, retryOf string) (duplicate bool, err error) {
	sum := sha256.Sum256(data)
	id := hex.EncodeToString(sum[:8])
	if job.Reply != "" {
		id = nuid.Next() // submitted again, it is to be replayed: its owner must see it
	}
	return c.st.Jobs.Publish(ctx, c.queue, store.Publication{Data: data, MsgID: job.ID + "." + id, RetryOf: retryOf})
}

// resubmit publishes a job that the broker took for a duplicate, if the job that
// it has in mind is there no more: for two minutes the broker knows the ids of
// messages that were removed since, or have aged out, and would not store the
// job. It reports whether it did.
func (c *Client) resubmit(ctx context.Context, h *Handle, job *schema.Job, data []byte, retryOf string) (bool, error) {
	if _, err := h.State(ctx); !errors.Is(err, ErrNotFound) {
		return false, nil // it is there, or this is not for us to know
	}
	_, err := c.st.Jobs.Publish(ctx, c.queue, store.Publication{Data: data, MsgID: job.ID + "." + nuid.Next(), RetryOf: retryOf, Once: true})
	return err == nil, err
}

func (c *Client) putInput(ctx context.Context, job string, r io.Reader) (*jetstream.ObjectInfo, error) {
	name := c.st.Names.StateKey(c.queue, job) + "." + nuid.Next()
	info, err := c.st.Objects.Put(ctx, c.st.Names.InputBucket(), name, r)
	if err != nil {
		return nil, fmt.Errorf("upload the requests: %w", err)
	}
	return info, nil
}

// Job returns a handle to a job that was submitted before, here or elsewhere.
// It does not look whether there is one: the handle's methods do.
func (c *Client) Job(queue, id string) *Handle { return &Handle{st: c.st, queue: queue, id: id} }

// Expect returns a handle to a job that is about to be submitted under an id of
// the caller's choice: its Deltas and Progress wait for it, so that a reader can
// be there before the first request is.
func (c *Client) Expect(id string) *Handle {
	return &Handle{st: c.st, queue: c.queue, id: id, expected: true}
}

// Run submits a job, waits for it and returns its results, in input order
// unless the job says otherwise. The end of ctx cancels the job.
//
// A request that fails is a result with an error, and no error of Run. Run
// returns an error when the job as a whole ended early: a [*ResultError] after
// fail-fast, a [*StateError] otherwise; the results that exist come with it.
func (c *Client) Run(ctx context.Context, job schema.Job) ([]schema.Result, error) {
	h, err := c.Submit(ctx, job)
	if err != nil {
		return nil, err
	}
	order := job.Order
	if order == schema.OrderDefault {
		order = schema.OrderInput
	}
	results := make([]schema.Result, 0, len(job.Requests))
	for result, err := range h.Collect(ctx, order) {
		if err != nil {
			if ctx.Err() != nil {
				cancelBehind(ctx, h)
			}
			return results, err
		}
		if result.Request == nil && result.Index < len(job.Requests) {
			result.Request = job.Requests[result.Index].Body
		}
		results = append(results, *result)
	}
	return results, nil
}

// requestLines streams requests as NDJSON.
func requestLines(requests []schema.Request) io.Reader {
	r, w := io.Pipe()
	go func() {
		var line []byte
		for _, request := range requests {
			line = append(schema.AppendRequest(line[:0], request), '\n')
			if _, err := w.Write(line); err != nil {
				return // the reader has gone
			}
		}
		_ = w.Close()
	}()
	return r
}

// cancelBehind cancels the job of a caller whose own context has ended.
func cancelBehind(ctx context.Context, h *Handle) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	marker := schema.Cancel{Reason: "the caller has gone"}
	if err := h.st.Cancels.Publish(ctx, h.queue, h.id, marker); err != nil {
		h.st.Log.Warn().Err(err).Str("job", h.id).Msg("could not cancel the job")
	}
}
