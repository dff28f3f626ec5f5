package fleet

import (
	"cmp"
	"slices"
	"time"
)

// Status is a worker's view of its fleet, for the tests.
type Status struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Coordinator string         `json:"coordinator"` // the name of who decides; empty: nobody is known
	Epoch       uint64         `json:"epoch"`       // of the coordinator: rises with each
	Coordinates bool           `json:"coordinates"` // this worker is it
	Reachable   bool           `json:"reachable"`   // permits can be had
	Held        map[string]int `json:"held"`        // this worker's permits by deployment
	Waiting     int            `json:"waiting"`     // its calls that wait for an answer
	Cooldowns   []Cooldown     `json:"cooldowns,omitempty"`

	// Members is the whole fleet, by name. Only the coordinator knows it.
	Members []MemberStatus `json:"members,omitempty"`
}

// MemberStatus is one worker as its coordinator knows it.
type MemberStatus struct {
	ID      string         `json:"id"`
	Name    string         `json:"name"`
	Held    map[string]int `json:"held"`
	Waiting int            `json:"waiting"`
	Silent  time.Duration  `json:"silent"`            // since it was last heard of; nanoseconds in JSON
	Unknown bool           `json:"unknown,omitempty"` // it has not told this coordinator yet: Held is the most that it may hold
}

// Status returns the present state. It asks nobody.
func (f *Fleet) Status() Status {
	now := time.Now()
	f.mu.Lock()
	s := Status{
		ID: f.id, Name: f.name, Coordinator: f.leader.name, Epoch: f.leader.epoch,
		Reachable: !f.closed && f.reachable(now) && !f.leader.until.IsZero(), Held: map[string]int{}, Waiting: len(f.asks),
	}
	if f.leader.away {
		s.Coordinator = ""
	}
	for _, p := range f.held {
		s.Held[p.deployment]++
	}
	c := f.coordinator
	f.mu.Unlock()
	s.Cooldowns = f.Cooldowns()
	if c != nil {
		s.Members, s.Coordinates = c.status(now)
	}
	return s
}

func (c *coordinator) status(now time.Time) ([]MemberStatus, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.leads() {
		return nil, false
	}
	var list []MemberStatus
	for _, m := range c.members {
		s := MemberStatus{ID: m.id, Name: m.name, Held: map[string]int{}, Waiting: len(m.asks), Silent: max(0, now.Sub(m.heard)), Unknown: m.ghost}
		for name, share := range m.shares {
			if n := share.held; n > 0 {
				s.Held[name] = n
			} else if m.ghost && share.ceiling > 0 {
				s.Held[name] = share.ceiling
			}
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b MemberStatus) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return list, true
}

// Cooldowns returns those that last now, by deployment.
func (f *Fleet) Cooldowns() []Cooldown {
	var list []Cooldown
	for _, one := range f.cooldowns.present(time.Now()) {
		list = append(list, one.Cooldown)
	}
	return list
}
