// Package store is what lies in NATS: streams, buckets and objects, and what is
// told over core NATS. An inner seam, not an API: it changes with any release.
//
// A [Store] is one installation as seen over one connection, composed by role:
// each of its fields is one kind of what lies there, and knows no other but by
// name. Whoever decides about jobs is above it, in package jobs.
//
// # Where to read
//
// setup.go: the streams. records.go: the state, whose revision fences owners.
// results.go: one result per index. internal/jet: how all of them ask and send;
// internal/hub and internal/capacity: who reads in this process, and how full it is.
package store
