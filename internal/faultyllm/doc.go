// Package faultyllm is an OpenAI-compatible upstream to test against, one of
// Anthropic's, Google's, Amazon Bedrock's and Cohere's protocols too: a real HTTP server that answers plainly,
// fails on demand, and keeps an exact record of what was asked of it.
//
//	srv, err := faultyllm.New(faultyllm.Config{Latency: 50 * time.Millisecond})
//	if err != nil { … }
//	if err := srv.Start(""); err != nil { … } // 127.0.0.1, a free port
//	defer srv.Close()
//	base := srv.URL() // http://127.0.0.1:41234/v1
//
// # What it answers
//
// Chat completions, completions, responses, embeddings, moderations and models,
// under /v1 only: without the prefix it answers 404, as real upstreams do.
// Google's generateContent, streamGenerateContent and batchEmbedContents, where
// the Gemini API and Vertex AI have them, fail with Google's errors, and
// /v1/messages, with its tools, with Anthropic's. /model/ID/converse and
// converse-stream are Bedrock's, the latter in binary frames, and /v2/chat and
// /v2/embed are Cohere's.
// Chat completions, completions, responses, messages and Cohere's chat stream when asked to. The text is
// an echo of the last user message, "You said: …", so that a reader can tell
// which answer belongs to which request; [Config.Answer] replaces it.
//
// # How it fails
//
// [Config.Faults] gives each [Fault] the share of calls that meet it. Whether
// the k-th call of a request fails, and how long it takes, depends only on
// [Config.Seed], the identity of the request and k: not on arrival order, nor
// on other requests. Two runs over the same input meet the same faults.
//
// [Config.RateLimit], [Config.MaxParallel] and the outage fields refuse calls by
// what the server is going through instead, and so do depend on arrival order.
// Checks come in this order: outage, body size, API key, body syntax, model,
// parallel calls, rate; only then the fault is drawn and the latency spent.
//
// # One call at a time
//
// A request may carry its own fate in a top-level field of its body, or as the
// same JSON in the header X-Mock, whose fields win over those of the body:
//
//	{"model": "m", "messages": […], "mock": {"status": 429, "retry_after": 1.5, "times": 2}}
//
// See [Script] for the fields.
//
// # What it remembers
//
// [Server.Stats] counts calls, calls in flight and their peak, duplicates,
// aborts and statuses. A call has ended on the record before its client can see
// the end of the answer, so a client that never has more than n calls open never
// makes the peak exceed n, and a test may read the record right after its last
// answer. The exception is a client that goes away in mid-call: the server can
// only notice that a moment later.
//
// Two calls are the same request if they have the same identity: the SHA-256 of
// the body, unless [Config.Identity] or the "key" of a [Script] says otherwise.
//
// # Control over HTTP
//
//	GET  /mock/stats       the record, as [Stats]
//	GET  /mock/identities  calls of each identity
//	GET  /mock/calls       the last calls (with keep_calls)
//	GET  /mock/bodies      the last request bodies (with keep_bodies)
//	POST /mock/reset       forget the record
//	GET  /mock/config      the knobs, without the API key
//	PUT  /mock/config      change the knobs that are named, leave the others
//	GET  /healthz          200 while the process lives, in an outage too
//
// These need no API key. The server is for tests and demonstrations; do not
// expose it.
package faultyllm
