package fleet

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Cooldown says that a deployment should be left alone for a while.
type Cooldown struct {
	Deployment string `json:"deployment"`

	// Model is what the "*" of the deployment's model stands for, where that alone is
	// to be left alone. Empty: all of them.
	Model string `json:"model,omitempty"`

	// Until is when it may be tried again, by the clock of who announced it: the
	// clocks of a fleet should agree to a second or so. One that has passed says
	// that the deployment is well again.
	Until time.Time `json:"until"`

	Fatal  bool   `json:"fatal,omitempty"` // it can serve nobody until something is changed, such as a key
	Reason string `json:"reason,omitempty"`
}

// key is what is left alone.
func (c *Cooldown) key() string { return c.Deployment + "\x00" + c.Model }

// over reports whether the cooldown has passed.
func (c *Cooldown) over(now time.Time) bool { return !c.Until.After(now) }

// notice is a cooldown as workers tell it to each other.
type notice struct {
	Cooldown
	At time.Time `json:"at"` // when it was announced

	keep time.Time // of one that has ended: until then it is remembered, lest an old notice brings it back
}

// cooldowns are those that this worker has heard of. Where two differ the later
// Until wins, and a fatal one stays so; what was announced before an end does not
// count after it.
type cooldowns struct {
	telling sync.Mutex // held while handlers run, so that they hear all in order

	mu       sync.Mutex
	current  map[string]notice
	handlers []func(Cooldown)
}

func newCooldowns() *cooldowns { return &cooldowns{current: map[string]notice{}} }

// Announce tells the fleet of a cooldown. Other workers hear of it in about a
// millisecond, those that join later when they do. While the broker is away it
// is kept by this worker, and told to the next coordinator. This worker's own
// handlers do not hear of it.
func (f *Fleet) Announce(c Cooldown) {
	now := time.Now().Round(0)
	n := notice{Cooldown: c, At: now}
	n.Until = n.Until.Round(0)
	if f.cooldowns.merge(&n, now) {
		f.spread(n)
	}
}

// spread publishes a cooldown to all.
func (f *Fleet) spread(c notice) {
	data, err := json.Marshal(c)
	if err == nil {
		err = f.nc.Publish(f.subjects.cooldown(), data)
	}
	if err != nil {
		f.log.Debug().Err(err).Str("deployment", c.Deployment).Msg("fleet: a cooldown could not be told")
	}
}

// OnCooldown calls handle for each cooldown that another worker announces, and
// first for those that last now. Calls come one after the other; handle must
// return soon, and must not call OnCooldown. There is no way to take it back.
func (f *Fleet) OnCooldown(handle func(Cooldown)) {
	c := f.cooldowns
	c.telling.Lock()
	defer c.telling.Unlock()
	c.mu.Lock()
	c.handlers = append(c.handlers, handle)
	c.mu.Unlock()
	for _, one := range c.present(time.Now()) {
		handle(one.Cooldown)
	}
}

func (f *Fleet) receiveCooldown(msg *nats.Msg) {
	var c notice
	if err := json.Unmarshal(msg.Data, &c); err != nil {
		f.log.Warn().Err(err).Msg("fleet: a cooldown that cannot be read")
		return
	}
	f.cooldowns.hearAll([]notice{c}, nil)
}

// hearAll takes in what others announced, and tells the handlers what is new;
// also, where it is not nil, is called for that too.
func (c *cooldowns) hearAll(list []notice, also func(notice)) {
	if len(list) == 0 {
		return
	}
	c.telling.Lock()
	defer c.telling.Unlock()
	for i := range list {
		one := list[i]
		if !c.merge(&one, time.Now()) {
			continue
		}
		if also != nil {
			also(one)
		}
		c.mu.Lock()
		handlers := slices.Clone(c.handlers)
		c.mu.Unlock()
		for _, handle := range handlers {
			handle(one.Cooldown)
		}
	}
}

// merge takes in a cooldown and completes it from what is known. It reports
// whether it says anything new.
func (c *cooldowns) merge(one *notice, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.current, func(_ string, old notice) bool { return old.over(now) && !old.keep.After(now) })
	old, known := c.current[one.key()]
	live := known && !old.over(now)
	switch {
	case known && !live && !one.At.After(old.At): // it ended after this was said
		return false
	case one.over(now):
		if !live || one.At.Before(old.At) {
			return false
		}
		one.keep = old.Until
		c.current[one.key()] = *one
		return true
	case live && !one.Until.After(old.Until) && (old.Fatal || !one.Fatal):
		return false
	case live:
		if old.Until.After(one.Until) {
			one.Until = old.Until
		}
		if old.At.After(one.At) {
			one.At = old.At
		}
		one.Fatal = one.Fatal || old.Fatal
	}
	c.current[one.key()] = *one
	return true
}

// present returns those that last now, in the order of their deployments.
func (c *cooldowns) present(now time.Time) []notice {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []notice
	for _, name := range slices.Sorted(maps.Keys(c.current)) {
		if one := c.current[name]; !one.over(now) {
			list = append(list, one)
		}
	}
	return list
}

// unknownTo returns what one who has told theirs has not heard, ends included.
func (c *cooldowns) unknownTo(theirs []notice, now time.Time) []notice {
	has := map[string]notice{}
	for _, one := range theirs {
		has[one.key()] = one
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []notice
	for name, own := range c.current {
		their, ok := has[name]
		switch {
		case own.over(now):
			if ok && !their.At.After(own.At) {
				list = append(list, own)
			}
		case !ok || own.Until.After(their.Until) || own.Fatal && !their.Fatal:
			list = append(list, own)
		}
	}
	return list
}
