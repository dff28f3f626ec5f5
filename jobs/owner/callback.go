package owner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"pelton/jobs/store"
	"pelton/schema"
)

// callbackPauses are the pauses between tries to deliver a callback, each up to
// a fifth longer.
var callbackPauses = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour,
}

// laterError hands a job's message back for a while, without a word in the log: until
// its callback is due again, or there may be room for it.
type laterError struct{ wait time.Duration }

func (e *laterError) Error() string {
	return fmt.Sprintf("the job is looked at again in %v", e.wait.Round(time.Second))
}

// callBack tells the end of a job to where the job asked for it. Nothing of it
// changes how the job ended. Where the webhook does not take it, the record says
// so and the job's message is handed back until the next try: it is what brings
// the record before an owner again, whoever dies meanwhile.
func (o *Owner) callBack(ctx context.Context, rec *store.Record, job *schema.Job) error {
	c := rec.Callback
	if c == nil || c.Attempts == 0 {
		o.notify(rec, job)
	}
	if c == nil || c.Status != schema.CallbackPending {
		return nil
	}
	if c.NextAt != nil && time.Until(*c.NextAt) > 0 { // redelivered early: its owner died
		return &laterError{time.Until(*c.NextAt)}
	}
	id, body, err := callbackMessage(rec)
	if err != nil {
		return err
	}
	again, err := o.send(ctx, c.Name, id, body)
	if err != nil && o.stopping() {
		return errReleased
	}
	next := *c
	next.Attempts++
	next.NextAt, next.Error, next.Status = nil, "", schema.CallbackDelivered
	var wait time.Duration
	if err != nil {
		next.Error, next.Status = err.Error(), schema.CallbackFailed
		if pauses := callbackPausesOf(o.Store.Settings); again && next.Attempts <= len(pauses) {
			wait = pauses[next.Attempts-1]
			wait += time.Duration(rand.Int64N(int64(wait)/5 + 1))
			at := time.Now().Add(wait).UTC()
			next.Status, next.NextAt = schema.CallbackPending, &at
		}
	}
	rec.Callback = &next
	if err := o.Store.Records.Save(ctx, rec); err != nil {
		return err // it is sent again, under the same id
	}
	logCallback(&o.Log, rec, err)
	if next.Status == schema.CallbackPending {
		return &laterError{wait}
	}
	return nil
}

func callbackPausesOf(s store.Settings) []time.Duration {
	if s.CallbackPauses != nil {
		return s.CallbackPauses
	}
	return callbackPauses
}

func logCallback(log *zerolog.Logger, rec *store.Record, err error) {
	c := rec.Callback
	line := log.Info()
	text := "callback delivered"
	switch c.Status {
	case schema.CallbackPending:
		line, text = log.Warn().Err(err).Time("next", *c.NextAt), "the callback was not taken; it is tried again"
	case schema.CallbackFailed:
		line, text = log.Error().Err(err), "the callback was not taken, and is given up"
	}
	line.Str("job", rec.ID).Str("queue", rec.Queue).Str("webhook", c.Name).Int("attempt", c.Attempts).Msg(text)
}

// send is one try, which the end of this process's owning ends.
func (o *Owner) send(ctx context.Context, name, id string, body []byte) (again bool, err error) {
	if o.Store.Callbacks == nil {
		return true, fmt.Errorf("this worker's configuration has no webhooks")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-o.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	return o.Store.Callbacks.Send(ctx, name, id, body)
}

func (o *Owner) stopping() bool {
	select {
	case <-o.quit:
		return true
	default:
		return o.hard.Err() != nil
	}
}

// callbackMessage is what a webhook is told: the same under the same id, however
// often it is sent.
func callbackMessage(rec *store.Record) (id string, body []byte, err error) {
	state := rec.State
	state.Callback = nil
	if state.FinishedAt != nil {
		state.UpdatedAt = *state.FinishedAt
	}
	body, err = json.Marshal(struct {
		Type      string       `json:"type"`
		Timestamp time.Time    `json:"timestamp"`
		Data      schema.State `json:"data"`
	}{"job.ended", state.UpdatedAt, state})
	sum := sha256.Sum256([]byte(rec.Queue + "." + rec.ID + "." + strconv.FormatUint(rec.Seq, 10)))
	return "msg_" + hex.EncodeToString(sum[:16]), body, err
}

// notify publishes the final state on the subject that the job names for its
// end. Whoever does not listen misses it.
func (o *Owner) notify(rec *store.Record, job *schema.Job) {
	if job.Notify == "" || !o.Store.MayReply(job.Notify) {
		return
	}
	to := o.Store.Live.Reply(job.Notify)
	defer to.Close()
	err := to.SendEnd(&rec.State)
	if err == nil {
		err = to.Flush(context.Background())
	}
	if err != nil {
		o.Log.Error().Err(err).Str("job", rec.ID).Msg("the end could not be told on the job's notify subject")
	}
}
