package schema

import (
	"slices"
	"strconv"
	"strings"
)

// DefaultPrefix is the first token of every subject unless configured otherwise.
const DefaultPrefix = "pelton"

// DefaultQueue is the queue of a job that names none.
const DefaultQueue = "default"

// Names gives the subjects, streams, buckets and consumers of one installation.
// The zero value uses [DefaultPrefix]. It is a pure value, safe to copy and to
// use concurrently.
type Names struct{ Prefix string }

func (n Names) prefix() string {
	if n.Prefix == "" {
		return DefaultPrefix
	}
	return n.Prefix
}

func (n Names) subject(tokens ...string) string {
	return n.prefix() + "." + strings.Join(tokens, ".")
}

// upper is the prefix as stream names carry it: they may hold no dots.
func (n Names) upper(suffix string) string {
	return strings.ToUpper(strings.ReplaceAll(n.prefix(), ".", "_")) + "_" + suffix
}

// The streams, key-value and object buckets of an installation: PREFIX_NAME, in
// capitals.

func (n Names) JobsStream() string    { return n.upper("JOBS") }    // jobs as published, until they have ended
func (n Names) WorkStream() string    { return n.upper("WORK") }    // requests that are fed, until they are acknowledged
func (n Names) ResultsStream() string { return n.upper("RESULTS") } // results, and the end of each job
func (n Names) CancelsStream() string { return n.upper("CANCELS") } // cancels
func (n Names) ParkedStream() string  { return n.upper("PARKED") }  // what is known of requests that wait, see [Parked]
func (n Names) RoomStream() string    { return n.upper("ROOM") }    // never made: asked for to see whether the server's store has room
func (n Names) StateBucket() string   { return n.upper("STATE") }   // key-value: the record of each job
func (n Names) InputBucket() string   { return n.upper("INPUT") }   // objects: requests of large jobs
func (n Names) BodiesBucket() string  { return n.upper("BODIES") }  // objects: bodies above the message limit

// OwnersConsumer is the durable consumer on the jobs stream for one queue.
func (n Names) OwnersConsumer(queue string) string { return "owners-" + queue }

// WorkersConsumer is the durable consumer on the work stream for one queue.
func (n Names) WorkersConsumer(queue string) string { return "workers-" + queue }

// StateKey is a job's key in the state bucket.
func (n Names) StateKey(queue, job string) string { return queue + "." + job }

// The subjects: PREFIX.KIND.QUEUE and so on, one token each. A queue or job of "*"
// makes the wildcard; the methods with Of and In make that of a whole job or queue.

// Jobs is the subject that jobs of a queue are published to.
func (n Names) Jobs(queue string) string { return n.subject("jobs", queue) }

// Work is the subject of one request that is fed to the workers.
func (n Names) Work(queue, job string, index int) string {
	return n.subject("work", queue, job, strconv.Itoa(index))
}
func (n Names) WorkOf(queue, job string) string { return n.subject("work", queue, job, "*") }
func (n Names) WorkIn(queue string) string      { return n.subject("work", queue, "*", "*") }

// Result is the subject of one result. It is stored once.
func (n Names) Result(queue, job string, index int) string {
	return n.subject("results", queue, job, strconv.Itoa(index))
}
func (n Names) ResultsOf(queue, job string) string { return n.subject("results", queue, job, "*") }

// End is the subject of a job's final state, behind its results.
func (n Names) End(queue, job string) string { return n.subject("results", queue, job, EndToken) }

// Parked is the subject of what is known of a request that waits.
func (n Names) Parked(queue, job string, index int) string {
	return n.subject("parked", queue, job, strconv.Itoa(index))
}
func (n Names) ParkedOf(queue, job string) string { return n.subject("parked", queue, job, "*") }

// Cancel is the subject whose message ends a job early, see [Cancel].
func (n Names) Cancel(queue, job string) string { return n.subject("cancel", queue, job) }

// Progress is the subject of a running job's state, now and then. Core NATS.
func (n Names) Progress(queue, job string) string { return n.subject("progress", queue, job) }

// Deltas is the subject of the chunks of one streamed request, as its upstream
// sends them. Core NATS.
func (n Names) Deltas(queue, job string, index int) string {
	return n.subject("deltas", queue, job, strconv.Itoa(index))
}
func (n Names) DeltasOf(queue, job string) string { return n.subject("deltas", queue, job, "*") }

// Events is the subject of what happens to one request. Core NATS, and only
// while somebody says on Listen that it is wanted.
func (n Names) Events(queue, job string, index int) string {
	return n.subject("events", queue, job, strconv.Itoa(index))
}
func (n Names) EventsOf(queue, job string) string { return n.subject("events", queue, job, "*") }

// Listen is the subject of the word that a job's events are wanted for the next
// [ListenTime]. Core NATS.
func (n Names) Listen(queue, job string) string { return n.subject("listen", queue, job) }

// Stored is the subject of the worker's word to a job's owner that a result is
// stored. It is core NATS and may be lost: owners also look for themselves.
func (n Names) Stored(queue, job string) string { return n.subject("stored", queue, job) }

// Service is the subject of one verb of the micro service: run, submit, status,
// list or cancel.
func (n Names) Service(verb, queue string) string { return n.subject("svc", verb, queue) }

// Workers is the subject on which every worker answers who it is: an empty
// request gets as many answers as there are workers.
func (n Names) Workers() string { return n.subject("fleet", "workers") }

// Held is the subject on which a worker, or a job's owner, asks the workers for the
// requests of a job that they have begun and not yet stored the result of: with the
// index of one in the message, else for all. Those that have some answer with their
// indexes, with commas between, and "+" behind those that are answered. Core NATS.
func (n Names) Held(queue, job string) string { return n.subject("fleet", "held", queue, job) }

// EndToken stands in the place of an index on the subject of a job's final state.
const EndToken = "end"

// Address is what a work or result subject says.
type Address struct {
	Queue, Job string
	Index      int  // -1 for End
	End        bool // the job's final state
}

// Parse reads a subject of the given kind ("jobs", "work", "results", "parked",
// "cancel", "progress", "stored", "deltas", "events", "listen", "fleet.held"). Kinds without an
// index leave it at -1, "jobs" also the job empty. It reports false for any other
// subject.
func (n Names) Parse(kind, subject string) (Address, bool) {
	rest, ok := strings.CutPrefix(subject, n.prefix()+"."+kind+".")
	if !ok {
		return Address{}, false
	}
	tokens := strings.Split(rest, ".")
	if slices.Contains(tokens, "") {
		return Address{}, false
	}
	indexed := kind == "work" || kind == "results" || kind == "parked" || kind == "deltas" || kind == "events"
	switch {
	case kind == "jobs" && len(tokens) == 1:
		return Address{Queue: tokens[0], Index: -1}, true
	case kind == "jobs":
		return Address{}, false
	case !indexed && len(tokens) == 2:
		return Address{Queue: tokens[0], Job: tokens[1], Index: -1}, true
	case !indexed || len(tokens) != 3:
		return Address{}, false
	case kind == "results" && tokens[2] == EndToken:
		return Address{Queue: tokens[0], Job: tokens[1], Index: -1, End: true}, true
	}
	index, err := strconv.Atoi(tokens[2])
	if err != nil || index < 0 || index >= maxIndex || strconv.Itoa(index) != tokens[2] { // "+1" and "01" are other subjects than "1"
		return Address{}, false
	}
	return Address{Queue: tokens[0], Job: tokens[1], Index: index}, true
}

// Names of headers. A message has those that apply to it.
const (
	// On requests, results and the end of a job.
	HeaderJob      = "Pelton-Job"
	HeaderIndex    = "Pelton-Index"     // an index or "end"
	HeaderStatus   = "Pelton-Status"    // a [Status], or on the end a [Phase]
	HeaderTotal    = "Pelton-Total"     // requests of the job
	HeaderCustomID = "Pelton-Custom-Id" // what a header cannot hold is percent-encoded
	HeaderObject   = "Pelton-Object"    // the body lies in the bodies bucket under this name
	HeaderTrace    = "traceparent"      // as W3C Trace Context has it; on jobs, too

	// HeaderReply is "stream" on a call of svc.run that wants a message per result.
	HeaderReply = "Pelton-Reply"

	// On results, for owners that count without reading bodies.
	HeaderCode  = "Pelton-Code"  // of the result's error
	HeaderUsage = "Pelton-Usage" // prompt,completion,total
	HeaderCost  = "Pelton-Cost"  // USD
	// Where they are not 0, as in the [Result].
	HeaderUnknownAttempts  = "Pelton-Unknown-Attempts"
	HeaderUnpricedAttempts = "Pelton-Unpriced-Attempts"

	HeaderWaited = "Pelton-Waited" // milliseconds that its attempts waited for a place at a deployment
	HeaderModel  = "Pelton-Model"  // the model asked for, where no deployment is left for it

	// On chunks of streamed requests.
	HeaderAttempt  = "Pelton-Attempt"  // from 1
	HeaderSequence = "Pelton-Sequence" // the chunk's place in its attempt, from 0

	// HeaderReady is on the word that a request is parked: when it is to run.
	HeaderReady = "Pelton-Ready-At"

	// HeaderReason is beside it: what the request waits for, for people.
	HeaderReason = "Pelton-Reason"

	// HeaderIncomplete is on successes whose answer is not all that was asked for: why.
	HeaderIncomplete = "Pelton-Incomplete"

	// HeaderRetryOf is on jobs: the one whose failures this one runs again.
	HeaderRetryOf = "Pelton-Retry-Of"

	// On requests in the work stream.
	HeaderFedAt          = "Pelton-Fed-At"          // Unix time in milliseconds
	HeaderAgain          = "Pelton-Again"           // "true": it may have been begun before, see the parked stream
	HeaderTags           = "Pelton-Tags"            // of the job, separated by commas
	HeaderURL            = "Pelton-Url"             // the [Endpoint]
	HeaderTimeout        = "Pelton-Timeout"         // of the request with its retries and waits, as Go writes durations
	HeaderAttemptTimeout = "Pelton-Attempt-Timeout" // of one attempt, likewise; none: see [Job.Timeout]
	HeaderDeadline       = "Pelton-Deadline"        // of the job, in RFC 3339
	HeaderQueuedAt       = "Pelton-Queued-At"       // when the job was published, in RFC 3339
	HeaderInclude        = "Pelton-Include-Request" // "true": the result repeats the body
)
