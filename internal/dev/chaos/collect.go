package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/schema"
)

// evidence gathers everything once all jobs and readers have ended.
func (r *round) evidence(ctx context.Context) (*Evidence, error) {
	e := &Evidence{Cap: queueCap, Slots: slots, Faults: r.faults}
	byID := map[string]*Job{}
	for _, j := range r.jobs {
		e.Jobs = append(e.Jobs, Job{
			ID: j.job.ID, Total: j.total, Concurrency: j.job.Concurrency,
			FailFast: j.job.FailFast.Failures > 0, Cancelled: j.cancelled,
		})
	}
	for i := range e.Jobs {
		byID[e.Jobs[i].ID] = &e.Jobs[i]
	}
	for _, reader := range r.live {
		e.Readings = append(e.Readings, reader.Reading)
	}
	js, err := jetstream.New(r.admin)
	if err != nil {
		return nil, err
	}
	stream, err := js.Stream(ctx, "PELTON_RESULTS")
	if err != nil {
		return nil, err
	}
	state := stream.CachedInfo().State
	e.Missing = int(state.LastSeq) - int(state.Msgs)
	if state.Msgs == 0 {
		return e, nil
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, err
	}
	it, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, err
		}
		meta, err := m.Metadata()
		if err != nil {
			return nil, err
		}
		if err := keep(byID, m, meta); err != nil {
			return nil, err
		}
		if meta.NumPending == 0 {
			return e, nil
		}
	}
}

// keep sorts one stored message into the evidence.
func keep(byID map[string]*Job, m jetstream.Msg, meta *jetstream.MsgMetadata) error {
	tokens := strings.Split(m.Subject(), ".") // pelton.results.default.JOB.INDEX
	job := byID[tokens[3]]
	if job == nil {
		return fmt.Errorf("%s: a job that nobody submitted", m.Subject())
	}
	if tokens[4] == schema.EndToken {
		s, err := schema.ParseState(m.Data())
		if err != nil {
			return fmt.Errorf("%s: %w", m.Subject(), err)
		}
		job.Ends = append(job.Ends, End{meta.Sequence.Stream, meta.Timestamp, s.State, s.Total, s.Counts, s.Bill()})
		return nil
	}
	result, err := schema.ParseResult(m.Data())
	if err != nil {
		return fmt.Errorf("%s: %w", m.Subject(), err)
	}
	stored := Stored{
		Index: result.Index, Seq: meta.Sequence.Stream, At: meta.Timestamp, Status: result.Status,
		CustomID: result.CustomID, Answer: answerOf(result), Attempts: result.Attempts, Bill: result.Bill(),
	}
	if result.FinishedAt != nil {
		stored.Finished = *result.FinishedAt
	}
	if strconv.Itoa(stored.Index) != tokens[4] {
		return fmt.Errorf("%s holds the result of index %d", m.Subject(), stored.Index)
	}
	job.Results = append(job.Results, stored)
	return nil
}

func answerOf(r *schema.Result) string {
	var body struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if r.Response == nil || json.Unmarshal(r.Response.Body, &body) != nil || len(body.Choices) == 0 {
		return ""
	}
	return body.Choices[0].Message.Content
}
