// Package budget counts what is spent against what may be.
package budget

import (
	"fmt"
	"sync"
	"time"
)

// Budget is what may be spent within a window of time: once it is, nothing more may
// be until the window ends. Its methods are safe for concurrent use.
type Budget struct {
	Name   string        // for messages, such as "provider openai"
	Limit  float64       // USD
	Window time.Duration // from the first look at one to the first look at the next; 0: it never ends

	mu    sync.Mutex
	spent float64
	ends  time.Time // of the window under way; zero: none is
}

// Spend notes what a call cost.
func (b *Budget) Spend(now time.Time, cost float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn(now)
	b.spent += cost
}

// turn begins a new window where the last one has ended. The lock is held.
func (b *Budget) turn(now time.Time) {
	if b.Window > 0 && !now.Before(b.ends) {
		b.spent, b.ends = 0, now.Add(b.Window)
	}
}

// Over says why nothing may be spent now; empty: something may.
func (b *Budget) Over(now time.Time) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.turn(now); b.spent < b.Limit {
		return ""
	}
	text := fmt.Sprintf("the budget of %s, %g USD, is spent", b.Name, b.Limit)
	if b.Window > 0 {
		text += " until " + b.ends.UTC().Format(time.RFC3339)
	}
	return text
}
