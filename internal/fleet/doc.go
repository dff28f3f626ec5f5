// Package fleet holds what the workers of one NATS account must hold together:
// the limits of a deployment, which are true for all workers of all processes,
// and its cooldowns, of which all hear.
//
// # One decides, the others ask
//
// One worker is the coordinator. It is chosen by a lease, a record in a
// key-value bucket that only compare-and-set changes (lease.go, elect.go). It
// keeps the books of all deployments (account.go, queue.go) and of all members
// (members.go), and answers asks in the order they came in, over all workers
// (coordinator.go, grant.go). A worker asks for each call, over core NATS, many
// asks to a message where many come at once (member.go, outbox.go). An answer
// costs a round trip, 0.1 ms on one machine.
//
// A worker that is refused keeps a place in the line of all workers. When it is
// its turn it is called ([Fleet.OnRoom]), and the room is kept for it for a
// moment: nobody has to poll, and nobody is quicker for having just ended a call.
//
// # What holds
//
//   - No call without a permit: while no coordinator can be reached,
//     [Fleet.Admit] returns a [router.BusyError] that is ready [RetryAway] ahead
//     (an ask under way then, within a second), and [Fleet.Wait] waits. Calls in
//     flight go on, and settle with the next coordinator.
//   - Never more than MaxParallel permits of a deployment at once. A worker that
//     is not heard of for [ForgetAfter] counts as dead, and its permits are given
//     to others: calls that it left open at the upstream are the one exception.
//   - In any time t at most rate × t calls and half a second of rate on top (one
//     call at least), whoever coordinates: the books of a new coordinator open
//     empty, as if the last one had just given everything away. Tokens likewise,
//     as estimated; what a call used beyond that is a debt that is waited off.
//   - With demand the rate is used up. A coordinator that dies costs what its
//     lease still runs, [LeaseTerm] at most, and one that closes costs nothing.
//
// # Why two never decide at once
//
// The lease runs from before the coordinator wrote it; a challenger waits the
// same time, and a margin, from after it saw it, and then must overwrite that very
// revision. The holder reads monotonic and wall clock and believes the later, and
// looks before each grant. For what it wrote before it was paused and the network
// delivers after, each answer says how much of the lease is left, and the worker
// counts that from when it sent the question: it takes no permit from an answer
// older than the lease.
//
// # Why a new coordinator knows enough
//
// Each worker tells the new coordinator its permits at once. What those that do
// not answer may hold stands in the lease's record: before a worker is granted
// more permits of a deployment with MaxParallel than the record allows it, the
// record is written (ceilings.go). So the new coordinator grants from the first
// moment, and counts who has not answered at the most that it may hold. Where the
// record itself was lost with the broker's store, nothing is granted for
// [LeaseTerm], in which the workers tell what they hold.
//
// What core NATS loses on the way is found within a beat or two: each worker
// repeats what it holds and what it waits for every half second.
//
// # Permissions
//
// A worker needs to publish and subscribe PREFIX.fleet.> and to use the bucket
// PREFIX_FLEET, on a connection without NoEcho.
//
// # Weighed and left
//
// Splitting the limits among the workers needs no asking, but wastes what idle
// workers hold, and a split of 3 rpm among 5 workers is none. Counters in the
// key-value bucket cost a write, and under contention many, per call, and nobody
// is called by them. [router.LocalLimiter] as the engine would begin with full
// buckets, and knows neither who holds a permit nor who waits. Permits in stock
// at each worker would save the round trip, which is nothing beside a model's
// answer, and break the windows: they are used later than they were granted.
package fleet

// The tests of the promises above are in limits_test.go and line_test.go
// (three members at once), crash_test.go (processes killed and paused),
// broker_test.go (the server away, restarted, emptied) and protocol_test.go
// (messages lost and late).
