package fleet

import "time"

// member is a worker as its coordinator knows it.
type member struct {
	id, name string
	heard    time.Time
	greeted  bool // it has told its state, and can be reached
	ghost    bool // known from the last coordinator's record only
	ack      uint64
	granted  uint64 // in this epoch
	permits  map[permitKey]held
	shares   map[string]*share
	asks     map[uint64]*waiter
	tickets  map[string]*waiter // by deployment
}

type held struct {
	account *account
	tokens  float64
}

func newMember(id, name string, now time.Time) *member {
	return &member{id: id, name: name, heard: now, permits: map[permitKey]held{}, shares: map[string]*share{}, asks: map[uint64]*waiter{}, tickets: map[string]*waiter{}}
}

func (m *member) share(deployment string) *share {
	s := m.shares[deployment]
	if s == nil {
		s = &share{}
		m.shares[deployment] = s
	}
	return s
}

// settle takes a permit back.
func (c *coordinator) settle(m *member, d done, now time.Time, touched map[*account]bool) {
	key := permitKey{d.Epoch, d.N}
	p, ok := m.permits[key]
	if !ok {
		return
	}
	p.account.settle(now, p.tokens, float64(max(0, d.Tokens)), d.Sent, d.Epoch == c.epoch)
	c.release(m, key, p, touched)
}

func (c *coordinator) release(m *member, key permitKey, p held, touched map[*account]bool) {
	delete(m.permits, key)
	m.share(p.account.name).held--
	p.account.inUse--
	touched[p.account] = true
}

func (c *coordinator) hold(m *member, key permitKey, a *account, tokens float64) {
	m.permits[key] = held{account: a, tokens: tokens}
	s := m.share(a.name)
	s.held++
	s.peak = max(s.peak, s.held)
	a.inUse++
}

// reconcile brings the books to what a member says it holds. What was granted
// after the last it has heard of is on its way, and stays.
func (c *coordinator) reconcile(m *member, s *state, now time.Time, touched map[*account]bool) {
	if m.ghost {
		m.ghost = false
		for name, share := range m.shares {
			c.account(name).inUse -= share.ceiling
			touched[c.account(name)] = true
		}
	}
	says := map[permitKey]bool{}
	for _, h := range s.Held {
		a := c.account(h.Deployment)
		if a.limits == (limits{}) {
			a.learn(h.Limits)
		}
		for _, p := range h.Permits {
			key := permitKey{p[0], p[1]}
			says[key] = true
			if _, known := m.permits[key]; !known {
				c.hold(m, key, a, float64(p[2]))
			}
		}
	}
	for key, p := range m.permits {
		onItsWay := key.epoch == c.epoch && key.n > s.Got
		if !says[key] && !onItsWay {
			c.release(m, key, p, touched)
		}
	}
	m.greeted = true
	c.to(m).Cooldowns = c.f.cooldowns.unknownTo(s.Cooldowns, now)
}

// drop takes an ask, or a ticket, out of its queue.
func (c *coordinator) drop(w *waiter, touched map[*account]bool) {
	a := c.account(w.Deployment)
	a.leave(w)
	touched[a] = true
}

func (c *coordinator) dropAll(m *member, touched map[*account]bool) {
	for _, w := range m.asks {
		c.drop(w, touched)
	}
	for _, w := range m.tickets {
		c.drop(w, touched)
	}
}

// lose takes the asks of a member that cannot be reached out of the queues, so
// that no permit goes to waste on it. It asks again when it is back. Its permits
// stay: its calls may be running.
func (c *coordinator) lose(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[id]
	if m == nil || !c.leads() {
		return
	}
	m.greeted = false
	touched := map[*account]bool{}
	c.dropAll(m, touched)
	for a := range touched {
		c.pump(a)
	}
	c.flush()
}

// sweep forgets the members that have been silent too long.
func (c *coordinator) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	touched := map[*account]bool{}
	for _, m := range c.members {
		if now.Sub(m.heard) < ForgetAfter {
			continue
		}
		if n := len(m.permits); n > 0 || m.ghost {
			c.log.Warn().Str("member", m.id).Str("worker", m.name).Int("permits", n).
				Msg("fleet: a worker is silent: its permits are free for others")
		}
		c.forget(m, touched)
	}
	for a := range touched {
		c.pump(a)
	}
	c.flush()
}

func (c *coordinator) forget(m *member, touched map[*account]bool) {
	c.dropAll(m, touched)
	for key, p := range m.permits {
		c.release(m, key, p, touched)
	}
	if m.ghost {
		for name, share := range m.shares {
			c.account(name).inUse -= share.ceiling
			touched[c.account(name)] = true
		}
	}
	delete(c.members, m.id)
}
