package fleet

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// outbox is what this worker has to tell the coordinator, and what it holds.
// Fleet.mu guards it.
type outbox struct {
	hello   bool // tell the state and all asks
	seq     uint64
	sent    map[uint64]time.Time // messages not acknowledged, and the last that was
	got     uint64               // the last grant of this epoch heard of
	lastAsk uint64
	asks    map[uint64]*pending
	unsent  []uint64 // of asks
	cancels []uint64
	dones   []unsettled
	held    map[permitKey]*permit
	bye     uint64        // the last message of all
	left    chan struct{} // closed when it was taken in
}

// unsettled is a permit given back of which the coordinator has not said that it
// knows.
type unsettled struct {
	done
	seq  uint64 // of the message that told it; 0: none yet
	sent time.Time
}

func newOutbox() outbox {
	return outbox{sent: map[uint64]time.Time{}, asks: map[uint64]*pending{}, held: map[permitKey]*permit{}, left: make(chan struct{})}
}

// turn makes everything ready for another coordinator. What was given back is
// known to it by not being held.
func (o *outbox) turn() {
	clear(o.sent)
	o.hello, o.got, o.unsent, o.cancels, o.dones = true, 0, nil, nil, nil
}

func (o *outbox) ask(p *pending) {
	o.lastAsk++
	p.ID, p.sent = o.lastAsk, time.Time{}
	o.asks[p.ID] = p
	o.unsent = append(o.unsent, p.ID)
}

// withdraw takes an ask back; false means that it has been answered.
func (o *outbox) withdraw(p *pending) bool {
	if o.asks[p.ID] != p {
		return false
	}
	delete(o.asks, p.ID)
	if !p.sent.IsZero() {
		o.cancels = append(o.cancels, p.ID)
	}
	return true
}

func (o *outbox) resend(id uint64) {
	if o.asks[id] != nil {
		o.unsent = append(o.unsent, id)
	}
}

func (o *outbox) done(key permitKey, tokens int, sent bool) {
	o.dones = append(o.dones, unsettled{done: done{Epoch: key.epoch, N: key.n, Tokens: max(0, tokens), Sent: sent}})
}

// repeat makes everything ready to be told again to a coordinator that did not
// know this worker.
func (o *outbox) repeat() {
	o.hello = true
	for i := range o.dones {
		o.dones[i].seq = 0
	}
}

// acknowledge forgets what the coordinator has taken in, and returns when the
// message that it answers was sent.
func (o *outbox) acknowledge(seq uint64) (time.Time, bool) {
	at, ok := o.sent[seq]
	for s := range o.sent {
		if s < seq {
			delete(o.sent, s)
		}
	}
	o.dones = slices.DeleteFunc(o.dones, func(d unsettled) bool { return d.seq != 0 && d.seq <= seq })
	return at, ok
}

// talk sends what there is to send, and every beat what this worker holds.
func (f *Fleet) talk() {
	defer f.bg.Done()
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		select {
		case <-f.quit:
			return
		case <-f.kick:
			f.say(false)
		case <-beat.C:
			f.say(true)
		}
	}
}

func (f *Fleet) say(beat bool) {
	f.sending.Lock()
	defer f.sending.Unlock()
	f.mu.Lock()
	to := f.leader.id
	messages := f.compose(time.Now(), beat)
	f.mu.Unlock()
	f.post(to, messages)
}

func (f *Fleet) post(to string, messages []*up) {
	for _, u := range messages {
		data, err := json.Marshal(u)
		if err == nil {
			err = f.nc.PublishRequest(f.subjects.up(to, f.id), f.subjects.down(f.id, to), data)
		}
		if err != nil {
			f.log.Debug().Err(err).Msg("fleet: could not ask")
		}
	}
}

// compose makes the messages that are due, none where there is nobody to tell.
// The caller holds mu.
func (f *Fleet) compose(now time.Time, beat bool) []*up {
	if f.leader.epoch == 0 || f.leader.away || f.closed {
		return nil
	}
	first := &up{Cancel: f.cancels}
	asks := f.dueAsks(now)
	if f.hello || beat {
		first.Name, first.State = f.name, f.state(now)
	}
	f.hello, f.cancels, f.unsent = false, nil, nil
	var list []*up
	add := func(u *up) {
		f.seq++
		u.Epoch, u.Seq = f.leader.epoch, f.seq
		f.sent[u.Seq] = now
		list = append(list, u)
	}
	u := first
	for i := range f.dones {
		d := &f.dones[i]
		if d.seq != 0 && !(beat && now.Sub(d.sent) > beatEvery) {
			continue
		}
		if len(u.Done) == perMessage {
			// The state comes last: what it lacks has been given back before it.
			full := &up{Done: u.Done}
			u.Done = nil
			add(full)
		}
		d.seq, d.sent = f.seq+1, now
		u.Done = append(u.Done, d.done)
	}
	if u.State != nil || len(u.Done) > 0 || len(u.Cancel) > 0 {
		add(u)
	}
	for part := range slices.Chunk(asks, perMessage) {
		if n := len(list); n > 0 && len(list[n-1].Asks) == 0 {
			list[n-1].Asks = part
			continue
		}
		add(&up{Asks: part})
	}
	return list
}

// dueAsks returns the asks to send now, in their order.
func (f *Fleet) dueAsks(now time.Time) []ask {
	ids := f.unsent
	if f.hello {
		ids = ids[:0]
		for id := range f.asks {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	var list []ask
	for _, id := range slices.Compact(ids) {
		if p := f.asks[id]; p != nil {
			p.sent = now
			list = append(list, p.ask)
		}
	}
	return list
}

// state returns all that this worker holds.
func (f *Fleet) state(now time.Time) *state {
	s := &state{Got: f.got, Cooldowns: f.cooldowns.present(now)}
	at := map[string]int{}
	for key, p := range f.held {
		i, ok := at[p.deployment]
		if !ok {
			i = len(s.Held)
			at[p.deployment] = i
			s.Held = append(s.Held, holding{Deployment: p.deployment, Limits: p.limits})
		}
		s.Held[i].Permits = append(s.Held[i].Permits, [3]uint64{key.epoch, key.n, uint64(p.tokens)})
	}
	for id, p := range f.asks {
		if !p.Once && !p.sent.IsZero() && now.Sub(p.sent) > beatEvery {
			s.Waiting = append(s.Waiting, id)
		}
	}
	slices.SortFunc(s.Waiting, cmp.Compare[uint64])
	return s
}

// leave gives everything back and waits, not long, until the coordinator has it.
func (f *Fleet) leave() {
	f.sending.Lock()
	f.mu.Lock()
	for id, p := range f.asks {
		delete(f.asks, id)
		p.answer <- outcome{err: ErrClosed}
	}
	for key, p := range f.held {
		delete(f.held, key)
		f.outbox.done(key, p.tokens, true)
	}
	messages := f.compose(time.Now(), true)
	f.closed, f.bye = true, f.seq
	to := f.leader.id
	f.mu.Unlock()
	if len(messages) > 0 {
		messages[len(messages)-1].Bye = true
	}
	f.post(to, messages)
	f.sending.Unlock()
	if len(messages) == 0 {
		return
	}
	timer := time.NewTimer(byeIn)
	defer timer.Stop()
	select {
	case <-f.left:
	case <-timer.C:
	}
}
