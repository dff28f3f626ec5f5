package protocol

import (
	"strconv"
	"strings"

	"pelton/router/internal/lazyregexp"
	"pelton/schema"
)

// Sign is a row of the table by which failures are classified: what is seen, what it
// means, and where that is known from. docs/answers.md is made from the table.
type Sign struct {
	Seen string // for people

	// On are the statuses for which it counts: see statusesOf. Codes are the server's
	// names for it, each of which counts as a whole in an error's code, type or status;
	// Phrases count anywhere in its message; both in lower case. With neither, the
	// status alone is the sign.
	On      string
	Codes   string
	Phrases []string
	when    func(*Fault) bool // what can only be told by reading; beside Codes and Phrases

	Class schema.Class
	Scope Scope  // of an upstream_fatal
	Code  string // what it is called where the server has no name for it

	// Used says that a quota is used up that does not come back within minutes: see
	// [Fault.Used].
	Used bool

	Source string

	statuses statuses
	codes    map[string]bool
}

// Where the signs are known from.
const (
	fromOpenAI   = "OpenAI's error codes and SDKs"
	fromServers  = "answers of LiteLLM's proxy, Portkey, Bifrost, vLLM, llama.cpp"
	fromBoth     = "error references of OpenAI, Azure, Together, Anthropic; vLLM, llama.cpp"
	fromAccounts = "error references of OpenAI, Anthropic, DeepSeek, OpenRouter, Gemini"
	fromHTTP     = "RFC 9110"
)

// Signs is the table, in the order in which it is asked: the first row that fits
// counts. What a body says is more exact than a status, so those rows stand first.
var Signs = []Sign{
	{
		Seen: "a limit that the request alone exceeds: more requested than the limit is", On: "400 413 429",
		Phrases: []string{"request too large"}, when: (*Fault).neverFits,
		Class: schema.ClassContextWindow, Code: "context_length_exceeded", Source: "OpenAI's and Groq's rate limit messages",
	},
	{
		Seen: "too long for the model", On: "!401 !402 !429",
		Codes: "context_length_exceeded context_window_exceeded exceed_context_size_error max_tokens_exceeded model_max_prompt_tokens_exceeded",
		Phrases: []string{
			"maximum context length", "context length exceeded", "maximum prompt length", "available context size",
			"prompt is too long", "model's context length", "context window", "context the overflows",
			"reduce the length of the messages", "exceeds the maximum number of tokens allowed",
			"`inputs` tokens + `max_new_tokens`", "too large for model with", "cannot be greater than max_model_len",
			"too large to process", "physical batch size",
		},
		Class: schema.ClassContextWindow, Source: fromBoth,
	},
	{
		Seen: "refused for its content", On: "!401 !402 !429",
		Codes: "content_filter content_policy_violation responsibleaipolicyviolation moderation_blocked data_inspection_failed content_filtered",
		Phrases: []string{
			"content management policy", "flagged as potentially violating", "content exists risk",
			"content policy", "rejected by our safety system", "requires moderation",
		},
		Class: schema.ClassContentPolicy, Source: "error references of OpenAI, Azure, DeepSeek, OpenRouter, Alibaba",
	},
	{
		Seen: "no money, or no credit",
		Codes: "insufficient_quota credit_balance_exhausted credit_balance_too_low billing_hard_limit_reached billing_not_active billing_error " +
			"spend_limit_reached spend_limit_exceeded monthly_spend_limit_reached insufficient_balance insufficient_credits payment_required insufficient_funds",
		Class: schema.ClassUpstreamFatal, Scope: WholeAccount, Source: fromAccounts,
	},
	{
		Seen: "no money, in the message alone", On: "!5xx",
		Phrases: []string{
			"credit balance is too low", "credit balance too low", "insufficient balance", "insufficient credits", "insufficient funds",
			"spend limit", "spending limit", "requires more credits", "out of credits", "exceeded your monthly included credits",
		},
		Class: schema.ClassUpstreamFatal, Scope: WholeAccount, Code: "insufficient_quota", Source: fromAccounts,
	},
	{
		Seen: "a key, an organization or a country that is not taken",
		Codes: "invalid_api_key incorrect_api_key authentication_error unauthenticated account_deactivated unsupported_country_region_territory " +
			"invalid_organization mismatched_organization invalid_project no_db_connection",
		Class: schema.ClassUpstreamFatal, Scope: WholeAccount, Source: fromAccounts + "; LiteLLM's proxy without its database",
	},
	{
		Seen: "a wrong key, in the message alone", On: "!5xx",
		Phrases: []string{"api key not valid", "incorrect api key", "invalid api key"},
		Class:   schema.ClassUpstreamFatal, Scope: WholeAccount, Code: "invalid_api_key", Source: fromAccounts,
	},
	{
		Seen: "no key, a wrong one, or no money", On: "401 402 407",
		Class: schema.ClassUpstreamFatal, Scope: WholeAccount, Source: fromHTTP,
	},
	{
		Seen: "a token that is not taken", On: "498", Phrases: []string{"token"},
		Class: schema.ClassUpstreamFatal, Scope: WholeAccount, Code: "invalid_api_key", Source: "Cohere's error reference",
	},
	{
		Seen: "not there, of something that the request names: an item, a file, a tool, an earlier response", On: "404 410", when: (*Fault).namesItem,
		Class: schema.ClassRequestFatal, Source: fromOpenAI,
	},
	{
		Seen:  "no such model, or not for us",
		Codes: "permission_error permission_denied model_not_found deploymentnotfound model_not_available",
		Class: schema.ClassUpstreamFatal, Scope: OneModel, Source: fromAccounts + "; Azure",
	},
	{
		Seen: "no such model, or no server for it, in the message alone", On: "!5xx",
		Phrases: []string{
			"model not exist", "not a valid model id", "invalid model name", "model does not exist",
			"x-portkey-provider header is required", "invalid provider passed", "model must be in the format",
		},
		when:  (*Fault).lacksProvider,
		Class: schema.ClassUpstreamFatal, Scope: OneModel, Code: "model_not_found", Source: fromServers,
	},
	{
		Seen: "no such path, in the message alone", On: "!5xx", Phrases: []string{"unexpected endpoint or method"},
		Class: schema.ClassUpstreamFatal, Scope: OneEndpoint, Source: "LM Studio",
	},
	{
		Seen: "a quota of the day, or one of nothing", On: "403 429",
		Phrases: []string{"per day", "-per-day", "per-day", "(rpd)", "(tpd)", "daily limit", "daily quota", "daily free", "byday", "per 86400s"},
		when:    func(f *Fault) bool { return f.Used || limitOfZero.Get().MatchString(f.Message) },
		Class:   schema.ClassRateLimited, Used: true, Source: "Gemini's QuotaFailure; OpenAI's RPD; OpenRouter, Groq, Bedrock, GitHub Models",
	},
	{
		Seen: "too many requests", On: "429",
		Class: schema.ClassRateLimited, Source: "RFC 6585",
	},
	{
		Seen:  "too many requests, at any status",
		Codes: "rate_limit_exceeded rate_limit_error rate_limited slow_down resource_exhausted too_many_requests ratelimitreached throttling_error",
		Class: schema.ClassRateLimited, Source: "OpenAI's slow_down (503); Gemini, Azure, LiteLLM",
	},
	{
		Seen:  "no capacity now, at any status",
		Codes: capacityCodes,
		Class: schema.ClassTransient, Source: "OpenAI, Anthropic",
	},
	{
		Seen: "a success around an error of the request", On: "2xx", Codes: requestCodes,
		Class: schema.ClassRequestFatal, Source: "vLLM, LM Studio",
	},
	{
		Seen: "a success around any other error", On: "2xx",
		Class: schema.ClassTransient, Source: "a try more costs less than a lost request",
	},
	{
		Seen: "a redirect, which is not followed", On: "1xx 3xx",
		Class: schema.ClassUpstreamFatal, Scope: OneEndpoint, Source: "neither key nor prompt goes to an address that nobody configured",
	},
	{
		Seen: "not for us", On: "403",
		Class: schema.ClassUpstreamFatal, Scope: OneModel, Source: fromHTTP,
	},
	{
		Seen: "gone: the model is retired", On: "410",
		Class: schema.ClassUpstreamFatal, Scope: OneModel, Source: "providers' deprecation pages; RFC 9110",
	},
	{
		Seen: "not there: the model where the message names one, else the path", On: "404 405",
		Class: schema.ClassUpstreamFatal, Scope: OneEndpoint, Source: fromHTTP,
	},
	{
		Seen: "not served: the path is switched off, or the protocol is another", On: "501 505 506 508 510 511",
		Class: schema.ClassUpstreamFatal, Scope: OneEndpoint, Source: "llama.cpp without --embeddings; RFC 9110",
	},
	{
		Seen: "full: nothing but the status", On: "408", when: func(f *Fault) bool { return f.Message == "" },
		Class: schema.ClassRateLimited, Source: "vllm-router, sglang-router",
	},
	{
		Seen: "a hiccup: timeout, conflict, no capacity, a generation that failed", On: "408 409 424 425 460 498 499",
		Class: schema.ClassTransient, Source: "OpenAI's SDKs; Groq (498), Bedrock (424), Google (499)",
	},
	{
		Seen: "a fault of the request", On: "400 406 411-417 421 422 426 428 431 451",
		Class: schema.ClassRequestFatal, Source: fromHTTP,
	},
	{
		Seen: "a server's fault", On: "500 502-504 507 509 520-529 530 598 599",
		Class: schema.ClassTransient, Source: "RFC 9110; Cloudflare (52x), Anthropic (529)",
	},
	{
		Seen: "a status that nobody knows, with a type that says a server's fault", On: "4xx 5xx",
		Codes: "server_error api_error internal_error internal_server_error internalservererror timeout timeout_error service_unavailable " +
			"service_unavailable_error serviceunavailable unavailable",
		Class: schema.ClassTransient, Source: "error types of OpenAI, Anthropic, LiteLLM",
	},
	{
		Seen: "a status that nobody knows, with a type that says what is not there", On: "4xx 5xx", Codes: "not_found_error notfounderror not_found",
		Class: schema.ClassUpstreamFatal, Scope: OneModel, Source: "error types of Anthropic, vLLM",
	},
	{
		Seen: "a status that nobody knows, with a type that says a fault of the request", On: "4xx 5xx", Codes: requestCodes,
		Class: schema.ClassRequestFatal, Source: "error types of OpenAI, vLLM",
	},
	{
		Seen: "a status that nobody knows, by its hundred", On: "4xx",
		Class: schema.ClassRequestFatal, Source: "RFC 9110, section 15",
	},
	{
		Seen:  "any other status",
		Class: schema.ClassTransient, Source: "RFC 9110, section 15",
	},
}

const capacityCodes = "server_is_overloaded overloaded overloaded_error engine_overloaded capacity_exceeded"

const requestCodes = "invalid_request_error invalid_request badrequesterror bad_request invalid_argument unsupported_parameter " +
	"unsupported_value invalid_value missing_required_parameter validation_error"

var (
	limitWord     = lazyregexp.New(`(?i)\blimit:?\s+~?([\d,]+)`)
	requestedWord = lazyregexp.New(`(?i)\brequested:?\s+~?([\d,]+)`)

	// limitOfZero is a quota that nothing fits in: Gemini's for models that a plan lacks.
	limitOfZero = lazyregexp.New(`(?i)\blimit:?\s+0\b(?:[^.\d]|$)`)
)

// neverFits reports whether the message counts more requested than the limit is: no
// wait makes room for that.
func (f *Fault) neverFits() bool {
	limit, requested := limitWord.Get().FindStringSubmatch(f.Message), requestedWord.Get().FindStringSubmatch(f.Message)
	if limit == nil || requested == nil {
		return false
	}
	most := digits(limit[1])
	return most > 0 && digits(requested[1]) > most
}

// digits reads a whole number with commas in it; 0 for anything else.
func digits(text string) int {
	n, _ := strconv.Atoi(strings.ReplaceAll(text, ",", ""))
	return n
}

// aboutItems are words of messages on what a request names.
var aboutItems = lazyregexp.New(`(?i)\b(item|file|tool|prompt|conversation|previous[ _]response|response|thread|assistant|message|vector store|container|batch|image|upload|cache|cached content|session)s?\b` +
	`[^.]{0,40}?(['"\x60]|\bwith id\b|\bid\b|not found|not exist)|\bno (such )?(file|tool|item|prompt|vector store|container)\b|support tool use`)

// namesItem reports whether the error is on a thing that the request names, and so
// says nothing of the model or the path.
func (f *Fault) namesItem() bool {
	switch {
	case f.named(modelWords), strings.EqualFold(f.Param, "model"):
		return false
	case f.Param != "":
		return true
	case f.Loose:
		return false
	}
	message := aboutItems.Get().FindString(f.Message)
	return message != "" && !strings.Contains(strings.ToLower(f.Message), "the model ") && !strings.HasPrefix(strings.ToLower(f.Message), "model ")
}

var modelWords = words("model_not_found deploymentnotfound model_not_available")

// lacksProvider reports whether a gateway says that it knows no server for this.
func (f *Fault) lacksProvider() bool {
	message := strings.ToLower(f.Message)
	return strings.Contains(message, "provider") && strings.Contains(message, "not configured")
}
