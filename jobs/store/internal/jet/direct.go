package jet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Direct reads single messages without a consumer: from whichever server has a
// copy of the stream, or from its leader.
type Direct struct {
	c          *Conn
	counted    atomic.Bool // it is known how many copies of each stream there are
	replicated atomic.Bool // there are several
}

// LastMsg returns the last message on a subject, or nil when there is none. That
// there is none only a stream's leader can tell: of three copies one may be
// behind. To ask the leader is a right over the whole stream; whoever lacks it
// believes a copy.
func (d *Direct) LastMsg(ctx context.Context, stream, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, AckTime) // a question can die with the node it was put to
	defer cancel()
	if !d.replicated.Load() {
		m, err := d.anyMsg(ctx, stream, subject)
		if m != nil || err != nil || d.counted.Load() {
			return m, err
		}
		if err := d.countCopies(ctx); err != nil && !errors.Is(err, ErrDenied) {
			return nil, err
		}
		if !d.replicated.Load() {
			return nil, nil
		}
	}
	m, err := d.leaderMsg(ctx, stream, subject)
	if errors.Is(err, ErrDenied) {
		return d.anyMsg(ctx, stream, subject)
	}
	return m, err
}

// HasCopies notes how many copies of a stream there are.
func (d *Direct) HasCopies(n int) {
	if n > 1 {
		d.replicated.Store(true)
	}
}

// CopiesKnown notes that hasCopies was told of every stream.
func (d *Direct) CopiesKnown() { d.counted.Store(true) }

// countCopies learns whether the streams are replicated, for a store that has
// not set them up itself.
func (d *Direct) countCopies(ctx context.Context) error {
	state, err := d.c.Stream(ctx, "KV_"+d.c.Names.StateBucket())
	if err != nil {
		return err
	}
	d.HasCopies(state.Config.Replicas)
	d.CopiesKnown()
	return nil
}

// anyMsg is lastMsg as whichever server has a copy of the stream knows it.
func (d *Direct) anyMsg(ctx context.Context, stream, subject string) (*jetstream.RawStreamMsg, error) {
	// Straight to the direct-get subject: a stream handle would cost a look-up.
	reply, err := d.c.Request(ctx, "$JS.API.DIRECT.GET."+stream+"."+subject, nil)
	if err != nil {
		return nil, err
	}
	return directMsg(subject, reply)
}

// NextMsg returns the first message of a filter behind a sequence, or nil when
// there is none, as whichever server has a copy of the stream knows it.
func (d *Direct) NextMsg(ctx context.Context, stream, filter string, after uint64) (m *jetstream.RawStreamMsg, err error) {
	ask, err := json.Marshal(map[string]any{"seq": after + 1, "next_by_subj": filter})
	if err != nil {
		return nil, err
	}
	err = d.c.Read(ctx, func(ctx context.Context) error {
		reply, err := d.c.Request(ctx, "$JS.API.DIRECT.GET."+stream, ask)
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
func (d *Direct) leaderMsg(ctx context.Context, stream, subject string) (*jetstream.RawStreamMsg, error) {
	ask, err := json.Marshal(map[string]string{"last_by_subj": subject})
	if err != nil {
		return nil, err
	}
	reply, err := d.c.Request(ctx, "$JS.API.STREAM.MSG.GET."+stream, ask)
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
