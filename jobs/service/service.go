// Package service answers requests about jobs over core NATS, as the micro service
// "pelton".
package service

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/rs/zerolog"

	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/schema"
)

// Service answers requests about jobs over core NATS, as the micro service
// "pelton" that `nats micro ls` finds. Make it with [Start].
type Service struct {
	st     *store.Store
	micro  micro.Service
	ctx    context.Context // ends with Stop
	cancel context.CancelFunc
	calls  sync.WaitGroup
	log    zerolog.Logger
}

// Name and Version are how the micro service shows itself.
const (
	Name    = "pelton"
	Version = "1.0.0"
)

// Start serves the verbs run, submit, status, list and cancel for each
// queue. The caller must call Stop.
func Start(b *store.Store, queues map[string]int, log zerolog.Logger) (*Service, error) {
	svc, err := micro.AddService(b.Conn(), micro.Config{
		Name: Name, Version: Version,
		Description: "runs batches of LLM requests: publish a job, read one result per request",
	})
	if err != nil {
		return nil, err
	}
	s := &Service{st: b, micro: svc, log: log}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	verbs := map[string]func(*jobs.Client, micro.Request){
		"run": s.run, "submit": s.submit, "status": s.status, "list": s.list, "cancel": s.cancelJob,
	}
	for queue := range queues {
		client := jobs.ClientOn(b, queue)
		for verb, handle := range verbs {
			handler := micro.HandlerFunc(func(r micro.Request) {
				if s.mayAnswer(r.Reply()) {
					handle(client, r)
				} else {
					log.Warn().Str("subject", r.Subject()).Str("reply", r.Reply()).Msg("a call is not answered: its reply subject is the server's own, or Pelton's")
				}
			})
			if err := svc.AddEndpoint(verb+"-"+queue, handler, micro.WithEndpointSubject(b.Names.Service(verb, queue))); err != nil {
				s.Stop()
				return nil, err
			}
		}
	}
	// Who calls once this has returned is heard.
	for queue := range queues {
		for verb := range verbs {
			if err := b.Subscribed(b.Names.Service(verb, queue)); err != nil {
				s.Stop()
				return nil, err
			}
		}
	}
	return s, nil
}

// mayAnswer reports whether a call may be answered where it asks to be. An
// answer is published with the rights of this process, not with the caller's: on
// the server's own subjects it would be a call of the JetStream API, on Pelton's
// a message of a stream.
func (s *Service) mayAnswer(reply string) bool {
	own, _ := strings.CutSuffix(s.st.Names.Jobs("*"), "jobs.*")
	return !strings.HasPrefix(reply, "$") && !strings.HasPrefix(reply, own)
}

// Stop answers nothing more. Callers of a run that is not finished get no
// answer; their job goes on.
func (s *Service) Stop() {
	_ = s.micro.Stop()
	s.cancel()
	s.calls.Wait()
}

// jobFrom reads the job of a call; a call that has none is answered.
func (s *Service) jobFrom(r micro.Request) (*schema.Job, bool) {
	data, id, err := store.Unwrap(nats.Header(r.Headers()), r.Data())
	var job *schema.Job
	if err == nil {
		job, err = schema.ParseJob(data, s.st.Limits())
	}
	if err == nil {
		err = s.st.Jobs.Check(job, time.Now())
	}
	if err != nil {
		s.fail(r, err)
		return nil, false
	}
	if job.ID == "" {
		job.ID, _ = schema.NormalizeID(id)
	}
	return job, true
}

// submitted is the answer of the verb submit.
type submitted struct {
	ID        string       `json:"id"`
	State     schema.Phase `json:"state"`
	Duplicate bool         `json:"duplicate"`
}

func (s *Service) submit(c *jobs.Client, r micro.Request) {
	job, ok := s.jobFrom(r)
	if !ok {
		return
	}
	h, duplicate, err := c.SubmitOrFind(s.ctx, *job)
	if err != nil {
		s.fail(r, err)
		return
	}
	_ = r.RespondJSON(submitted{h.ID(), schema.Queued, duplicate})
}

// run answers when the job has ended. Until then it must not hold up the calls
// behind it; and the request, which micro looks at again when this returns, is
// not touched any more.
func (s *Service) run(c *jobs.Client, r micro.Request) {
	job, ok := s.jobFrom(r)
	if !ok {
		return
	}
	h, _, err := c.SubmitOrFind(s.ctx, *job)
	if err != nil {
		s.fail(r, err)
		return
	}
	order := job.Order
	if order == schema.OrderDefault {
		order = schema.OrderInput
	}
	reply, stream := r.Reply(), r.Headers().Get(schema.HeaderReply) == "stream"
	s.calls.Go(func() {
		from := s.st.Results.ReadStored(c.Queue(), h.ID(), order, 0)
		defer from.Close()
		if stream {
			s.stream(reply, from)
		} else {
			s.collect(reply, from)
		}
	})
}

// stream answers with a message per result, the final state last.
func (s *Service) stream(reply string, from store.Sequence) {
	for {
		it, err := from.Next(s.ctx)
		if err != nil {
			return // stopping: the caller sees no end
		}
		if s.st.Conn().PublishMsg(it.Msg(reply)) != nil || it.End() {
			return
		}
	}
}

// collect answers with one array of all results, if that fits a message.
func (s *Service) collect(reply string, from store.Sequence) {
	array := []byte{'['}
	tooLarge := false
	for {
		it, err := from.Next(s.ctx)
		if err != nil {
			return
		}
		if it.End() {
			_ = s.st.Conn().PublishMsg(s.runAnswer(reply, array, tooLarge, it.Data))
			return
		}
		tooLarge = tooLarge || it.Header.Get(schema.HeaderObject) != "" || !s.st.Fits(len(array)+len(it.Data))
		if tooLarge {
			array = array[:1] // it will not be sent
			continue
		}
		if len(array) > 1 {
			array = append(array, ',')
		}
		array = append(array, it.Data...)
	}
}

// runAnswer is the answer to a run whose job has ended.
func (s *Service) runAnswer(reply string, array []byte, tooLarge bool, end []byte) *nats.Msg {
	m := nats.NewMsg(reply)
	refuse := func(code, text string) *nats.Msg {
		m.Header.Set(micro.ErrorCodeHeader, code)
		m.Header.Set(micro.ErrorHeader, store.HeaderText(text))
		m.Data = end
		return m
	}
	state, err := schema.ParseState(end)
	switch {
	case err != nil:
		return refuse("500", err.Error())
	case state.Reason != nil && state.Reason.Code == schema.ReasonIDConflict:
		return refuse("409", state.Reason.Message)
	case tooLarge:
		return refuse("413", "the results of job "+state.ID+" do not fit one message: call again with the header "+schema.HeaderReply+
			": stream, or read "+s.st.Names.ResultsOf(state.Queue, state.ID))
	}
	m.Data = append(array, ']')
	return m
}

func (s *Service) status(c *jobs.Client, r micro.Request) {
	if h, ok := s.named(c, r); ok {
		state, err := h.State(s.ctx)
		if err != nil {
			s.fail(r, err)
			return
		}
		_ = r.RespondJSON(state)
	}
}

func (s *Service) cancelJob(c *jobs.Client, r micro.Request) {
	h, ok := s.named(c, r)
	if !ok {
		return
	}
	if err := h.Cancel(s.ctx, named(r.Data()).Reason); err != nil {
		s.fail(r, err)
		return
	}
	_ = r.RespondJSON(map[string]string{"id": h.ID()})
}

// nameMessage is the content of a call of status and cancel: a JSON object, or
// the bare id.
type nameMessage struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

func named(data []byte) nameMessage {
	var n nameMessage
	if json.Unmarshal(data, &n) != nil {
		n.ID = string(data)
	}
	return n
}

func (s *Service) named(c *jobs.Client, r micro.Request) (*jobs.Handle, bool) {
	id := named(r.Data()).ID
	if !schema.ValidQueue(id) {
		_ = r.Error("400", `name the job: {"id": "…"}, of 1 to 64 letters, digits, - and _`, nil)
		return nil, false
	}
	return c.Job(c.Queue(), id), true
}

func (s *Service) list(c *jobs.Client, r micro.Request) {
	states, err := c.List(s.ctx)
	if err != nil {
		s.fail(r, err)
		return
	}
	data := []byte{'['}
	for i, state := range states {
		one, err := json.Marshal(state)
		if err != nil {
			s.fail(r, err)
			return
		}
		if !s.st.Fits(len(data) + len(one)) {
			break // the newest come first
		}
		if i > 0 {
			data = append(data, ',')
		}
		data = append(data, one...)
	}
	_ = r.Respond(append(data, ']'), micro.WithHeaders(micro.Headers{schema.HeaderTotal: {strconv.Itoa(len(states))}}))
}

// fail answers with an error by the convention of micro services.
func (s *Service) fail(r micro.Request, err error) {
	var problems *schema.Problems
	switch {
	case errors.As(err, &problems):
		data, _ := json.Marshal(problems)
		_ = r.Error("400", store.HeaderText(firstLine(problems.Error())), data)
	case errors.Is(err, jobs.ErrNotFound):
		_ = r.Error("404", err.Error(), nil)
	case errors.Is(err, jobs.ErrIDConflict):
		_ = r.Error("409", err.Error(), nil)
	case errors.Is(err, jobs.ErrStoreFull):
		_ = r.Error("507", err.Error(), nil)
	default:
		s.log.Warn().Err(err).Str("subject", r.Subject()).Msg("could not answer a call")
		_ = r.Error("500", store.HeaderText(err.Error()), nil)
	}
}

func firstLine(s string) string {
	for i, c := range s {
		if c == '\n' {
			return s[:i]
		}
	}
	return s
}
