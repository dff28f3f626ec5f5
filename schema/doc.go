// Package schema is the vocabulary of Pelton: the messages that producers,
// owners, workers and collectors exchange, the subjects they travel on and the
// rules that make one valid. It knows neither NATS nor HTTP.
//
// # Messages
//
// A [Job] is N requests published once. Each [Request] carries one body for an
// OpenAI-compatible endpoint, kept byte for byte. Each request ends as exactly
// one [Result]; the job as a whole is described by its [State].
//
// # Bytes
//
// Bodies are carried, not interpreted. Go's encoding/json compacts and escapes
// a [json.RawMessage] when it is marshalled, so the types that hold one have an
// AppendJSON method that splices the raw bytes in as they are; use it wherever
// the bytes matter. Decoding keeps them as they came.
//
// # Reading
//
// [ParseJob] reads a whole job, [LineReader] an input of any length line by
// line, [ParseRequest] one request; [FromCloudEvent] unwraps a job first. They
// judge the envelope strictly and a body only by what its endpoint cannot do
// without, and report everything wrong at once as [Problems]. [Job.Validate]
// judges jobs built in Go by the same rules.
//
// # Documents
//
// [Documents] are the same rules for other languages: a JSON Schema for each
// message, and an AsyncAPI description of all subjects.
package schema
