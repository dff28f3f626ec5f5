package fleet

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// coordinator decides for the whole fleet, for as long as its lease runs. All
// its methods may be called concurrently.
type coordinator struct {
	f     *Fleet
	epoch uint64
	dirty chan struct{} // the record must be written now
	log   zerolog.Logger

	mu        sync.Mutex
	until     time.Time // of the lease
	since     time.Time // see account
	notBefore time.Time // nothing is granted before: who holds what is not known yet
	members   map[string]*member
	accounts  map[string]*account
	out       map[string]*down // answers that flush sends
	ended     bool
}

// newCoordinator opens the books after a predecessor, whose record tells what
// its members may hold; first is that there was none.
func newCoordinator(f *Fleet, l *lease, now time.Time) *coordinator {
	c := &coordinator{
		f: f, epoch: l.epoch, until: l.until, dirty: make(chan struct{}, 1),
		log:     f.log.With().Uint64("epoch", l.epoch).Logger(),
		members: map[string]*member{}, accounts: map[string]*account{}, out: map[string]*down{},
	}
	if !l.first {
		c.since = now
	}
	if l.lost { // the last one's lease may still run, and nobody's permits are on record
		c.notBefore = now.Add(LeaseTerm)
		c.since = c.notBefore
	}
	for _, r := range l.members {
		m := newMember(r.ID, r.Name, now)
		m.ghost = true
		for name, n := range r.Most {
			m.share(name).ceiling = n
			c.account(name).inUse += n
		}
		c.members[r.ID] = m
	}
	return c
}

func (c *coordinator) account(name string) *account {
	a := c.accounts[name]
	if a == nil {
		a = &account{name: name, since: c.since}
		c.accounts[name] = a
	}
	return a
}

// leads reports whether the lease still runs. It is asked before each grant.
func (c *coordinator) leads() bool { return !c.ended && !reached(time.Now(), c.until) }

// extend notes that the lease was renewed.
func (c *coordinator) extend(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = until
}

// end stops all decisions for good.
func (c *coordinator) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for _, a := range c.accounts {
		if a.timer != nil {
			a.timer.Stop()
		}
	}
}

// receive takes a message of a member, or the server's word that the member an
// answer was sent to is not there.
func (c *coordinator) receive(msg *nats.Msg) {
	from := sender(msg.Subject)
	if unreachable(msg) {
		c.lose(from)
		return
	}
	var u up
	if err := json.Unmarshal(msg.Data, &u); err != nil {
		c.log.Warn().Err(err).Str("member", from).Msg("fleet: a message that cannot be read")
		return
	}
	c.hear(from, &u)
	if u.State != nil { // not under the lock: handlers run
		c.f.cooldowns.hearAll(u.State.Cooldowns, c.f.spread)
	}
}

func (c *coordinator) hear(from string, u *up) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.leads() || u.Epoch != c.epoch {
		return
	}
	m := c.members[from]
	if m == nil {
		m = newMember(from, u.Name, now)
		c.members[from] = m
	}
	m.heard = now
	if u.Name != "" {
		m.name = u.Name
	}
	if u.State == nil && !m.greeted && !u.Bye {
		c.to(m).Hello = true
		c.flush()
		return
	}
	m.ack = u.Seq
	touched := map[*account]bool{}
	for _, d := range u.Done {
		c.settle(m, d, now, touched)
	}
	if u.State != nil {
		c.reconcile(m, u.State, now, touched)
	}
	for _, id := range u.Cancel {
		if w := m.asks[id]; w != nil {
			c.drop(w, touched)
		}
	}
	for _, q := range u.Asks {
		if m.asks[q.ID] != nil {
			continue
		}
		a := c.account(q.Deployment)
		a.push(m, q)
		touched[a] = true
	}
	if u.State != nil || u.Bye || len(u.Done) > 0 {
		c.to(m)
	}
	if u.State != nil {
		for _, id := range u.State.Waiting {
			if m.asks[id] == nil {
				c.to(m).Missing = append(c.to(m).Missing, id)
			}
		}
	}
	if u.Bye {
		c.forget(m, touched)
	}
	for a := range touched {
		c.pump(a)
	}
	c.flush()
}

// to returns the answer that is being made for a member.
func (c *coordinator) to(m *member) *down {
	d := c.out[m.id]
	if d == nil {
		d = &down{}
		c.out[m.id] = d
	}
	d.Epoch, d.Ack, d.Granted = c.epoch, m.ack, m.granted
	return d
}

// flush sends what has been decided.
func (c *coordinator) flush() {
	if len(c.out) == 0 {
		return
	}
	left := min(time.Until(c.until), c.until.Round(0).Sub(time.Now().Round(0)))
	for id, d := range c.out {
		d.Lease = micros(left)
		for len(d.Answers) > perMessage {
			part := *d
			part.Answers, part.Missing, part.Room, part.Cooldowns = d.Answers[:perMessage], nil, nil, nil
			part.Granted = lastGrant(part.Answers)
			c.send(id, &part)
			d.Answers = slices.Clone(d.Answers[perMessage:])
		}
		c.send(id, d)
	}
	clear(c.out)
}

func (c *coordinator) send(id string, d *down) {
	data, err := json.Marshal(d)
	if err != nil {
		c.log.Error().Err(err).Msg("fleet: an answer cannot be written")
		return
	}
	s := c.f.subjects
	_ = c.f.nc.PublishRequest(s.down(id, c.f.id), s.up(c.f.id, id), data)
}

// perMessage bounds the asks, answers and permits given back in one message.
const perMessage = 2000

func lastGrant(answers []answer) uint64 {
	var last uint64
	for _, a := range answers {
		last = max(last, a.N)
	}
	return last
}

func unreachable(msg *nats.Msg) bool {
	return len(msg.Data) == 0 && msg.Header.Get("Status") == "503"
}
