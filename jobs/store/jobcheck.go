package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/jobs/store/internal/jet"
	"pelton/schema"
)

// Callbacks delivers messages to the webhooks of the configuration.
type Callbacks interface {
	// Names lists the webhooks.
	Names() []string

	// Send delivers body, once, as the message of that id. again says whether
	// another try is worth it where it fails.
	Send(ctx context.Context, name, id string, body []byte) (again bool, err error)
}

// Parse reads a job message, and returns the record it would begin with. A job
// that is not valid is returned as far as it could be read, with what is wrong.
func (s *Jobs) Parse(m JobMessage) (*schema.Job, Record, error) {
	now := time.Now().UTC()
	want := Record{Seq: m.Seq, Hash: HashOf(m.Data), Trace: TraceText(m.header.Get(schema.HeaderTrace)), State: schema.State{
		Queue: m.Queue, State: schema.Running, CreatedAt: m.Published.UTC(), StartedAt: &now,
	}}
	data, id, err := Unwrap(m.header, m.Data)
	job := &schema.Job{}
	if err == nil {
		job, err = schema.ParseJob(data, s.set.Limits())
		if job == nil {
			job = &schema.Job{}
		}
	}
	want.ID, want.ExternalID = jobID(job, id, m.Seq)
	if err == nil {
		err = s.Check(job, m.Published)
	}
	if of := m.header.Get(schema.HeaderRetryOf); schema.ValidQueue(of) { // the alphabet of ids that were given, too
		want.RetryOf = of
	}
	if job.Callback != "" && s.set.checkCallback(job.Callback) == "" {
		want.Callback = &schema.Callback{Name: job.Callback, Status: schema.CallbackPending}
	}
	want.Metadata, want.Input, want.Total = job.Metadata, inputOf(job), len(job.Requests)
	if problems := (*schema.Problems)(nil); errors.As(err, &problems) {
		want.Total = problems.Requests
	}
	return job, want, err
}

// Unwrap returns the job in a message and the id its envelope gives it: that of a
// CloudEvent, else that of the Nats-Msg-Id header.
func Unwrap(header nats.Header, message []byte) (data []byte, id string, err error) {
	data, id, ok, err := schema.FromCloudEvent(header, message)
	if ok || err != nil {
		return data, id, err
	}
	return message, header.Get(nats.MsgIdHdr), nil
}

// jobID is a job's own id, else the one of its message, else that of its place.
func jobID(job *schema.Job, id string, seq uint64) (name, external string) {
	if job.ID != "" {
		return job.ID, ""
	}
	if name, external = schema.NormalizeID(id); name != "" {
		return name, external
	}
	return "j" + strconv.FormatUint(seq, 10), ""
}

func inputOf(job *schema.Job) string {
	if job.Input == nil {
		return ""
	}
	return job.Input.Object
}

// Check judges what depends on this installation.
func (s *Jobs) Check(job *schema.Job, published time.Time) error {
	var list []schema.Problem
	if most := s.set.LongestDeadline(); s.set.Deadline(job, published).After(published.Add(most + time.Second)) {
		list = append(list, schema.Problem{Code: schema.ProblemTooLarge, Index: -1, Field: "deadline",
			Message: fmt.Sprintf("at most %s after publish is allowed, half the time results are kept", most)})
	}
	if job.Reply != "" && !s.set.MayReply(job.Reply) {
		list = append(list, schema.Problem{Code: schema.ProblemValue, Index: -1, Field: "reply",
			Message: fmt.Sprintf("%q is not among the subjects that PELTON_REPLY_ALLOW permits", job.Reply)})
	}
	if job.Notify != "" && !s.set.MayReply(job.Notify) {
		list = append(list, schema.Problem{Code: schema.ProblemValue, Index: -1, Field: "notify",
			Message: fmt.Sprintf("%q is not among the subjects that PELTON_REPLY_ALLOW permits", job.Notify)})
	}
	if problem := s.set.checkCallback(job.Callback); problem != "" {
		list = append(list, schema.Problem{Code: schema.ProblemValue, Index: -1, Field: "callback", Message: problem})
	}
	if len(list) == 0 {
		return nil
	}
	return &schema.Problems{List: list, Total: len(list)}
}

// MayReply reports whether a job may have its results or its end sent to subject.
func (s Settings) MayReply(subject string) bool {
	return len(s.ReplyAllow) == 0 || slices.ContainsFunc(s.ReplyAllow, func(p string) bool { return jet.Matches(p, subject) })
}

// Identify returns the hash by which a job that is published again is known: of
// the message, with the content of its input in the place of the input's name.
// problem is what is wrong with the job, err what is wrong with the broker.
func (s *Jobs) Identify(ctx context.Context, message []byte, job *schema.Job) (hash string, problem, err error) {
	if job.Input == nil {
		return HashOf(message), nil, nil
	}
	var info *jetstream.ObjectInfo
	err = s.objects.WithBucket(ctx, s.c.Names.InputBucket(), func(ctx context.Context, store jetstream.ObjectStore) (err error) {
		info, err = store.GetInfo(ctx, job.Input.Object)
		return err
	})
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return HashOf(message), NoInput(job.Input.Object, s.c.Names.InputBucket()), nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("look up the input %s: %w", job.Input.Object, err)
	}
	return HashWithInput(message, info.Digest), nil, nil
}

// HashWithInput is the hash of a job whose requests are an object with the digest.
func HashWithInput(message []byte, digest string) string {
	var envelope map[string]json.RawMessage
	_ = json.Unmarshal(message, &envelope)
	if input := (map[string]json.RawMessage{}); json.Unmarshal(envelope["input"], &input) == nil && input["endpoint"] != nil {
		envelope["input"] = input["endpoint"]
	} else {
		delete(envelope, "input")
	}
	rest, _ := json.Marshal(envelope) // sorts the keys
	return HashOf(rest, []byte(digest))
}

// HashOf is the hash of a job message whose requests are in it, in hexadecimal.
func HashOf(parts ...[]byte) string {
	sum := sha256.New()
	for _, part := range parts {
		sum.Write(part)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// NoInput says that the object with a job's requests is not there.
func NoInput(name, bucket string) error {
	return &schema.Problems{Total: 1, List: []schema.Problem{{Code: schema.ProblemMissing, Index: -1, Field: "input.object",
		Message: fmt.Sprintf("there is no object %q in %s; upload it before the job is published", name, bucket)}}}
}

// checkCallback says what is wrong with the webhook that a job names.
func (s Settings) checkCallback(name string) (problem string) {
	var names []string
	if s.Callbacks != nil {
		names = s.Callbacks.Names()
	}
	switch {
	case name == "" || slices.Contains(names, name):
		return ""
	case len(names) == 0:
		return "no webhooks are configured here (PELTON_WEBHOOKS)"
	}
	return "there is no webhook of this name; there are " + strings.Join(names, ", ")
}
