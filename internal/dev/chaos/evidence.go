package chaos

import (
	"time"

	"pelton/schema"
)

// Evidence is all that an auditor may look at: what was asked for, what the
// upstream saw, what is stored, what readers were given, and what was broken.
type Evidence struct {
	Jobs     []Job
	Calls    []Call
	Faults   []Fault
	Readings []Reading
	Cap      int // of the queue
	Slots    int // of each worker

	// Missing is how many messages of the results stream are no longer there.
	// Nothing ages out in a round: what is gone was replaced or removed.
	Missing int
}

// Job is one job and what is stored of it.
type Job struct {
	ID          string
	Total       int
	Concurrency int
	FailFast    bool
	Cancelled   bool // by the harness, at some time

	Results []Stored // as they stand in the stream
	Ends    []End
}

// Stored is one stored result.
type Stored struct {
	Index    int
	Seq      uint64
	At       time.Time // when the stream took it
	Finished time.Time // as the worker says
	Status   schema.Status
	CustomID string
	Answer   string
	Attempts []schema.Attempt
	Bill     schema.Bill // as it says itself
}

// End is a job's final state on the results stream.
type End struct {
	Seq    uint64
	At     time.Time
	State  schema.Phase
	Total  int
	Counts schema.Counts
	Bill   schema.Bill
}

// Call is one call that reached the upstream.
type Call struct {
	Worker  string // one start of one worker
	Job     string
	Index   int
	Start   time.Time
	End     time.Time
	Status  int // 0: no whole answer
	Aborted bool
	Billed  int // tokens
}

// good reports whether the caller got an answer it can keep.
func (c Call) good() bool { return c.Status >= 200 && c.Status < 300 && !c.Aborted }

// Reading is what one reader was given, over all its lives.
type Reading struct {
	Job   string
	By    string
	Order schema.Order
	Items []Item
	Ended bool // it was told that the job has ended
	Lives int  // how often it began or went on
}

// Item is one result as a reader was given it.
type Item struct {
	Index    int
	Finished time.Time
	seq      uint64 // where to go on behind it; only the Go client knows
}

// Kind is a kind of fault.
type Kind string

// The faults that are injected.
const (
	KillWorker     Kind = "kill -9 of a worker"
	KillOwner      Kind = "kill -9 of an owner"
	KillEmbedded   Kind = "kill -9 of a worker with its NATS server"
	KillServer     Kind = "kill -9 of the NATS server"
	KillReader     Kind = "kill -9 of a collector process"
	StopReader     Kind = "Go collector cut short, then resumed"
	PauseWorker    Kind = "pause of a worker, longer than AckWait"
	PauseOwner     Kind = "pause of an owner, longer than AckWait"
	PauseEmbedded  Kind = "pause of a worker with its NATS server"
	DrainWorker    Kind = "drain and restart of a worker"
	CutShort       Kind = "connection cut for a moment"
	CutLong        Kind = "connection refused, longer than AckWait"
	CutSilent      Kind = "connection silent, longer than AckWait"
	SlowDisk       Kind = "slow disk"
	FullStore      Kind = "full store"
	UpstreamHangs  Kind = "upstream hangs"
	UpstreamErrors Kind = "upstream errors"
)

// Fault is one fault that was injected.
type Fault struct {
	Kind   Kind
	Worker string    // the start of a worker that it struck; empty: none, or all
	Start  time.Time // before the fault
	End    time.Time // after it was healed: the process is back, the connection made again
}

// Lengths that decide what a fault may excuse.
const (
	// unreachable is how long a worker must have been out of the broker's reach
	// before the broker may give its messages to another: AckWait, less one
	// heartbeat before and one after.
	unreachable = 3 * time.Second

	// resettle is how long after a fault the broker and the workers may still
	// act on what they did not hear during it.
	resettle = 5 * time.Second
)

// breaks reports whether the fault ends a worker for good.
func (f Fault) breaks(worker string) bool {
	switch f.Kind {
	case KillWorker, KillOwner, KillEmbedded:
		return f.Worker == worker
	}
	return false
}

// forgets reports whether the broker may have lost its memory of deliveries.
func (f Fault) forgets() bool { return f.Kind == KillServer || f.Kind == KillEmbedded }

// parts reports whether the fault kept a worker from the broker for so long that
// its messages may have been given to another.
func (f Fault) parts(worker string) bool {
	switch f.Kind {
	case PauseWorker, PauseOwner, CutLong, CutSilent, CutShort:
		if f.Worker != worker {
			return false
		}
	case PauseEmbedded, KillServer, KillEmbedded:
	default:
		return false
	}
	return f.End.Sub(f.Start) >= unreachable
}

// delays reports whether a worker cannot store what it has while the fault lasts.
func (f Fault) delays(worker string) bool {
	switch f.Kind {
	case FullStore, SlowDisk, KillServer, KillEmbedded, PauseEmbedded:
		return true
	case CutShort, CutLong, CutSilent, PauseWorker, PauseOwner:
		return f.Worker == worker
	}
	return false
}
