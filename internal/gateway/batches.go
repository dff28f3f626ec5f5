package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"pelton/jobs"
	"pelton/schema"
)

// endpoints are those that a batch can be for.
var endpoints = []schema.Endpoint{schema.ChatCompletions, schema.Responses, schema.Completions, schema.Embeddings, schema.Moderations}

// order is the body of a request for a batch.
type order struct {
	InputFileID      string            `json:"input_file_id"`
	Endpoint         string            `json:"endpoint"`
	CompletionWindow string            `json:"completion_window"`
	Metadata         map[string]string `json:"metadata"`
	KeepOutput       *expiry           `json:"output_expires_after"`
}

// expiry is after how long a file goes.
type expiry struct {
	Anchor  string `json:"anchor"`
	Seconds int64  `json:"seconds"`
}

func (e *expiry) check(param string) error {
	if e.Anchor != "created_at" {
		return invalid(param+".anchor", "invalid_value", `%s.anchor must be "created_at".`, param)
	}
	if e.Seconds < 3600 || e.Seconds > 2592000 {
		return invalid(param+".seconds", "invalid_value", "%s.seconds must be from 3600 (1 hour) to 2592000 (30 days), not %d.", param, e.Seconds)
	}
	return nil
}

// maxJSON bounds the body of a request that is JSON.
const maxJSON = 1 << 20

func readOrder(r io.Reader) (*order, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxJSON+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxJSON {
		return nil, &apiError{Status: http.StatusRequestEntityTooLarge, Code: "request_too_large", Message: "The request is larger than 1 MiB."}
	}
	var o order
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(&o)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return nil, invalid(wrong.Field, "invalid_type", "%s must be a %s, not a %s.", wrong.Field, wrong.Type, wrong.Value)
	case err != nil && strings.HasPrefix(err.Error(), "json: unknown field "):
		name, _ := strconv.Unquote(strings.TrimPrefix(err.Error(), "json: unknown field "))
		return nil, invalid(clip(name), "unknown_parameter", "Unknown parameter: '%s'.", clip(name))
	case err != nil:
		return nil, invalid("", "invalid_json", "The body of the request is no JSON object of a batch: %v.", err)
	}
	for _, required := range []struct{ param, value string }{
		{"input_file_id", o.InputFileID}, {"endpoint", o.Endpoint}, {"completion_window", o.CompletionWindow},
	} {
		if required.value == "" {
			return nil, invalid(required.param, "missing_required_parameter", "Missing required parameter: '%s'.", required.param)
		}
	}
	return &o, nil
}

// createBatch submits a job. Nothing is there before the job is published, and
// then all of it.
func (g *Gateway) createBatch(c *call) error {
	o, err := readOrder(c.body())
	if err != nil {
		return err
	}
	job, from, err := g.jobFor(c, o)
	if err != nil {
		return err
	}
	if key := c.r.Header.Get("Idempotency-Key"); key != "" {
		job.ID = repeatable(c.key, key)
		if done, err := g.repeated(c, job); done || err != nil {
			return err
		}
	}
	file, err := g.inputFile(c, o.InputFileID)
	if err != nil {
		return err
	}
	var input io.ReadCloser
	if g.MaxLines > 0 && file.Lines > g.MaxLines {
		// As at OpenAI the batch is there and has failed: its job has no request.
		from.TooMany = fmt.Sprintf("The file has %d lines; a batch can have %d here.", file.Lines, g.MaxLines)
		if err := setMetadata(job, o.Metadata, *from); err != nil {
			return err
		}
		input = io.NopCloser(strings.NewReader("\n"))
	} else {
		input = g.files.Open(c.ctx, file, 0)
	}
	defer func() { _ = input.Close() }()
	h, err := c.client(g).Submit(c.ctx, *job, jobs.WithInput(input), jobs.WithEndpoint(schema.Endpoint(from.Endpoint)))
	switch {
	case errors.Is(err, jobs.ErrIDConflict):
		return reusedKey()
	case errors.Is(err, jobs.ErrAgedOut): // deleted while it was copied
		return noInput(o.InputFileID)
	case err != nil:
		return err
	}
	g.Log.Info().Str("key", c.key.Name).Str("request", c.r.Header.Get(requestID)).Str("job", h.ID()).Str("file", file.ID).Int64("bytes", file.Bytes).Msg("a batch was created")
	state, err := h.State(c.ctx)
	if err != nil {
		// It is there: this is what is certain of it.
		g.Log.Debug().Err(err).Str("job", h.ID()).Msg("the state of a job just submitted could not be read")
		state = &schema.State{ID: h.ID(), Queue: h.Queue(), State: schema.Queued, CreatedAt: time.Now().UTC(), Metadata: job.Metadata}
	}
	return c.answer(batchOf(state, false, g.Store.LongestDeadline()))
}

// jobFor makes the job that was ordered, but for its input.
func (g *Gateway) jobFor(c *call, o *order) (*schema.Job, *origin, error) {
	o.Endpoint = string(schema.KnownEndpoint(o.Endpoint))
	if !slices.Contains(endpoints, schema.Endpoint(o.Endpoint)) {
		var names []string
		for _, e := range endpoints {
			names = append(names, string(e))
		}
		return nil, nil, invalid("endpoint", "invalid_value", "Invalid value: '%s'. Supported values are: %s.", clip(o.Endpoint), strings.Join(names, ", "))
	}
	window, err := parseWindow(o.CompletionWindow)
	if err != nil {
		return nil, nil, invalid("completion_window", "invalid_value", "completion_window %v, not '%s'.", err, clip(o.CompletionWindow))
	}
	if longest := g.Store.LongestDeadline(); window > longest {
		return nil, nil, invalid("completion_window", "invalid_value",
			"completion_window can be %v at most here: half of the time for which results are kept (PELTON_RESULTS_MAX_AGE).", longest)
	}
	from := origin{Key: c.key.Name, InputFile: o.InputFileID, Endpoint: o.Endpoint, Window: o.CompletionWindow}
	if o.KeepOutput != nil {
		if err := o.KeepOutput.check("output_expires_after"); err != nil {
			return nil, nil, err
		}
		from.KeepFor = o.KeepOutput.Seconds
	}
	job := &schema.Job{Deadline: schema.Deadline{After: window}}
	if err := setMetadata(job, o.Metadata, from); err != nil {
		return nil, nil, err
	}
	return job, &from, nil
}

func noInput(id string) error {
	return invalid("input_file_id", "invalid_value", "No such File object: %s. Upload it first, with the purpose 'batch'.", clip(id))
}

// inputFile finds the file that a batch is to run.
func (g *Gateway) inputFile(c *call, id string) (*File, error) {
	file, err := g.files.Get(c.ctx, id)
	if errors.Is(err, jobs.ErrNotFound) || err == nil && !c.key.sees(file.Queue, file.Owner) {
		return nil, noInput(id)
	}
	if err != nil {
		return nil, err
	}
	return file, nil
}

// repeatable is the id of the job that an idempotency key stands for.
func repeatable(k *Key, key string) string {
	hash := sha256.Sum256([]byte(k.Queue + "\x00" + k.Name + "\x00" + key))
	return "i" + hex.EncodeToString(hash[:20])
}

func reusedKey() error {
	return &apiError{Status: http.StatusConflict, Type: "idempotency_error", Code: "idempotency_key_reused",
		Message: "This Idempotency-Key belongs to a batch with other parameters: use another."}
}

// repeated answers with the batch that an earlier request with the same key has
// made, and reports whether there is one.
func (g *Gateway) repeated(c *call, job *schema.Job) (bool, error) {
	state, err := c.client(g).Job(c.key.Queue, job.ID).State(c.ctx)
	if errors.Is(err, jobs.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	was, own := readMetadata(state.Metadata)
	is, want := readMetadata(job.Metadata)
	was.TooMany = "" // found when the file was looked at, which is not done again
	if was != is || !maps.Equal(own, want) {
		return false, reusedKey()
	}
	b, err := g.describe(c, state)
	if err != nil {
		return false, err
	}
	return true, c.answer(b)
}

// describe is batchOf with what only the broker knows.
func (g *Gateway) describe(c *call, s *schema.State) (*batch, error) {
	cancelled := false
	if !s.State.Final() {
		var err error
		if _, cancelled, err = c.client(g).Job(s.Queue, s.ID).Cancelled(c.ctx); err != nil {
			return nil, err
		}
	}
	return batchOf(s, cancelled, g.Store.LongestDeadline()), nil
}

// job finds a batch's job, if it is there for the key.
func (g *Gateway) job(c *call, id string) (*jobs.Handle, *schema.State, error) {
	h := c.client(g).Job(c.key.Queue, id)
	state, err := h.State(c.ctx)
	if err != nil {
		return nil, nil, err
	}
	if from, _ := readMetadata(state.Metadata); !c.key.sees(state.Queue, from.Key) {
		return nil, nil, jobs.ErrNotFound
	}
	return h, state, nil
}

func (g *Gateway) batchJob(c *call) (*jobs.Handle, *schema.State, error) {
	name := c.r.PathValue("id")
	id, ok := jobID(name)
	if !ok {
		return nil, nil, noBatch(name)
	}
	h, state, err := g.job(c, id)
	if errors.Is(err, jobs.ErrNotFound) {
		err = noBatch(name)
	}
	return h, state, err
}

func (g *Gateway) getBatch(c *call) error {
	_, state, err := g.batchJob(c)
	if err != nil {
		return err
	}
	b, err := g.describe(c, state)
	if err != nil {
		return err
	}
	return c.answer(b)
}

func (g *Gateway) cancelBatch(c *call) error {
	h, state, err := g.batchJob(c)
	if err != nil {
		return err
	}
	switch status := statusOf(state, false); {
	case status == "cancelled":
	case state.State.Final():
		return &apiError{Status: http.StatusConflict, Code: "batch_not_cancellable", Message: "Cannot cancel a batch with status '" + status + "'."}
	default:
		if err := h.Cancel(c.ctx, "cancelled over HTTP"); err != nil {
			return err
		}
	}
	b := batchOf(state, true, g.Store.LongestDeadline())
	if b.Status == "cancelling" {
		b.CancellingAt = unix(time.Now())
	}
	return c.answer(b)
}

// visible are the states of the key's jobs, newest first.
func (g *Gateway) visible(c *call) ([]schema.State, error) {
	states, err := c.client(g).List(c.ctx)
	return slices.DeleteFunc(states, func(s schema.State) bool {
		from, _ := readMetadata(s.Metadata)
		return !c.key.sees(s.Queue, from.Key)
	}), err
}

func (g *Gateway) listBatches(c *call) error {
	p, err := readPage(c, 20, 100)
	if err != nil {
		return err
	}
	states, err := g.visible(c)
	if err != nil {
		return err
	}
	from := 0
	if p.after != "" {
		from = 1 + slices.IndexFunc(states, func(s schema.State) bool { return batchPrefix+s.ID == p.after })
		if from == 0 {
			return noBatch(p.after)
		}
	}
	out := list[*batch]{Object: "list", Data: []*batch{}}
	for i := from; i < len(states); i++ {
		if len(out.Data) == p.limit {
			out.HasMore = true
			break
		}
		b, err := g.describe(c, &states[i])
		if err != nil {
			return err
		}
		out.add(b, b.ID)
	}
	return c.answer(out)
}
