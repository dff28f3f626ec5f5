package jet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/nats/denied"
)

// publisher stores messages in streams and reports what became of each. It is
// made for many small messages at once: one inbox for all acknowledgements, no
// goroutine and no timer for each, and no context to end. It is safe for
// concurrent use.
//
// A message's reply subject is that of a slot, which is used again once its
// acknowledgement is here: the server knows the way to it by then, where each
// new subject costs it a search. A slot whose acknowledgement is late is given
// up, so that no late acknowledgement is taken for another message's.
type publisher struct {
	nc     *nats.Conn
	inbox  string
	watch  *denied.Watcher
	open   sync.Once
	broken error // why there is no inbox

	mu      sync.Mutex
	last    uint64 // of all slots that were ever used
	free    []replySlot
	waiting map[uint64]waitingAck // by slot
	sweeper *time.Timer           // runs while something waits
}

type replySlot struct {
	number uint64
	reply  string
}

type waitingAck struct {
	slot    replySlot
	subject string
	sent    time.Time
	done    func(seq uint64, err error)
}

func newPublisher(nc *nats.Conn, watch *denied.Watcher) *publisher {
	return &publisher{nc: nc, watch: watch, inbox: nc.NewInbox() + ".", waiting: map[uint64]waitingAck{}}
}

// listen opens the inbox, which lives as long as the connection.
func (p *publisher) listen() {
	sub, err := p.nc.Subscribe(p.inbox+"*", p.onAck)
	if err != nil {
		p.broken = err
		return
	}
	_ = sub.SetPendingLimits(-1, -1) // what waits bounds it
	sub.SetClosedHandler(func(string) {
		p.fail(nats.ErrConnectionClosed, func(waitingAck) bool { return true })
	})
	p.guard()
}

// guard fails what the server refuses. A call hears of one refusal: then the next
// call listens.
func (p *publisher) guard() {
	p.watch.Begin(func(refused *denied.Error) {
		go func() {
			p.fail(refused, func(w waitingAck) bool { return refused.Inbox || w.subject == refused.Subject })
			if !refused.Inbox {
				p.guard()
			}
		}()
	}, ">")
}

// send publishes a message and returns at once. done is called when it is
// stored, or not, or no answer has come for ackTime; it must not block. An error
// says that the message was not sent, and that done is not called.
func (p *publisher) send(m *nats.Msg, done func(seq uint64, err error)) error {
	if p.open.Do(p.listen); p.broken != nil {
		return p.broken
	}
	p.mu.Lock()
	slot := p.slot()
	p.waiting[slot.number] = waitingAck{slot, m.Subject, time.Now(), done}
	if p.sweeper == nil {
		p.sweeper = time.AfterFunc(AckTime/4, p.sweep)
	}
	p.mu.Unlock()
	m.Reply = slot.reply
	err := p.nc.PublishMsg(m)
	if err != nil {
		if _, waited := p.take(slot.number); !waited {
			return nil // done was called meanwhile
		}
	}
	return err
}

// slot returns one that nothing is expected on. Called with mu held.
func (p *publisher) slot() replySlot {
	if last := len(p.free) - 1; last >= 0 {
		slot := p.free[last]
		p.free = p.free[:last]
		return slot
	}
	p.last++
	return replySlot{p.last, p.inbox + strconv.FormatUint(p.last, 36)}
}

// ack is the answer that one [conn.store] waits for.
type ack struct {
	done chan struct{}
	seq  uint64
	err  error
	put  func(uint64, error)
}

var acks = sync.Pool{New: func() any {
	a := &ack{done: make(chan struct{}, 1)}
	a.put = func(seq uint64, err error) {
		a.seq, a.err = seq, err
		a.done <- struct{}{}
	}
	return a
}}

func (p *publisher) take(n uint64) (w waitingAck, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok = p.waiting[n]
	delete(p.waiting, n)
	return w, ok
}

func (p *publisher) onAck(m *nats.Msg) {
	n, err := strconv.ParseUint(m.Subject[len(p.inbox):], 36, 64)
	if err != nil {
		return
	}
	if w, ok := p.answered(n); ok {
		w.done(readAck(m))
	}
}

// answered is take for a slot whose acknowledgement is here: it may be used again.
func (p *publisher) answered(n uint64) (w waitingAck, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w, ok = p.waiting[n]; ok {
		delete(p.waiting, n)
		p.free = append(p.free, w.slot)
	}
	return w, ok
}

// sweep fails what has waited for too long.
func (p *publisher) sweep() {
	late := time.Now().Add(-AckTime)
	p.fail(nats.ErrTimeout, func(w waitingAck) bool { return w.sent.Before(late) })
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		p.sweeper = nil
		return
	}
	p.sweeper.Reset(AckTime / 4)
}

// fail reports err to some of those that wait.
func (p *publisher) fail(err error, which func(waitingAck) bool) {
	var some []waitingAck
	p.mu.Lock()
	for n, w := range p.waiting {
		if which(w) {
			some = append(some, w)
			delete(p.waiting, n)
		}
	}
	p.mu.Unlock()
	for _, w := range some {
		w.done(0, err)
	}
}

// readAck reads a stream's answer to a publish.
func readAck(m *nats.Msg) (seq uint64, err error) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return 0, jetstream.ErrNoStreamResponse
	}
	if rest, ok := bytes.CutPrefix(m.Data, []byte(`{"stream":"`)); ok {
		if _, rest, ok = bytes.Cut(rest, []byte(`","seq":`)); ok {
			for _, c := range rest {
				if c < '0' || c > '9' {
					break
				}
				seq = 10*seq + uint64(c-'0')
			}
			if seq > 0 {
				return seq, nil
			}
		}
	}
	var answer struct {
		Error *jetstream.APIError `json:"error"`
		Seq   uint64              `json:"seq"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return 0, fmt.Errorf("the stream's answer cannot be read: %w", err)
	}
	if answer.Error != nil {
		return 0, answer.Error
	}
	if answer.Seq == 0 {
		return 0, errors.New("the stream's answer has no sequence")
	}
	return answer.Seq, nil
}
