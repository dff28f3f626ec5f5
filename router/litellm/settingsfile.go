package litellm

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"pelton/router"
	"pelton/router/internal/keywords"
)

// routerSettings reads router_settings, and litellm_settings, which LiteLLM
// takes as the defaults of the former.
func (l routerReader) routerSettings(cfg *router.Config, section entry) {
	for _, e := range l.mapping(section.value, section.path) {
		switch e.key {
		case "routing_strategy":
			l.strategy(cfg, e)
		case "num_retries":
			if n, ok := l.count(e); ok {
				cfg.NumRetries = &n
			}
		case "max_attempts":
			cfg.MaxAttempts, _ = l.upTo(e, maxTries)
		case "timeout", "request_timeout":
			cfg.Timeout = l.seconds(e)
		case "stream_timeout":
			stream := l.seconds(e)
			cfg.FirstToken, cfg.NextToken = cmp.Or(cfg.FirstToken, stream), cmp.Or(cfg.NextToken, stream)
		case "first_token_timeout":
			cfg.FirstToken = l.seconds(e)
		case "next_token_timeout":
			cfg.NextToken = l.seconds(e)
		case "allowed_fails":
			if n, ok := l.upTo(e, maxFails); ok {
				cfg.AllowedFails = &n
			}
		case "allowed_fails_policy":
			cfg.AllowedFailsPolicy = l.perFailure(e, "AllowedFails", maxFails)
		case "cooldown_time":
			cfg.CooldownTime = l.secondsOrZero(e)
		case "disable_cooldowns":
			if l.yes(e) {
				cfg.CooldownTime = new(time.Duration)
			}
		case "retry_policy":
			cfg.RetryPolicy = l.perFailure(e, "Retries", maxTries)
		case "model_group_retry_policy":
			cfg.GroupRetryPolicy = map[string]router.PerFailure{}
			for _, group := range l.mapping(e.value, e.path) {
				cfg.GroupRetryPolicy[group.key] = l.perFailure(group, "Retries", maxTries)
			}
		case "model_group_alias":
			l.aliases(cfg, e)
		case "fatal_retry":
			cfg.FatalRetry = l.seconds(e)
		case "short_wait":
			cfg.ShortWait = l.seconds(e)
		case "drop_params":
			l.dropParams(cfg, e)
		case "enable_azure_ad_token_refresh": // the model list was read by it
		case "enable_pre_call_checks":
			if !l.yes(e) {
				l.unused(e, "; it is always on")
			}
		case "default_litellm_params", "provider_budget_config", "max_budget", "budget_duration": // read before
		default:
			if !l.lists(cfg, e) && !l.choices(cfg, e) && !l.guards(e) {
				l.unused(e, hints[e.key])
			}
		}
	}
}

// lists reads where else requests go; false means that e is something else.
func (l routerReader) lists(cfg *router.Config, e entry) bool {
	switch e.key {
	case "fallbacks":
		cfg.Fallbacks = l.fallbacks(e)
	case "context_window_fallbacks":
		cfg.ContextWindowFallbacks = l.fallbacks(e)
	case "content_policy_fallbacks":
		cfg.ContentPolicyFallbacks = l.fallbacks(e)
	case "default_fallbacks":
		cfg.DefaultFallbacks = l.fallbackNames(e)
		l.mentions = append(l.mentions, mention{e, cfg.DefaultFallbacks})
	default:
		return false
	}
	return true
}

// choices reads by what deployments are chosen; false means that e is something else.
func (l routerReader) choices(cfg *router.Config, e entry) bool {
	switch e.key {
	case "enable_tag_filtering":
		cfg.IgnoreTags = !l.yes(e)
	case "tag_filtering_match_any":
		cfg.MatchAllTags = !isNull(resolve(e.value)) && !l.yes(e)
	case "default_max_parallel_requests":
		if n := l.whole(e); n > 0 {
			for i := range cfg.Deployments {
				cfg.Deployments[i].MaxParallel = cmp.Or(cfg.Deployments[i].MaxParallel, n)
			}
		}
	case "spill_over":
		cfg.WaitAtLimits = !isNull(resolve(e.value)) && !l.yes(e)
	default:
		return false
	}
	return true
}

// dropParams has all deployments leave out what their servers have no place for.
func (l routerReader) dropParams(cfg *router.Config, e entry) {
	if l.yes(e) {
		for i := range cfg.Deployments {
			cfg.Deployments[i].DropParams = true
		}
	}
}

// The largest numbers that make sense of retries and of failures in a minute.
const (
	maxTries = 100
	maxFails = 1_000_000
)

func (l routerReader) strategy(cfg *router.Config, e entry) {
	name, ok := l.text(e)
	if !ok {
		return
	}
	var err error
	if cfg.Strategy, err = router.ParseStrategy(name); err != nil {
		l.problem(e.line, e.path+": "+err.Error())
	}
}

// fallbacks reads a list of {group: [groups]}, or one such mapping.
func (l routerReader) fallbacks(e entry) map[string][]string {
	lists := map[string][]string{}
	n := resolve(e.value)
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	for i, item := range items {
		path := e.path
		if n.Kind == yaml.SequenceNode {
			path = fmt.Sprintf("%s[%d]", e.path, i)
		}
		for _, one := range l.mapping(item, path) {
			if one.key != "*" {
				l.mentions = append(l.mentions, mention{one, []string{one.key}})
			}
			lists[one.key] = append(lists[one.key], l.fallbackNames(one)...)
			l.mentions = append(l.mentions, mention{one, lists[one.key]})
		}
	}
	return lists
}

// fallbackNames reads a list of fallbacks: names, or models with parameters of their
// own, which get a name.
func (l routerReader) fallbackNames(e entry) []string {
	n := resolve(e.value)
	if n.Kind != yaml.SequenceNode {
		return l.names(e)
	}
	var names []string
	for i, item := range n.Content {
		one := entry{key: e.key, path: fmt.Sprintf("%s[%d]", e.path, i), line: item.Line, value: item}
		if resolve(item).Kind != yaml.MappingNode {
			if text, ok := l.text(one); ok {
				names = append(names, text)
			}
			continue
		}
		if name := l.fallbackVariant(one); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// fallbackVariant reads a fallback with parameters of its own.
func (l routerReader) fallbackVariant(section entry) (name string) {
	members := map[string]json.RawMessage{}
	var v router.Variant
	for _, e := range l.mapping(section.value, section.path) {
		switch {
		case e.key == "model":
			v.Model, _ = l.text(e)
		case keywords.Known([]byte(e.key)) && e.key != "metadata":
			l.unused(e, " of a fallback")
		default:
			if value, ok := l.bodyValue(e); ok {
				members[e.key] = value
			}
		}
	}
	if v.Model == "" {
		l.problem(section.line, section.path+".model: missing")
		return ""
	}
	if v.Fields = object(members); v.Fields == nil {
		return v.Model
	}
	name = fmt.Sprintf("%s, as in %s:%d", v.Model, l.file, section.line)
	l.variants[name] = v
	return name
}

// mention is a mention of groups, to be checked once all are known.
type mention struct {
	entry entry
	names []string
}

// aliases reads {alias: group}, or {alias: {model: group, hidden: …}}.
func (l routerReader) aliases(cfg *router.Config, section entry) {
	cfg.Aliases = map[string]string{}
	for _, e := range l.mapping(section.value, section.path) {
		l.aliasLines[e.key] = e.line
		if resolve(e.value).Kind != yaml.MappingNode {
			cfg.Aliases[e.key], _ = l.text(e)
			continue
		}
		for _, inner := range l.mapping(e.value, e.path) {
			switch inner.key {
			case "model":
				cfg.Aliases[e.key], _ = l.text(inner)
			case "hidden":
			default:
				l.unused(inner, "")
			}
		}
	}
}

// defaultParams reads router_settings.default_litellm_params, which every
// deployment has where it says nothing else.
func (l routerReader) defaultParams(settings entry) {
	if e := findEntry(l.mapping(settings.value, settings.path), "default_litellm_params"); e != nil {
		l.defaults = l.mapping(e.value, e.path)
	}
}

// unusedTags says that the tags of deployments do nothing, as in LiteLLM, where
// the file does not switch them on.
func (l *loader) unusedTags(cfg *router.Config) {
	if l.tagLine > 0 && cfg.IgnoreTags {
		l.warn(l.tagLine, "tags", "not used without router_settings.enable_tag_filtering")
	}
}

// dangling drops fallbacks and aliases to groups that there are not, as
// warnings: LiteLLM finds out when it comes to one.
func (l *loader) dangling(cfg *router.Config) {
	known := cfg.Matcher()
	exists := func(name string) bool {
		if v, ok := cfg.Variants[name]; ok {
			name = v.Model
		}
		if to, ok := cfg.Aliases[name]; ok {
			name = to
		}
		return known(name)
	}
	for name, to := range cfg.Aliases {
		if !known(to) {
			l.warn(l.aliasLines[name], "model_group_alias."+keyName(name), fmt.Sprintf("no group %q; the alias is not used", to))
			delete(cfg.Aliases, name)
		}
	}
	for _, t := range l.mentions {
		for _, name := range t.names {
			if !exists(name) {
				l.warn(t.entry.line, t.entry.path, fmt.Sprintf("no group %q; it is passed over", name))
			}
		}
	}
	keep := func(names []string) (kept []string) {
		for _, name := range names {
			if exists(name) {
				kept = append(kept, name)
			}
		}
		return kept
	}
	cfg.DefaultFallbacks = keep(cfg.DefaultFallbacks)
	for _, lists := range []map[string][]string{cfg.Fallbacks, cfg.ContextWindowFallbacks, cfg.ContentPolicyFallbacks} {
		for name, names := range lists {
			lists[name] = keep(names)
		}
	}
}

// perFailure reads a policy: the names of LiteLLM's errors with a suffix.
func (l routerReader) perFailure(section entry, suffix string, most int) router.PerFailure {
	var p router.PerFailure
	for _, e := range l.mapping(section.value, section.path) {
		var to **int
		switch strings.TrimSuffix(e.key, suffix) {
		case "BadRequestError":
			to = &p.BadRequest
		case "AuthenticationError":
			to = &p.Authentication
		case "TimeoutError":
			to = &p.Timeout
		case "RateLimitError":
			to = &p.RateLimit
		case "ContentPolicyViolationError":
			to = &p.ContentPolicy
		case "InternalServerError":
			to = &p.InternalServer
		default:
			l.unused(e, "")
			continue
		}
		if n, ok := l.upTo(e, most); ok {
			*to = &n
		}
	}
	return p
}

// credentialList reads credential_list: named sets of litellm_params.
func (l *loader) credentialList(section entry) {
	list := resolve(section.value)
	if list.Kind != yaml.SequenceNode {
		l.problem(list.Line, section.path+": must be a list")
		return
	}
	for i, node := range list.Content {
		var name string
		var values []entry
		for _, e := range l.mapping(node, fmt.Sprintf("%s[%d]", section.path, i)) {
			switch e.key {
			case "credential_name":
				name, _ = l.text(e)
			case "credential_values":
				values = l.mapping(e.value, e.path)
			case "credential_info":
			default:
				l.unused(e, "")
			}
		}
		l.credentials[name] = values
	}
}
