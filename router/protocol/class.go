package protocol

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"pelton/schema"
)

// ClassOf is the table by which failures are classified: the server's codes and
// message first, then the status. A class that the fault has comes before both.
// status is the answer's, or the one in its body where that says success.
func ClassOf(status int, f *Fault) schema.Class {
	if f.Class != "" {
		return f.Class
	}
	paced := status == http.StatusTooManyRequests
	denied := status == http.StatusUnauthorized || status == http.StatusPaymentRequired
	switch {
	case !paced && !denied && (f.named(contextCodes) || f.says(contextPhrases)):
		return schema.ClassContextWindow
	case !paced && !denied && (f.named(policyCodes) || f.says(policyPhrases)):
		return schema.ClassContentPolicy
	case f.named(deadCodes) || status < 500 && f.says(deadPhrases):
		return schema.ClassUpstreamFatal
	case paced || f.named(paceCodes):
		return schema.ClassRateLimited
	case f.named(overloadCodes):
		return schema.ClassTransient
	}
	switch {
	case status >= 200 && status < 300: // an error that says no more than its message
		if f.named(requestCodes) {
			return schema.ClassRequestFatal
		}
		return schema.ClassTransient // a try more costs less than a lost request
	case status < 400: // no redirect is followed
		return schema.ClassUpstreamFatal
	case status >= 500:
		return schema.ClassTransient
	}
	switch status {
	case 401, 402, 403, 404, 405, 407:
		return schema.ClassUpstreamFatal
	case 408, 409, 425:
		return schema.ClassTransient
	default:
		return schema.ClassRequestFatal
	}
}

// What upstreams call things, in lower case. A code counts as a whole, in the
// code, type or status of an error; a phrase anywhere in its message.
var (
	contextCodes = words("context_length_exceeded context_window_exceeded exceed_context_size_error " +
		"max_tokens_exceeded model_max_prompt_tokens_exceeded")
	contextPhrases = []string{
		"maximum context length", "context length exceeded", "maximum prompt length", "available context size",
		"prompt is too long", "model's context length", "context window", "context the overflows",
		"reduce the length of the messages", "exceeds the maximum number of tokens allowed",
		"`inputs` tokens + `max_new_tokens`", "too large for model with",
	}
	policyCodes = words("content_filter content_policy_violation responsibleaipolicyviolation " +
		"moderation_blocked data_inspection_failed content_filtered")
	policyPhrases = []string{
		"content management policy", "flagged as potentially violating", "content exists risk",
		"content policy", "rejected by our safety system", "requires moderation",
	}
	accountCodes = words("invalid_api_key incorrect_api_key authentication_error " +
		"unauthenticated insufficient_quota credit_balance_exhausted billing_hard_limit_reached billing_not_active " +
		"billing_error account_deactivated spend_limit_reached spend_limit_exceeded monthly_spend_limit_reached " +
		"insufficient_balance insufficient_credits payment_required unsupported_country_region_territory " +
		"invalid_organization mismatched_organization invalid_project")
	accountPhrases = []string{
		"api key not valid", "incorrect api key", "invalid api key", "credit balance is too low",
		"insufficient balance", "insufficient credits", "spend limit", "spending limit",
	}
	modelCodes   = words("permission_error permission_denied model_not_found deploymentnotfound model_not_available")
	modelPhrases = []string{
		"model not exist", "not a valid model id", "invalid model name", "model does not exist",
	}
	deadCodes     = union(accountCodes, modelCodes)
	deadPhrases   = slices.Concat(accountPhrases, modelPhrases, []string{"unexpected endpoint or method"})
	paceCodes     = words("rate_limit_exceeded rate_limit_error rate_limited slow_down resource_exhausted too_many_requests ratelimitreached")
	overloadCodes = words("server_is_overloaded overloaded overloaded_error engine_overloaded")
	requestCodes  = words("invalid_request_error invalid_request badrequesterror bad_request invalid_argument unsupported_parameter " +
		"unsupported_value invalid_value missing_required_parameter validation_error")
)

// Scope is how much of a deployment an upstream_fatal error takes out.
type Scope int

const (
	ByTable      Scope = iota // as ScopeOf finds
	WholeAccount              // a key, money, a country: nothing works
	OneModel                  // the model is not there, or not for us
	OneEndpoint               // the server lacks the path
)

// ScopeOf says how much an upstream_fatal error takes out.
func ScopeOf(status int, f *Fault) Scope {
	switch {
	case f.Scope != ByTable:
		return f.Scope
	case status == 401 || status == 402 || status == 407 || f.named(accountCodes) || f.says(accountPhrases):
		return WholeAccount
	case f.named(modelCodes) || f.says(modelPhrases) || status == 403 || f.NamesModel():
		return OneModel
	}
	return OneEndpoint
}

// NamesModel reports whether the error is a server's word on a model, not on a path.
func (f *Fault) NamesModel() bool {
	return f.named(deadCodes) || !f.Loose && strings.Contains(strings.ToLower(f.Message), "model")
}

func union(sets ...map[string]bool) map[string]bool {
	all := map[string]bool{}
	for _, set := range sets {
		maps.Copy(all, set)
	}
	return all
}

func words(list string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(list) {
		set[word] = true
	}
	return set
}
