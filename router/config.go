package router

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"pelton/router/internal/baseurl"
	"pelton/schema"
)

// DefaultBaseURL is OpenAI's own.
const DefaultBaseURL = "https://api.openai.com/v1"

// The defaults of a [Config].
const (
	DefaultNumRetries       = 2
	DefaultCooldownTime     = 5 * time.Second
	DefaultFatalRetry       = 3 * time.Minute
	DefaultShortWait        = 2 * time.Second
	DefaultMaxResponseBytes = 64 << 20
	DefaultMaxConnsHint     = 256
)

// Config says which upstreams there are and how they are tried. [FromEnv] and
// the package litellm make one; a program may also build it by hand. [New] takes a copy.
type Config struct {
	// Deployments are the upstreams, in the order of the file. Those with the
	// same Group share its requests. At least one is needed.
	Deployments []Deployment

	// Unserved are groups that no deployment can serve, and why: a request for one
	// goes to its fallbacks, or fails as upstream_fatal with that reason. A group
	// that has a deployment is served all the same. nil: none.
	Unserved map[string]string

	// Strategy chooses among the deployments of a group. Empty: [SimpleShuffle].
	Strategy Strategy

	// Aliases are further names of groups: what is asked for → what is meant.
	Aliases map[string]string

	// NumRetries is how many further attempts a request gets in its group after
	// the first, and as many again in each fallback. nil: [DefaultNumRetries];
	// 0: none. Answers that say when to come back are not counted: see [Router.Do].
	NumRetries *int

	// RetryPolicy replaces NumRetries for single kinds of failure, and
	// GroupRetryPolicy both for single groups.
	RetryPolicy      PerFailure
	GroupRetryPolicy map[string]PerFailure

	// MaxAttempts bounds the attempts of a request over all groups. 0: only the
	// bounds of the groups together.
	MaxAttempts int

	// Fallbacks are the groups to try, in order, after a group has failed; those
	// of a fallback follow it. The key "*" and DefaultFallbacks stand for groups
	// without an entry, and for models without a group. What is too long for a
	// group, or refused for its content, goes to the groups of
	// ContextWindowFallbacks and ContentPolicyFallbacks where the group has any.
	// No group is tried twice.
	Fallbacks              map[string][]string
	ContextWindowFallbacks map[string][]string
	ContentPolicyFallbacks map[string][]string
	DefaultFallbacks       []string

	// WaitAtLimits has requests wait for room where all deployments of a group are at
	// their limits, whatever its fallbacks. Without it they go to these where the
	// wait is longer than a call takes.
	WaitAtLimits bool

	// Variants are names in these lists that stand for a model whose requests say
	// something else: members of their bodies that are replaced. nil: none.
	Variants map[string]Variant

	// Budgets bound what deployments may cost. nil: nothing does.
	Budgets []Budget

	// CooldownTime is how long a failing deployment is left alone, before one
	// call probes it. nil: [DefaultCooldownTime]; 0: never, but for what the
	// upstream itself asks for.
	CooldownTime *time.Duration

	// AllowedFails is how many failures within a minute a deployment may have
	// before it cools down, AllowedFailsPolicy the same for single kinds.
	// nil: it cools down when more than half of its last calls failed, five at
	// least. 0: at the first failure. A deployment that is alone in a group without
	// fallbacks is judged as with nil, and cools down for DefaultCooldownTime at most.
	AllowedFails       *int
	AllowedFailsPolicy PerFailure

	// FatalRetry is after how long a deployment that could serve nobody (a bad
	// key, no quota, no such model) is tried again with one call.
	// 0: [DefaultFatalRetry].
	FatalRetry time.Duration

	// ShortWait is how long a request that nothing can take now waits inside
	// [Router.Do] before it is parked. 0: [DefaultShortWait]; negative: not at all.
	ShortWait time.Duration

	// Timeout bounds each attempt of deployments that have none of their own.
	// 0: only the request's own timeout bounds an attempt.
	Timeout time.Duration

	// FirstToken and NextToken bound a streamed answer's time to its first token
	// and between tokens, for deployments that have none of their own. 0: no
	// bound of their own.
	FirstToken, NextToken time.Duration

	// Adaptive finds out by itself how many calls at once a deployment takes,
	// up to its MaxParallel, or MaxConnsHint where it has none. Experimental.
	Adaptive bool

	// IgnoreTags leaves the tags of requests and deployments out of the choice.
	// MatchAllTags wants a deployment to have all of a request's tags, not any.
	IgnoreTags, MatchAllTags bool

	// MaxResponseBytes bounds an answer after decompression; a longer one fails
	// its request with the code response_too_large. 0: [DefaultMaxResponseBytes].
	MaxResponseBytes int64

	// MaxConnsHint is about how many calls will run at once: as many idle
	// connections are kept per host. It limits nothing. 0: [DefaultMaxConnsHint].
	MaxConnsHint int
}

// Variant is a model, and an object of members that replace those of a body.
type Variant struct {
	Model  string
	Fields json.RawMessage
}

// PerFailure is a number for each kind of failure that LiteLLM's policies know.
// nil means that nothing is said of it; zero is a value.
type PerFailure struct {
	BadRequest     *int // request_fatal
	Authentication *int // upstream_fatal
	Timeout        *int // transient: no answer within the attempt's time
	RateLimit      *int // rate_limited
	ContentPolicy  *int // content_policy
	InternalServer *int // transient: everything else
}

// of returns the number for a failure, nil when there is none.
func (p PerFailure) of(e *schema.Error) *int {
	switch e.Class {
	case schema.ClassRequestFatal:
		return p.BadRequest
	case schema.ClassUpstreamFatal:
		return p.Authentication
	case schema.ClassRateLimited:
		return p.RateLimit
	case schema.ClassContentPolicy:
		return p.ContentPolicy
	case schema.ClassTransient:
		if e.Code == schema.CodeTimeout {
			return p.Timeout
		}
		return p.InternalServer
	}
	return nil
}

// FromEnv makes the configuration that needs no file: one deployment for every
// model name, from OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_ORG_ID and
// OPENAI_PROJECT_ID as env gives them (os.LookupEnv). Without a key it fails,
// unless OPENAI_BASE_URL names another server than OpenAI's, which may need none.
func FromEnv(env func(string) (string, bool)) (*Config, error) {
	get := func(name string) string {
		value, _ := env(name)
		return strings.TrimSpace(value)
	}
	base := get("OPENAI_BASE_URL")
	if base == "" {
		base = DefaultBaseURL
	}
	base, authorization, err := baseurl.Parse(base)
	var bad *BaseURLError
	if errors.As(err, &bad) {
		return nil, errors.New("OPENAI_BASE_URL " + bad.Reason)
	}
	key := NewSecret(get("OPENAI_API_KEY"))
	if key.Empty() && authorization.Empty() && base == DefaultBaseURL {
		return nil, errors.New("no key: set OPENAI_API_KEY, or OPENAI_BASE_URL for a server that needs none, or PELTON_CONFIG")
	}
	d := Deployment{
		ID: "openai-1", Group: "*", Model: "*", BaseURL: base, APIKey: key,
		Organization: get("OPENAI_ORG_ID"), Project: get("OPENAI_PROJECT_ID"),
	}
	if !authorization.Empty() && key.Empty() {
		d.Headers = map[string]Secret{"Authorization": authorization}
	}
	return &Config{Deployments: []Deployment{d}}, nil
}

// NewID returns an id for a deployment that has none, unlike all in taken: of its
// group's name, or else of the provider's, and a number.
func NewID(d Deployment, providerName string, taken map[string]bool) string {
	stem := strings.Trim(strings.ReplaceAll(d.Group, "*", ""), "/-_.: ")
	if stem == "" {
		stem = providerName
	}
	if stem == "" {
		stem = "any"
	}
	for n := 1; ; n++ {
		if id := fmt.Sprintf("%s-%d", stem, n); !taken[id] {
			return id
		}
	}
}
