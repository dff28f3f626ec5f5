package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// lastMsg returns the last message on a subject, or nil when there is none. That
// there is none only a stream's leader can tell: of three copies one may be
// behind. To ask the leader is a right over the whole stream; whoever lacks it
// believes a copy.
func (c *conn) lastMsg(ctx context.Context, stream, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, ackTime) // a question can die with the node it was put to
	defer cancel()
	if !c.replicated.Load() {
		m, err := c.anyMsg(ctx, stream, subject)
		if m != nil || err != nil || c.counted.Load() {
			return m, err
		}
		if err := c.countCopies(ctx); err != nil && !errors.Is(err, ErrDenied) {
			return nil, err
		}
		if !c.replicated.Load() {
			return nil, nil
		}
	}
	m, err := c.leaderMsg(ctx, stream, subject)
	if errors.Is(err, ErrDenied) {
		return c.anyMsg(ctx, stream, subject)
	}
	return m, err
}

// hasCopies notes how many copies of a stream there are.
func (c *conn) hasCopies(n int) {
	if n > 1 {
		c.replicated.Store(true)
	}
}

// copiesKnown notes that hasCopies was told of every stream.
func (c *conn) copiesKnown() { c.counted.Store(true) }

// countCopies learns whether the streams are replicated, for a store that has
// not set them up itself.
func (c *conn) countCopies(ctx context.Context) error {
	state, err := c.stream(ctx, "KV_"+c.Names.StateBucket())
	if err != nil {
		return err
	}
	c.hasCopies(state.Config.Replicas)
	c.copiesKnown()
	return nil
}

// anyMsg is lastMsg as whichever server has a copy of the stream knows it.
func (c *conn) anyMsg(ctx context.Context, stream, subject string) (*jetstream.RawStreamMsg, error) {
	// Straight to the direct-get subject: a stream handle would cost a look-up.
	reply, err := c.Request(ctx, "$JS.API.DIRECT.GET."+stream+"."+subject, nil)
	if err != nil {
		return nil, err
	}
	return directMsg(subject, reply)
}

// nextMsg returns the first message of a filter behind a sequence, or nil when
// there is none, as whichever server has a copy of the stream knows it.
func (c *conn) nextMsg(ctx context.Context, stream, filter string, after uint64) (m *jetstream.RawStreamMsg, err error) {
	ask, err := json.Marshal(map[string]any{"seq": after + 1, "next_by_subj": filter})
	if err != nil {
		return nil, err
	}
	err = c.read(ctx, func(ctx context.Context) error {
		reply, err := c.Request(ctx, "$JS.API.DIRECT.GET."+stream, ask)
		if err == nil {
			m, err = directMsg(filter, reply)
		}
		return err
	})
	return m, err
}

// directMsg reads the answer to a direct get of what; nil: there is none.
func directMsg(what string, reply *nats.Msg) (*jetstream.RawStreamMsg, error) {
	switch status := reply.Header.Get("Status"); status {
	case "":
	case "404":
		return nil, nil
	default:
		return nil, fmt.Errorf("read %s: %s %s", what, status, reply.Header.Get("Description"))
	}
	seq, err := strconv.ParseUint(reply.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read %s: no sequence in the answer", what)
	}
	return &jetstream.RawStreamMsg{Subject: reply.Header.Get(jetstream.SubjectHeader), Sequence: seq, Header: reply.Header, Data: reply.Data}, nil
}

// leaderMsg is lastMsg as the stream's leader knows it.
func (c *conn) leaderMsg(ctx context.Context, stream, subject string) (*jetstream.RawStreamMsg, error) {
	ask, err := json.Marshal(map[string]string{"last_by_subj": subject})
	if err != nil {
		return nil, err
	}
	reply, err := c.Request(ctx, "$JS.API.STREAM.MSG.GET."+stream, ask)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Error   *jetstream.APIError
		Message struct {
			Seq  uint64
			Time time.Time
			Hdrs []byte
			Data []byte
		}
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, fmt.Errorf("read %s: %w", subject, err)
	}
	if answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
		return nil, nil
	}
	if answer.Error != nil {
		return nil, Explain(fmt.Errorf("read %s: %w", subject, answer.Error))
	}
	m := &jetstream.RawStreamMsg{Subject: subject, Sequence: answer.Message.Seq, Time: answer.Message.Time, Data: answer.Message.Data, Header: nats.Header{}}
	if len(answer.Message.Hdrs) > 0 {
		m.Header, err = nats.DecodeHeadersMsg(answer.Message.Hdrs)
	}
	return m, err
}
