package telemetry

// Every name that Pelton gives to spans, attributes and links. Those of
// OpenTelemetry's GenAI conventions are still in development there, and no longer
// in the module of the stable ones: when they change, this file does.

// Names of spans. A call is named by its operation and model, "chat gpt-4o-mini".
const (
	spanJob     = "job"        // and the queue: from the job's publish to its end
	spanRequest = "process"    // and the queue: from the request's queueing to its result, or to its parking
	spanWait    = "queue wait" // within a request: until a worker's slot took it up
)

// Attributes of the process; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES beat them.
const (
	attrService  = "service.name"
	attrVersion  = "service.version"
	attrInstance = "service.instance.id"
)

// Attributes of jobs and requests.
const (
	attrSystem      = "messaging.system"
	attrDestination = "messaging.destination.name" // the queue
	attrOperation   = "messaging.operation.type"
	attrBatchCount  = "messaging.batch.message_count"
	attrMessage     = "messaging.message.id" // JOB or JOB.INDEX

	attrQueue    = "pelton.queue"
	attrJob      = "pelton.job.id"
	attrState    = "pelton.job.state"
	attrReason   = "pelton.job.reason"
	attrRetryOf  = "pelton.job.retry_of"
	attrCounts   = "pelton.job.count." // and the status
	attrIndex    = "pelton.request.index"
	attrCustomID = "pelton.request.custom_id"
	attrStatus   = "pelton.request.status" // of the result; "parked" where there is none yet
	attrEarlier  = "pelton.request.earlier_attempts"
)

// Attributes of a call.
const (
	attrGenOperation = "gen_ai.operation.name"
	attrGenProvider  = "gen_ai.provider.name"
	attrGenModel     = "gen_ai.request.model"
	attrGenAnswered  = "gen_ai.response.model"
	attrGenID        = "gen_ai.response.id"
	attrGenFinish    = "gen_ai.response.finish_reasons"
	attrGenInput     = "gen_ai.usage.input_tokens"
	attrGenOutput    = "gen_ai.usage.output_tokens"

	// Only with OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT.
	attrGenMessagesIn  = "gen_ai.input.messages"
	attrGenMessagesOut = "gen_ai.output.messages"

	attrServer     = "server.address"
	attrPort       = "server.port"
	attrHTTPStatus = "http.response.status_code"
	attrErrorType  = "error.type" // the class, on every span that failed
	attrErrorCode  = "pelton.error.code"
	attrDeployment = "pelton.deployment"
	attrAttempt    = "pelton.attempt.number" // from 1, earlier ones counted
	attrWaited     = "pelton.attempt.waited_ms"
	attrCost       = "pelton.cost_usd"
	attrUnknown    = "pelton.unknown_attempts"  // of jobs and requests, where there are any: the cost is the least then
	attrUnpriced   = "pelton.unpriced_attempts" // the same
	attrMaybe      = "pelton.usage_unknown"     // true on calls that may have been billed, and nobody told for what
	attrRequestID  = "pelton.upstream.request_id"

	// On the link from an attempt to the one that it repeats.
	attrLink      = "pelton.link"
	linkRetryOf   = "retry_of"
	valueSystem   = "nats"
	valueProcess  = "process"
	valueReceive  = "receive"
	valueProvider = "openai" // the protocol that is spoken; which deployment it is says attrDeployment
	statusParked  = "parked"
	statusGivenUp = "given_up"
)

// operations are the conventions' names for what an endpoint does.
var operations = map[string]string{
	"/v1/chat/completions": "chat",
	"/v1/responses":        "chat",
	"/v1/completions":      "text_completion",
	"/v1/embeddings":       "embeddings",
	"/v1/moderations":      "moderation",
}
