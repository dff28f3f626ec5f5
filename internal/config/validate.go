package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Validate reports all that is wrong with the values, as one error with a line
// for each problem, or nil. It looks at no file and no server.
func (c *Config) Validate() error { return errors.Join(c.problems()...) }

func (c *Config) problems() []error {
	var problems []error
	bad := func(name, format string, a ...any) {
		problems = append(problems, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, a...)))
	}
	between := func(name string, n, low, high int) {
		if n < low || n > high {
			bad(name, "must be from %d to %d, not %d", low, high, n)
		}
	}

	c.addressProblems(bad)
	c.authProblems(bad)

	for token := range strings.SplitSeq(c.Prefix, ".") {
		if !isName(token) {
			bad("PELTON_PREFIX", "%q cannot begin a subject; use letters, digits, - and _, with dots between", c.Prefix)
			break
		}
	}
	if len(c.Queues) == 0 {
		bad("PELTON_QUEUES", "names no queue; write default=256")
	}
	between("PELTON_SLOTS", c.Slots, 1, MaxSlots)
	if c.StoreDir == "" && !c.Remote() {
		bad("PELTON_STORE_DIR", "there is no home directory to put it in; set it, or NATS_URL")
	}
	between("PELTON_REPLICAS", c.Replicas, 1, MaxReplicas)
	between("PELTON_API_MAX_FILE", c.APIMaxFile, 1, MaxAPIFile)
	between("PELTON_API_MAX_LINES", c.APIMaxLines, 0, MaxAPILines)
	if c.ResultsMaxAge < MinResultsMaxAge {
		bad("PELTON_RESULTS_MAX_AGE", "must be %v or more, not %v", MinResultsMaxAge, c.ResultsMaxAge)
	}
	for _, pattern := range c.ReplyAllow {
		if why := patternProblem(pattern, c.Prefix); why != "" {
			bad("PELTON_REPLY_ALLOW", "%q %s", pattern, why)
		}
	}
	if _, port, err := net.SplitHostPort(c.HTTPAddr); !c.HTTPOff() && (err != nil || !isPort(port)) {
		bad("PELTON_HTTP_ADDR", "%q must be HOST:PORT, like 127.0.0.1:9321, or off", c.HTTPAddr)
	}
	if token := c.HTTPToken.Reveal(); token != "" && len(token) < MinHTTPToken {
		bad("PELTON_HTTP_TOKEN", "must have %d characters or more", MinHTTPToken)
	}
	oneOf := func(name, value string, allowed ...string) {
		if slices.Contains(allowed, value) {
			return
		}
		bad(name, "must be one of %s, not %q", strings.Join(allowed, ", "), value)
	}
	oneOf("PELTON_LOG_LEVEL", c.LogLevel, "trace", "debug", "info", "warn", "error", "disabled")
	oneOf("PELTON_LOG_FORMAT", c.LogFormat, "auto", "console", "json")
	if len(c.WorkerName) > 128 || strings.ContainsFunc(c.WorkerName, func(r rune) bool { return !unicode.IsPrint(r) }) {
		bad("PELTON_WORKER_NAME", "must be at most 128 printable characters")
	}
	for _, name := range c.Experimental {
		if !slices.Contains(experiments, name) {
			bad("PELTON_EXPERIMENTAL", "%q is not known; there is %s", name, strings.Join(experiments, ", "))
		}
	}
	return problems
}

// addressProblems looks at the servers to connect to. Their addresses may hold a
// password: they are not repeated.
func (c *Config) addressProblems(bad func(name, format string, a ...any)) {
	for i, address := range splitList(c.NATSURL) {
		if !strings.Contains(address, "://") {
			address = "nats://" + address
		}
		u, err := url.Parse(address)
		if err != nil || u.Hostname() == "" {
			bad("NATS_URL", "address %d cannot be read; write nats://HOST:4222", i+1)
		}
	}
	if c.OpenAIBaseURL != "" {
		if u, err := url.Parse(c.OpenAIBaseURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			bad("OPENAI_BASE_URL", "must be an address like https://HOST/v1")
		}
	}
}

// AdaptiveConcurrency has each deployment's number of calls at once found out.
const AdaptiveConcurrency = "adaptive-concurrency"

var experiments = []string{AdaptiveConcurrency}

// Enabled reports whether an experimental feature is turned on.
func (c *Config) Enabled(experiment string) bool { return slices.Contains(c.Experimental, experiment) }

func (c *Config) authProblems(bad func(name, format string, a ...any)) {
	var ways []string
	if c.NATSCreds != "" {
		ways = append(ways, "NATS_CREDS")
	}
	if !c.NATSUser.Empty() {
		ways = append(ways, "NATS_USER")
	}
	if c.NATSNkey != "" {
		ways = append(ways, "NATS_NKEY")
	}
	if len(ways) > 1 {
		bad(ways[0], "is set together with %s; keep one way to authenticate", strings.Join(ways[1:], " and "))
	}
	if !c.NATSPassword.Empty() && c.NATSUser.Empty() {
		bad("NATS_PASSWORD", "is set without NATS_USER; set both")
	}
	if (c.NATSCert == "") != (c.NATSKey == "") {
		bad("NATS_CERT", "and NATS_KEY go together; set both or neither")
	}
}

func isPort(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 0 && n <= 65535
}

// patternProblem says what is wrong with a reply subject pattern, or "".
func patternProblem(pattern, prefix string) string {
	tokens := strings.Split(pattern, ".")
	for i, token := range tokens {
		switch {
		case token == "" || strings.ContainsFunc(token, unicode.IsSpace):
			return "is no subject; write tokens with dots between, like my.app.*"
		case token == ">" && i < len(tokens)-1:
			return "has a > that is not its last token"
		case len(token) > 1 && strings.ContainsAny(token, "*>"):
			return "has a wildcard inside a token; it must be a whole one"
		}
	}
	if strings.HasPrefix(pattern, "$") {
		return "begins with $; such subjects are never allowed"
	}
	if pattern == prefix || strings.HasPrefix(pattern, prefix+".") {
		return "lies under the prefix; such subjects are never allowed"
	}
	return ""
}
