package testenv

import "go.uber.org/goleak"

// Leaks are the goroutines that a test may leave behind.
//
// nats.go v1.55 starts one that watches the connection with each upload to an
// object store, and forgets it when the upload ends before that goroutine has
// read which channel to watch: it waits on no channel for ever.
func Leaks() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreTopFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"),
	}
}
