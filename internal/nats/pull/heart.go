package pull

import (
	"context"
	"time"
)

var inProgress = []byte("+WPI")

// heart renews the acknowledgement deadlines of all deliveries in hand, and
// goes on through a drain until the last of them is settled.
func (p *Puller) heart() {
	defer close(p.still)
	beat := time.NewTicker(p.cfg.Heartbeat)
	defer beat.Stop()
	last := time.Since(epoch) // when the process was last seen to go on
	for {
		select {
		case <-beat.C:
			cause := ErrLost
			if time.Since(epoch)-last > 2*p.cfg.Heartbeat {
				cause = ErrStoodStill
			}
			p.expire(cause)
			p.renew()
			last = time.Since(epoch)
		case <-p.idle:
			return
		}
	}
}

// renew sends one renewal per delivery and has the last of them answered. The
// broker takes a connection's messages in their order, so one answer speaks for
// the whole round.
func (p *Puller) renew() {
	round := p.list()
	if len(round) == 0 {
		return
	}
	sent := int64(time.Since(epoch))
	last := len(round) - 1
	for _, d := range round[:last] {
		if d.Msg.Reply != "" {
			_ = p.cfg.Conn.Publish(d.Msg.Reply, inProgress)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.cfg.Heartbeat*2/3)
	defer cancel()
	if _, err := p.cfg.Conn.RequestWithContext(ctx, round[last].Msg.Reply, inProgress); err != nil {
		p.cfg.Log.Debug().Err(err).Int("in_hand", len(round)).Msg("heartbeat was not answered")
		return
	}
	for _, d := range round {
		d.renewed.Store(sent)
	}
}

// expire ends the context of every delivery whose deadline may pass before the
// next round can renew it, with the cause for which that is.
func (p *Puller) expire(cause error) {
	now := time.Since(epoch)
	for _, d := range p.list() {
		if d.overdue(now) {
			d.cancel(cause)
		}
	}
}

func (p *Puller) list() []*Delivery {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]*Delivery, 0, len(p.inHand))
	for d := range p.inHand {
		list = append(list, d)
	}
	return list
}
