// Package jobs is the queue: it knows NATS, and nothing of HTTP.
//
// # For those who use it
//
// A [Client] submits a [schema.Job] and gives a [Handle] to it; a handle yields
// results as they complete ([Handle.Results]) or in input order
// ([Handle.Ordered]), waits, cancels, and can be made anew from the job's id.
// [Client.Run] is all of that in one call.
//
// # For those who run it
//
// [StartOwner] takes jobs from a [store.Store] and sees them to their end, and
// package worker runs the requests that owners feed.
//
// # Where to read
//
// The life of a job: accept.go (whose is it), owned.go (the loop), feed.go (what
// is handed out, and found again when it is lost), finish.go (how it ends). What
// lasts is in package store. What readers use: collector.go and stored.go.
package jobs
