package queue

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/jobs/store"
)

// A broker that was restarted may have forgotten to whom it gave what, and gives it
// to somebody else though the first one still has it in hand. So workers say, when
// they are asked, what they have begun: see [schema.Names.Held].

// Hold is how a worker has a request in hand.
type Hold int

// The holds.
const (
	HeldNot      Hold = iota
	HeldInCall        // it is begun
	HeldAnswered      // its answer is on its way to the store
)

// ErrUnsettled means that it cannot be said yet what other processes hold: the
// connection is new, and theirs may not be there again.
var ErrUnsettled = errors.New("other workers may not be connected yet")

// settleTime is how long after a connection was lost, or made, those of all other
// workers are there again: they try twice a second.
const settleTime = 1500 * time.Millisecond

// held is what a [Stream] knows of its connection, for what it asks and answers.
type held struct {
	stopAnswering func() // nil: it does not answer

	mu       sync.Mutex
	losses   uint64    // of the connection, as last seen
	lossesAt time.Time // when that was seen first
}

func (h *held) stop() {
	if h.stopAnswering != nil {
		h.stopAnswering()
	}
}

// settled reports whether the connection was not lost lately.
func (h *held) settled(losses uint64, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if losses != h.losses {
		h.losses, h.lossesAt = losses, now
	}
	return now.Sub(h.lossesAt) > settleTime
}

// answerHeld begins to answer what is held here.
func (s *Stream) answerHeld() {
	var err error
	if s.held.stopAnswering, err = onHeldAsked(s.st, s.heldHere); err != nil { // of a broker whose rights are older
		s.log.Warn().Err(err).Msg("cannot tell other workers what is in hand here: after a restart of the broker, calls may be made twice")
	}
}

// heldHere lists the requests of a job that are begun here, or one of them.
func (s *Stream) heldHere(job store.JobKey, index int) map[int]Hold {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := map[int]Hold{}
	note := func(l *streamLease) {
		if how := Hold(l.hold.Load()); how > HeldNot {
			list[l.item.Index] = how
		}
	}
	if index >= 0 {
		it := Item{Queue: job.Queue, Job: job.ID, Index: index}
		if l := s.running[it.Key()]; l != nil {
			note(l)
		}
		return list
	}
	for _, l := range s.running {
		if l.item.JobKey() == job {
			note(l)
		}
	}
	return list
}

// Held implements [Feeder].
func (s *Stream) Held(ctx context.Context, job store.JobKey) (map[int]Hold, error) {
	return s.ask(ctx, job, -1)
}

// Elsewhere implements [Lease]. What the broker certainly has given to nobody, and no
// owner has fed before, is not asked for: between machines whose clocks differ, all
// that comes looks as if it were late.
func (l *streamLease) Elsewhere(ctx context.Context) (bool, error) {
	if l.d.First() && !l.item.MaybeBegun {
		return false, nil
	}
	held, err := l.s.ask(ctx, l.item.JobKey(), l.item.Index)
	return held[l.item.Index] > HeldNot, err
}

// ask asks what is held of a job. That something is not held is believed only where
// all others can have answered.
func (s *Stream) ask(ctx context.Context, job store.JobKey, index int) (map[int]Hold, error) {
	settled := s.held.settled(s.st.Conn().Stats().Reconnects, time.Now())
	list, err := askHeld(ctx, s.st, job, index)
	if err == nil && !settled && (index < 0 || list[index] == HeldNot) {
		err = ErrUnsettled
	}
	return list, err
}

// heldTime is how long the answers of workers are waited for.
const heldTime = 500 * time.Millisecond

// askHeld asks all workers which requests of a job they have begun and are not done
// with; index is one to ask for alone, negative for all. Who does not answer within
// half a second holds none. An error says that they could not be asked.
func askHeld(ctx context.Context, st *store.Store, job store.JobKey, index int) (map[int]Hold, error) {
	ctx, cancel := context.WithTimeout(ctx, heldTime)
	defer cancel()
	nc := st.Conn()
	if !nc.IsConnected() {
		return nil, nats.ErrDisconnected
	}
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	m := &nats.Msg{Subject: st.Names.Held(job.Queue, job.ID), Reply: inbox}
	if index >= 0 {
		m.Data = strconv.AppendInt(nil, int64(index), 10)
	}
	losses := nc.Stats().Reconnects
	if err := nc.PublishMsg(m); err != nil {
		return nil, err
	}
	held := map[int]Hold{}
	for {
		answer, err := sub.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return held, nil
		case err != nil && (!nc.IsConnected() || nc.Stats().Reconnects != losses):
			return nil, nats.ErrDisconnected
		case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
			return held, nil
		case err != nil:
			return nil, err
		}
		for text := range strings.SplitSeq(string(answer.Data), ",") {
			text, answered := strings.CutSuffix(text, "+")
			n, err := strconv.Atoi(text)
			switch {
			case err != nil || n < 0 || n >= store.MaxRequests:
			case answered:
				held[n] = HeldAnswered
			default:
				held[n] = max(held[n], HeldInCall)
			}
		}
		if index >= 0 && held[index] > HeldNot {
			return held, nil
		}
	}
}

// onHeldAsked has f called when somebody asks for the requests of a job that are held
// here; it returns them, or the one that is asked for, if it is.
func onHeldAsked(st *store.Store, f func(job store.JobKey, index int) map[int]Hold) (stop func(), err error) {
	subject := st.Names.Held("*", "*")
	sub, err := st.Conn().Subscribe(subject, func(m *nats.Msg) {
		at, ok := st.Names.Parse("fleet.held", m.Subject)
		if !ok || m.Reply == "" {
			return
		}
		index := -1
		if len(m.Data) > 0 {
			var err error
			if index, err = strconv.Atoi(string(m.Data)); err != nil {
				return
			}
		}
		held := f(store.JobKey{Queue: at.Queue, ID: at.Job}, index)
		if len(held) == 0 {
			return
		}
		var list []byte
		for n, how := range held {
			if list != nil {
				list = append(list, ',')
			}
			if list = strconv.AppendInt(list, int64(n), 10); how == HeldAnswered {
				list = append(list, '+')
			}
		}
		_ = m.Respond(list)
	})
	if err != nil {
		return nil, err
	}
	stop = func() { _ = sub.Unsubscribe() }
	if err := st.Subscribed(subject); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}
