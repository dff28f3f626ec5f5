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

	// Until is when it may be tried again, by the clock of who announced it: the
	// clocks of a fleet should agree to a second or so. One that has passed says
	// that the deployment is well again.
	Until time.Time `json:"until"`

	Fatal  bool   `json:"fatal,omitempty"` // it can serve nobody until something is changed, such as a key
	Reason string `json:"reason,omitempty"`
}

// over reports whether the cooldown has passed.
func (c *Cooldown) over(now time.Time) bool { return !c.Until.After(now) }

// cooldowns are those that this worker has heard of. Where two differ the later
// Until wins, and a fatal one stays so.
type cooldowns struct {
	telling sync.Mutex // held while handlers run, so that they hear all in order

	mu       sync.Mutex
	current  map[string]Cooldown
	handlers []func(Cooldown)
}

func newCooldowns() *cooldowns { return &cooldowns{current: map[string]Cooldown{}} }

// Announce tells the fleet of a cooldown. Other workers hear of it in about a
// millisecond, those that join later when they do. While the broker is away it
// is kept by this worker, and told to the next coordinator. This worker's own
// handlers do not hear of it.
func (f *Fleet) Announce(c Cooldown) {
	c.Until = c.Until.Round(0)
	if f.cooldowns.merge(&c, time.Now()) {
		f.spread(c)
	}
}

// spread publishes a cooldown to all.
func (f *Fleet) spread(c Cooldown) {
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
		handle(one)
	}
}

// Cooldowns returns those that last now, by deployment.
func (f *Fleet) Cooldowns() []Cooldown { return f.cooldowns.present(time.Now()) }

func (f *Fleet) receiveCooldown(msg *nats.Msg) {
	var c Cooldown
	if err := json.Unmarshal(msg.Data, &c); err != nil {
		f.log.Warn().Err(err).Msg("fleet: a cooldown that cannot be read")
		return
	}
	f.cooldowns.hearAll([]Cooldown{c}, nil)
}

// hearAll takes in what others announced, and tells the handlers what is new;
// also, where it is not nil, is called for that too.
func (c *cooldowns) hearAll(list []Cooldown, also func(Cooldown)) {
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
			handle(one)
		}
	}
}

// merge takes in a cooldown and completes it from what is known. It reports
// whether it says anything new.
func (c *cooldowns) merge(one *Cooldown, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.current, func(name string, old Cooldown) bool { return name != one.Deployment && old.over(now) })
	old, known := c.current[one.Deployment]
	known = known && !old.over(now)
	if one.over(now) {
		delete(c.current, one.Deployment)
		return known
	}
	if known {
		if !one.Until.After(old.Until) && (old.Fatal || !one.Fatal) {
			return false
		}
		if old.Until.After(one.Until) {
			one.Until = old.Until
		}
		one.Fatal = one.Fatal || old.Fatal
	}
	c.current[one.Deployment] = *one
	return true
}

// present returns those that last now, in the order of their deployments.
func (c *cooldowns) present(now time.Time) []Cooldown {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []Cooldown
	for _, name := range slices.Sorted(maps.Keys(c.current)) {
		if one := c.current[name]; !one.over(now) {
			list = append(list, one)
		}
	}
	return list
}
