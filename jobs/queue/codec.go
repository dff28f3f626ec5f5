package queue

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/jobs/store"
	"pelton/schema"
)

// encode makes the message of a request: the body as the message's data, everything
// else in headers.
func encode(names schema.Names, it *Item) *nats.Msg {
	m := nats.NewMsg(names.Work(it.Queue, it.Job, it.Index))
	h := m.Header
	h.Set(schema.HeaderJob, it.Job)
	h.Set(schema.HeaderIndex, strconv.Itoa(it.Index))
	h.Set(schema.HeaderTotal, strconv.Itoa(it.Total))
	h.Set(schema.HeaderURL, string(it.Endpoint))
	h.Set(schema.HeaderTimeout, it.Timeout.String())
	if it.Attempt > 0 {
		h.Set(schema.HeaderAttemptTimeout, it.Attempt.String())
	}
	h.Set(schema.HeaderDeadline, it.Deadline.UTC().Format(time.RFC3339Nano))
	h.Set(schema.HeaderQueuedAt, it.QueuedAt.UTC().Format(time.RFC3339Nano))
	h.Set(schema.HeaderFedAt, strconv.FormatInt(it.FedAt.UnixMilli(), 10))
	if it.CustomID != "" {
		h.Set(schema.HeaderCustomID, store.HeaderText(it.CustomID))
	}
	if it.Include {
		h.Set(schema.HeaderInclude, "true")
	}
	for _, tag := range it.Tags {
		h.Add(schema.HeaderTags, store.HeaderText(tag))
	}
	if it.MaybeBegun {
		h.Set(schema.HeaderAgain, "true")
	}
	if it.Trace != "" {
		h.Set(schema.HeaderTrace, it.Trace)
	}
	if it.Object != "" {
		h.Set(schema.HeaderObject, it.Object)
	} else {
		m.Data = it.Body
	}
	return m
}

// mostTags is how many tags a request has at most.
const mostTags = 32

// Decode reads a request from a message of the work stream. A body that lies in the
// object store is fetched. The error names the subject and the header at fault.
func Decode(ctx context.Context, st *store.Store, m *nats.Msg) (*Item, error) {
	at, ok := st.Names.Parse("work", m.Subject)
	if !ok {
		return nil, fmt.Errorf("%s is no subject of a request", m.Subject)
	}
	h := m.Header
	it := &Item{
		Queue: at.Queue, Job: at.Job, Index: at.Index,
		CustomID:   store.HeaderValue(h.Get(schema.HeaderCustomID)),
		Endpoint:   schema.Endpoint(h.Get(schema.HeaderURL)),
		Include:    h.Get(schema.HeaderInclude) == "true",
		Trace:      store.TraceText(h.Get(schema.HeaderTrace)),
		MaybeBegun: h.Get(schema.HeaderAgain) == "true",
		Body:       m.Data,
		Object:     h.Get(schema.HeaderObject),
	}
	it.goesBy(st.Live)
	tags := h.Values(schema.HeaderTags)
	for _, tag := range tags[:min(len(tags), mostTags)] {
		it.Tags = append(it.Tags, store.HeaderValue(tag))
	}
	var err error
	if it.Total, err = strconv.Atoi(h.Get(schema.HeaderTotal)); err != nil {
		return nil, fmt.Errorf("%s: header %s: %w", m.Subject, schema.HeaderTotal, err)
	}
	if it.Total <= it.Index {
		return nil, fmt.Errorf("%s: header %s: a job of %d requests has no index %d", m.Subject, schema.HeaderTotal, it.Total, it.Index)
	}
	if it.Timeout, err = time.ParseDuration(h.Get(schema.HeaderTimeout)); err != nil {
		return nil, fmt.Errorf("%s: header %s: %w", m.Subject, schema.HeaderTimeout, err)
	}
	if text := h.Get(schema.HeaderAttemptTimeout); text != "" {
		if it.Attempt, err = time.ParseDuration(text); err != nil {
			return nil, fmt.Errorf("%s: header %s: %w", m.Subject, schema.HeaderAttemptTimeout, err)
		}
	}
	if it.Deadline, err = time.Parse(time.RFC3339Nano, h.Get(schema.HeaderDeadline)); err != nil {
		return nil, fmt.Errorf("%s: header %s: %w", m.Subject, schema.HeaderDeadline, err)
	}
	if it.QueuedAt, err = time.Parse(time.RFC3339Nano, h.Get(schema.HeaderQueuedAt)); err != nil {
		return nil, fmt.Errorf("%s: header %s: %w", m.Subject, schema.HeaderQueuedAt, err)
	}
	if ms, err := strconv.ParseInt(h.Get(schema.HeaderFedAt), 10, 64); err == nil {
		it.FedAt = time.UnixMilli(ms)
	}
	if it.Object != "" {
		if it.Body, err = st.Objects.GetBody(ctx, it.Object); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Subject, err)
		}
	}
	return it, nil
}
