// Package chaos breaks a running Pelton on a schedule and audits what is left.
//
// A round starts real processes of the real binary: a NATS server, in a worker's
// process or in one of its own, one to three workers, and readers. Jobs of many
// shapes are submitted for as long as faults are injected: processes are killed
// and paused, connections cut, the disk kept busy, the store filled, the upstream
// hangs and fails. Then everything is healed, every job must end, and [Audit]
// compares what the upstream saw with what is stored.
//
// The upstream is a [faultyllm.Server] in the harness's own process, which is
// never harmed: its record of calls is the evidence. Each start of a worker has
// an API key of its own, and each request says in its text which job and index
// it is, so that the record tells who called for what.
//
// What is drawn from the seed: the shape of each round, the schedule of faults
// with their targets and lengths, and the jobs. What is not: how fast the
// machine is, and so which requests are in flight when a fault comes.
package chaos
