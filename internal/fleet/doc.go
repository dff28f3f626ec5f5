// Package fleet holds what the workers of one NATS account must hold together:
// the limits of a deployment, which are true for all workers of all processes,
// and its cooldowns, of which all hear.
//
// # One decides, the others ask
//
// One worker is the coordinator. It is chosen by a lease, a record in a
// key-value bucket that only compare-and-set changes (lease.go, elect.go). It
// keeps the books of all deployments (ledger.go, account.go) and answers asks
// in the order they came in, over all workers (coordinator.go). A worker asks
// for each call, over core NATS, many asks to a message where many come at once
// (member.go, outbox.go). An answer costs a round trip, well under a
// millisecond on a local network.
//
// # What holds
//
//   - No call without a permit: while no coordinator can be reached,
//     [Fleet.Admit] returns a [router.BusyError] that is ready [RetryAway] ahead,
//     and [Fleet.Wait] waits. Calls in flight go on, and settle with the next
//     coordinator.
//   - Never more than MaxParallel permits of a deployment at once. A worker that
//     is not heard of for [ForgetAfter] counts as dead, and its permits are given
//     to others: calls that it left open at the upstream are the one exception.
//   - In any time t at most rate × t calls and half a second of rate on top (one
//     call at least), whoever coordinates: the books of a new coordinator open
//     empty, as if the last one had just given everything away.
//   - With demand the rate is used up: who waits is answered when there is room,
//     and does not poll. A coordinator that dies costs what its lease still runs,
//     [LeaseTerm] at most, and one that closes costs nothing.
//
// # Why two never decide at once
//
// The lease runs from before the coordinator wrote it; a challenger waits the
// same time, and a margin, from after it saw it, and then must overwrite that very
// revision. Both read monotonic and wall clock and believe the stricter. The
// coordinator looks at its lease before each grant. For what it wrote before it
// was paused and the network delivers after, each answer says how much of the
// lease is left, and the worker counts that from when it sent the question: it
// takes no permit from an answer older than the lease.
//
// # Why a new coordinator knows enough
//
// Each worker tells the new coordinator its permits at once. What those that do
// not answer may hold stands in the lease's record: before a worker is granted
// more permits of a deployment with MaxParallel than the record allows it, the
// record is written (ceilings.go). So the new coordinator grants from the first
// moment, and counts who has not answered at the most that it may hold.
//
// # Weighed and left
//
// Splitting the limits among the workers needs no asking, but wastes what idle
// workers hold, and a split of 3 rpm among 5 workers is none. Counters in the
// key-value bucket cost a write, and under contention many, per call, and nobody
// is woken by them. [router.LocalLimiter] as the engine would begin with full
// buckets and knows neither who holds a permit nor who waits.
package fleet
