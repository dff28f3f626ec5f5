package protocol

import "pelton/schema"

// Action is what the router does after a failure of a class.
type Action struct {
	Retry  bool // it is tried again, as often as num_retries says
	Wait   bool // a word on when to come back is waited for, and costs no retry
	Counts bool // against the deployment's health: enough of them begin a cooldown
	Out    bool // the deployment, or what the sign names of it, is left alone for minutes

	// Fallback is what of the configuration is gone on with.
	Fallback string
}

// Actions are those of the classes that an answer can have. A class that is not in it
// ends the request at once.
var Actions = map[schema.Class]Action{
	schema.ClassTransient:     {Retry: true, Counts: true, Fallback: "fallbacks"},
	schema.ClassRateLimited:   {Retry: true, Wait: true, Counts: true, Fallback: "fallbacks"},
	schema.ClassUpstreamFatal: {Out: true, Fallback: "fallbacks"},
	schema.ClassContextWindow: {Fallback: "context_window_fallbacks, else fallbacks"},
	schema.ClassContentPolicy: {Fallback: "content_policy_fallbacks, else fallbacks"},
	schema.ClassRequestFatal:  {Fallback: "fallbacks"},
}
