// Package pull takes the messages of a durable consumer, one per free slot, and
// keeps each alive until it is settled.
//
// A [Puller] asks the broker for exactly as many messages as it has free slots:
// nothing is ever fetched to wait here while its AckWait runs out. Every message
// becomes a [Delivery] in a goroutine that handles nothing else meanwhile. One timer renews the
// acknowledgement deadline of all of them and has one renewal of each round
// answered by the broker; when none has been answered for too long, the
// deliveries' contexts end with [ErrLost] before the broker hands the messages
// to somebody else.
//
// nats.go's own Consume prefetches ahead of the work, and its Next makes a
// request per message: this package exists for the middle way.
package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// ErrLost ends the context of a delivery whose acknowledgement deadline could
// not be renewed: the broker may give the message to another worker.
var ErrLost = errors.New("the broker could not be reached in time: the message may be redelivered elsewhere")

// ErrStoodStill is the [ErrLost] of a process that was stopped for so long, as by a
// signal, a suspended machine or want of a processor: not the broker was away.
var ErrStoodStill = fmt.Errorf("this process stood still: %w", ErrLost)

// Config says what to pull and what to do with it. All fields are required
// unless they say otherwise.
type Config struct {
	Conn     *nats.Conn
	API      string // prefix of the JetStream API; empty: "$JS.API"
	Stream   string
	Consumer string

	// AckWait is the consumer's own; Heartbeat renews it and must be well below
	// half of it.
	AckWait, Heartbeat time.Duration

	// Slots bounds the deliveries in hand; several pullers may share one.
	Slots *Slots

	// Handle is called once per message, in a goroutine that it has to itself, and must
	// settle it with Ack or Nak. The slot is free again when it returns.
	Handle func(*Delivery)

	// Ensure makes the stream and the consumer again after they were lost.
	Ensure func(context.Context) error

	// LastSeq returns the stream's last sequence. It is asked at the start and
	// after every interruption: what was in the stream by then may have been in
	// somebody's hands before, whatever the broker remembers of it. Nil: no
	// delivery is [Delivery.First].
	LastSeq func(context.Context) (uint64, error)

	// Paused, when it returns true, holds back further pulls; it is asked
	// before each. Nil means never.
	Paused func() bool

	Log zerolog.Logger
}

const (
	expiry       = 30 * time.Second // of a pull request when one puller has all slots
	sharedExpiry = 2 * time.Second  // when several share: an idle one gives its claim back this often
	idleBeat     = time.Second      // the broker's sign of life on an open pull request
	silence      = 4 * idleBeat     // no sign of life for so long: ask anew
	retryAfter   = 500 * time.Millisecond
)

// Puller pulls until it is stopped. Make one with [Start].
type Puller struct {
	cfg   Config
	hard  context.Context // parent of the deliveries' contexts
	quit  chan struct{}   // closed by Stop: take nothing more
	done  chan struct{}   // closed when the loop has ended
	hands *hands
	wg    sync.WaitGroup // deliveries in them
	idle  chan struct{}  // closed when the last handler has returned
	still chan struct{}  // closed when the heart has stopped

	lost chan nats.Status // told when the connection is

	mu       sync.Mutex
	old      uint64 // what has this sequence or a lower one may have been delivered before
	sub      *nats.Subscription
	late     *nats.Subscription // was silent for too long: what comes by it may be in other hands
	asked    int                // messages asked for and not yet delivered
	heard    time.Time
	broken   error // why the loop must make consumer and inbox anew
	stopping bool
	inHand   map[*Delivery]struct{}
	wake     chan struct{}
}

// Start begins pulling. hard is the parent of every delivery's context: its end
// aborts the work in hand. The caller must call Stop.
func Start(hard context.Context, cfg Config) (*Puller, error) {
	if cfg.API == "" {
		cfg.API = "$JS.API"
	}
	p := &Puller{
		cfg: cfg, hard: hard,
		quit: make(chan struct{}), done: make(chan struct{}),
		idle: make(chan struct{}), still: make(chan struct{}), wake: make(chan struct{}, 1),
		inHand: map[*Delivery]struct{}{},
	}
	p.hands = newHands(p.handle)
	p.lost = cfg.Conn.StatusChanged(nats.RECONNECTING)
	err := p.age(hard)
	if err == nil {
		err = p.listen()
	}
	if err != nil {
		cfg.Conn.RemoveStatusListener(p.lost)
		return nil, err
	}
	cfg.Slots.join(p)
	go p.run()
	go p.heart()
	return p, nil
}

// Stop takes no further message and waits until every handler has returned,
// which it does not hasten: end the hard context for that. Call it once.
func (p *Puller) Stop() {
	p.mu.Lock()
	p.stopping = true
	p.mu.Unlock()
	close(p.quit)
	<-p.done
	p.wg.Wait()
	p.hands.end()
	close(p.idle)
	<-p.still
	p.cfg.Conn.RemoveStatusListener(p.lost)
	p.cfg.Slots.leave(p)
}

// run is the loop: ask for what fits, and mend what broke.
func (p *Puller) run() {
	defer close(p.done)
	defer p.hangUp()
	watch := time.NewTicker(idleBeat)
	defer watch.Stop()
	for {
		if err := p.fault(); err != nil {
			p.mend(err)
		}
		p.ask()
		select {
		case <-p.wake:
		case <-watch.C:
			p.watch()
		case <-p.quit:
			return
		}
	}
}

// age asks how far the stream has come.
func (p *Puller) age(ctx context.Context) error {
	last := uint64(math.MaxUint64)
	select {
	case <-p.lost: // what that meant is seen to now
	default:
	}
	if p.cfg.LastSeq != nil {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		var err error
		if last, err = p.cfg.LastSeq(ctx); err != nil {
			return fmt.Errorf("ask how far the stream %s has come: %w", p.cfg.Stream, err)
		}
	}
	p.mu.Lock()
	p.old = last
	p.mu.Unlock()
	return nil
}

// listen subscribes a fresh inbox. Requests of an older one die with it, so
// that what they asked for is never delivered on top of what is asked anew.
func (p *Puller) listen() error {
	inbox := p.cfg.Conn.NewInbox()
	sub, err := p.cfg.Conn.Subscribe(inbox, p.receive)
	if err != nil {
		return fmt.Errorf("subscribe to an inbox for %s: %w", p.cfg.Consumer, err)
	}
	// What is asked bounds what can be pending; the client's own limits would drop it.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return err
	}
	p.mu.Lock()
	p.sub, p.asked, p.heard, p.broken = sub, 0, time.Now(), nil
	p.mu.Unlock()
	return nil
}

// ask requests one message per free slot that is not asked for yet. While some
// requests are open a few free slots wait for company: as long as the broker
// has not met those, it has nothing to give to further ones.
func (p *Puller) ask() {
	if p.cfg.Paused != nil && p.cfg.Paused() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping || p.broken != nil {
		return
	}
	n, shared := p.cfg.Slots.claim(p.asked)
	if n == 0 {
		return
	}
	expires := expiry
	if shared {
		expires = sharedExpiry
	}
	request, _ := json.Marshal(struct {
		Batch   int           `json:"batch"`
		Expires time.Duration `json:"expires"`
		Beat    time.Duration `json:"idle_heartbeat"`
	}{n, expires, idleBeat / 2})
	subject := p.cfg.API + ".CONSUMER.MSG.NEXT." + p.cfg.Stream + "." + p.cfg.Consumer
	if err := p.cfg.Conn.PublishRequest(subject, p.sub.Subject, request); err != nil {
		p.cfg.Slots.unclaim(n)
		p.broken = err
		return
	}
	if p.asked == 0 {
		p.heard = time.Now()
	}
	p.asked += n
}

// receive is the subscription's callback: a message or the broker's word on a request.
func (p *Puller) receive(m *nats.Msg) {
	status := m.Header.Get("Status")
	if len(m.Data) == 0 && status != "" {
		p.status(m, status)
		return
	}
	d := newDelivery(p, m)
	p.mu.Lock()
	p.mindSilence()
	p.heard = time.Now()
	select {
	case <-p.lost: // before anything that comes over the next connection
		p.old, p.broken = math.MaxUint64, errors.New("the connection was lost")
		p.nudge()
	default:
	}
	d.first = d.Delivered == 1 && d.Sequence > p.old
	if m.Sub == p.late || m.Sub != p.sub || p.asked == 0 {
		late := m.Sub == p.late
		p.mu.Unlock()
		if !late {
			d.Nak() // nobody waits for it here any more
		}
		return
	}
	p.asked--
	p.cfg.Slots.take()
	p.inHand[d] = struct{}{}
	p.wg.Add(1)
	p.mu.Unlock()
	p.hands.give(d)
}

func (p *Puller) handle(d *Delivery) {
	defer p.wg.Done()
	p.cfg.Handle(d)
	p.mu.Lock()
	delete(p.inHand, d)
	p.mu.Unlock()
	d.cancel(nil)
	p.cfg.Slots.free()
}

// status reads a message without content: the broker's heartbeats, the end of
// a request, or the loss of the consumer.
func (p *Puller) status(m *nats.Msg, status string) {
	pending, _ := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.Sub != p.sub {
		return
	}
	p.mindSilence()
	p.heard = time.Now()
	switch status {
	case "100": // heartbeat
		return
	case "408", "404": // expired, or nothing there
	default:
		p.broken = fmt.Errorf("%s: %s %s", p.cfg.Consumer, status, m.Header.Get("Description"))
	}
	p.forget(min(pending, p.asked))
	p.nudge()
}

// forget gives back the claim on n messages that will not come. Called with mu held.
func (p *Puller) forget(n int) {
	p.asked -= n
	p.cfg.Slots.unclaim(n)
}

func (p *Puller) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// watch notices a broker that has gone silent on an open request.
func (p *Puller) watch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mindSilence()
}

// mindSilence has inbox and consumer made anew after a silence on an open
// request, whoever was silent: this process may have been paused. What lies in
// the old inbox may have been redelivered to others meanwhile. To begin it would
// be to begin it twice, and to hand it back would take it from them: the broker
// takes a word on any delivery for one on the last. Called with mu held.
func (p *Puller) mindSilence() {
	if p.asked == 0 || time.Since(p.heard) <= silence || p.broken != nil {
		return
	}
	p.late, p.broken = p.sub, errors.New("no sign of life from the broker")
	p.nudge()
}

func (p *Puller) fault() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken
}

// mend replaces inbox and, where it was lost, consumer and stream, until that
// works or the puller is stopped.
func (p *Puller) mend(cause error) {
	p.cfg.Log.Debug().Err(cause).Str("consumer", p.cfg.Consumer).Msg("pulling was interrupted")
	p.hangUp()
	for {
		select {
		case <-time.After(retryAfter):
		case <-p.quit:
			return
		}
		ctx, cancel := context.WithTimeout(p.hard, 5*time.Second)
		err := p.cfg.Ensure(ctx)
		cancel()
		if err == nil {
			err = p.age(p.hard)
		}
		if err == nil {
			err = p.listen()
		}
		if err == nil {
			return
		}
		p.cfg.Log.Debug().Err(err).Str("consumer", p.cfg.Consumer).Msg("cannot pull yet")
	}
}

// hangUp lets no further message in. What is on its way is handed back by receive.
func (p *Puller) hangUp() {
	p.mu.Lock()
	sub := p.sub
	p.sub = nil
	p.forget(p.asked)
	p.mu.Unlock()
	if sub != nil {
		_ = sub.Drain()
	}
}
