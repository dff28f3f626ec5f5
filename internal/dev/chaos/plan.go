package chaos

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Shape is what a round is made of.
type Shape struct {
	Embedded bool  // the NATS server in the first worker's process, else in its own
	Workers  int   // 1 to 3
	Sync     bool  // the server writes every message through to the disk
	MaxStore int64 // bytes that a server in its own process may store; 0: no limit
}

// Of every round alike.
const (
	slots    = 96  // of each worker
	queueCap = 160 // of the queue
	atOnce   = 6   // jobs that run at the same time
)

func (s Shape) String() string {
	text := "own NATS server"
	if s.Embedded {
		text = "embedded NATS server"
	}
	text += fmt.Sprintf(", %d workers", s.Workers)
	if s.Sync {
		text += ", every write synced"
	}
	if s.MaxStore > 0 {
		text += fmt.Sprintf(", store of %d MiB", s.MaxStore>>20)
	}
	return text
}

// Step is one fault of a schedule. Its target is picked among those that are
// there when its time comes.
type Step struct {
	After time.Duration // since the step before
	Kind  Kind
	For   time.Duration // how long it lasts; a killed process is started again after that
	Pick  uint64
}

func (s Step) String() string {
	return fmt.Sprintf("+%.1fs %s (%.1fs)", s.After.Seconds(), s.Kind, s.For.Seconds())
}

// weighted are the faults with how often each comes in a round of each shape.
var weighted = []struct {
	kind               Kind
	embedded, separate int
	from, to           time.Duration
}{
	{KillWorker, 3, 4, 200 * time.Millisecond, 2 * time.Second},
	{KillOwner, 3, 4, 200 * time.Millisecond, 2 * time.Second},
	{KillEmbedded, 3, 0, 200 * time.Millisecond, 2 * time.Second},
	{KillServer, 0, 4, 200 * time.Millisecond, 5 * time.Second},
	{KillReader, 3, 3, 0, 0},
	{StopReader, 2, 2, 0, 0},
	{PauseWorker, 2, 2, 7 * time.Second, 9 * time.Second},
	{PauseOwner, 2, 2, 7 * time.Second, 9 * time.Second},
	{PauseEmbedded, 2, 0, 7 * time.Second, 9 * time.Second},
	{DrainWorker, 1, 1, 0, 0},
	{CutShort, 3, 3, 100 * time.Millisecond, 1500 * time.Millisecond},
	{CutLong, 1, 2, 7 * time.Second, 9 * time.Second},
	{CutSilent, 1, 2, 7 * time.Second, 9 * time.Second},
	{SlowDisk, 1, 1, 4 * time.Second, 8 * time.Second},
	{FullStore, 0, 2, 4 * time.Second, 8 * time.Second},
	{UpstreamHangs, 1, 1, 3 * time.Second, 7 * time.Second},
	{UpstreamErrors, 1, 1, 2 * time.Second, 4 * time.Second},
}

// Plan draws a round: odd ones have a server of its own, and every kind of fault
// comes once before chance decides.
func Plan(seed uint64, round, faults int) (Shape, []Step) {
	rng := rand.New(rand.NewPCG(seed, uint64(round)))
	shape := Shape{Embedded: round%2 == 0, Workers: 1 + rng.IntN(3), Sync: rng.IntN(4) == 0}
	if round < 4 {
		shape.Workers, shape.Sync = 3-round%3, round == 3
	}
	if !shape.Embedded {
		shape.MaxStore = 256 << 20
	}
	var bag, once []int
	for i, w := range weighted {
		n := w.separate
		if shape.Embedded {
			n = w.embedded
		}
		if n > 0 && shape.possible(w.kind) {
			once = append(once, i)
			for range n {
				bag = append(bag, i)
			}
		}
	}
	rng.Shuffle(len(once), func(i, j int) { once[i], once[j] = once[j], once[i] })
	var steps []Step
	for len(steps) < faults {
		i := bag[rng.IntN(len(bag))]
		if len(once) > 0 {
			i, once = once[0], once[1:]
		}
		w := weighted[i]
		length := w.from
		if w.to > w.from {
			length += time.Duration(rng.Int64N(int64(w.to - w.from)))
		}
		steps = append(steps, Step{
			After: time.Duration(700+rng.IntN(2000)) * time.Millisecond, Kind: w.kind, For: length, Pick: rng.Uint64(),
		})
	}
	return shape, steps
}

// possible reports whether a round of this shape has a target for a fault.
func (s Shape) possible(k Kind) bool {
	if !s.Embedded || s.Workers > 1 {
		return true
	}
	switch k { // those strike a worker that is not the server
	case KillWorker, PauseWorker, CutShort, CutLong, CutSilent, DrainWorker:
		return false
	}
	return true
}

func describePlan(round int, shape Shape, steps []Step) string {
	var b strings.Builder
	fmt.Fprintf(&b, "round %d: %s; %d faults:", round, shape, len(steps))
	for _, s := range steps {
		fmt.Fprintf(&b, "\n  %s", s)
	}
	return b.String()
}
