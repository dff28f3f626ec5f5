package litellm

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"pelton/router"
)

// params reads litellm_params: where a deployment lies and how it is called.
// limits are those of its entries that stand beside it.
func (l deploymentReader) params(p *pending, section entry, limits []entry) {
	before := len(l.problems)
	entries := l.withCredential(l.mapping(section.value, section.path))
	for _, more := range slices.Concat(limits, l.defaults) {
		if findEntry(entries, more.key) == nil {
			entries = append(entries, more)
		}
	}
	model, custom := findEntry(entries, "model"), findEntry(entries, "custom_llm_provider")
	at := findEntry(entries, "api_base")
	if other := findEntry(entries, "base_url"); other != nil && !isNull(resolve(other.value)) {
		if at != nil && !isNull(resolve(at.value)) {
			l.warn(other.line, other.path, "the same as api_base, which is used")
		} else {
			at = other
		}
	}
	name, kind, base := l.textOf(model), l.textOf(custom), ""
	p.line = section.line
	if model != nil {
		p.line = model.line
	}
	if len(l.problems) > before {
		return
	}
	if name == "" {
		l.problem(p.line, section.path+".model: missing")
		return
	}
	if at != nil && !isNull(resolve(at.value)) { // an address that is not needed may well be in no variable
		base = resolve(at.value).Value
	}
	where, err := locate(name, kind, base)
	if err != nil {
		l.problem(p.line, fmt.Sprintf("%s.model: %q: %v", section.path, name, err))
		return
	}
	p.Model, p.provider, p.Endpoints = where.model, where.provider, where.endpoints
	p.service = budgeted(where.provider)
	if len(where.endpoints) == 1 {
		l.warn(p.line, section.path+".model", fmt.Sprintf("serves /v1/%s alone: other requests are not translated into it", where.endpoints[0]))
	}
	p.Azure, p.onAzure = where.provider == "azure", azureService(name, kind)
	if !speaksOpenAI(base) {
		p.Protocol = serviceOf(where.provider, where.model).protocol
	}
	base = l.textOf(at)
	if whole := strings.TrimRight(base, "/"); !p.Azure && strings.HasSuffix(whole, "/chat/completions") {
		base = strings.TrimSuffix(whole, "/chat/completions")
		l.warn(at.line, at.path, "ends in /chat/completions, which is appended to it anyway; it is taken off")
	}
	body := newSent()
	for _, e := range entries {
		l.param(p, e, body)
	}
	p.Defaults, p.EmbeddingDefaults = object(body.chats), object(body.embeddings)
	if len(l.problems) > before || p.Group == "" {
		return
	}
	if err := router.CheckNames(p.Group, p.Model); err != nil {
		l.problem(p.line, fmt.Sprintf("%s.model: %v", section.path, err))
		return
	}
	if p.MockResponse != nil { // nobody is asked
		p.Protocol, p.Azure, p.Settings = "", false, nil
		return
	}
	line := section.line
	if at != nil {
		line = at.line
	}
	l.address(p, base, line, section)
}

// param reads one of litellm_params. body collects what is meant for bodies.
func (l deploymentReader) param(p *pending, e entry, body *sent) {
	if strings.HasPrefix(resolve(e.value).Value, "oidc/") {
		l.problem(e.line, e.path+": tokens of OpenID Connect are not exchanged here: use a token_file, a token_command, or the provider's own credentials")
		return
	}
	if l.setting(p, e) {
		return
	}
	switch e.key {
	case "model", "custom_llm_provider", "api_base", "base_url", "litellm_credential_name":
	case "api_key":
		p.APIKey = l.secret(e)
	case "organization":
		if p.organizations = l.names(e); len(p.organizations) > 0 {
			p.Organization = p.organizations[0]
		}
	case "project":
		p.Project, _ = l.text(e)
	case "api_version":
		if version, _ := l.text(e); p.Azure {
			p.APIVersion = version
		} else {
			l.unused(e, "; only Azure has versions")
		}
	case "azure_ad_token":
		p.Token = l.secret(e)
	case "azure_ad_token_file", "token_file":
		p.TokenFile, _ = l.text(e)
	case "azure_ad_token_command", "token_command":
		p.TokenCommand = l.command(e)
	case "drop_params":
		p.DropParams = l.yes(e)
	case "additional_drop_params":
		p.Drop = l.names(e)
	case "mock_response":
		l.mock(p, e)
	case "max_budget":
		if limit := l.amount(e); limit != nil {
			p.budget.limit, p.budget.line = *limit, e.line
		}
	case "budget_duration":
		p.budget.window = l.period(e)
	case "extra_headers", "headers":
		p.Headers = l.headers(e)
	case "extra_body":
		l.extraBody(e, body)
	default:
		switch {
		case l.knowledge(p, e), l.times(p, e), l.way(p, e), l.choice(p, e), l.guards(e), l.bodyParam(e, body):
		default:
			l.unused(e, hints[e.key])
		}
	}
}

// way reads how a server is reached; false means that e is something else.
func (l deploymentReader) way(p *pending, e entry) bool {
	switch e.key {
	case "proxy":
		p.Proxy = l.secret(e)
	case "ssl_verify":
		l.verify(p, e)
	case "ca_file":
		if file, ok := l.text(e); ok {
			l.authorities(p, e, file)
		}
	default:
		return false
	}
	return true
}

// choice reads what a deployment is chosen by, and its limits; false means that e is
// something else.
func (l deploymentReader) choice(p *pending, e entry) bool {
	switch e.key {
	case "rpm":
		p.RPM = l.whole(e)
	case "tpm":
		p.TPM = l.whole(e)
	case "max_parallel_requests":
		p.MaxParallel = l.whole(e)
	case "weight":
		p.Weight = l.amount(e)
	case "order":
		p.Order = l.order(e)
	case "tags":
		if p.Tags = l.names(e); len(p.Tags) > 0 && l.tagLine == 0 {
			l.tagLine = e.line
		}
	default:
		return false
	}
	return true
}

// mock reads what is answered in the place of a call.
func (l deploymentReader) mock(p *pending, e entry) {
	if isNull(resolve(e.value)) {
		return
	}
	if resolve(e.value).Kind == yaml.ScalarNode {
		if text, ok := l.text(e); ok {
			p.MockResponse = &text
		}
	} else if raw, ok := l.bodyValue(e); ok {
		text := string(raw)
		p.MockResponse = &text
	}
}

// times reads how long a call may take and how often it is tried; false means
// that e is something else.
func (l deploymentReader) times(p *pending, e entry) bool {
	switch e.key {
	case "timeout", "request_timeout":
		p.Timeout = l.seconds(e)
	case "stream_timeout":
		stream := l.seconds(e)
		p.FirstToken, p.NextToken = cmp.Or(p.FirstToken, stream), cmp.Or(p.NextToken, stream)
	case "first_token_timeout":
		p.FirstToken = l.seconds(e)
	case "next_token_timeout":
		p.NextToken = l.seconds(e)
	case "num_retries":
		if n, ok := l.count(e); ok {
			p.NumRetries = &n
		}
	case "cooldown_time":
		p.CooldownTime = l.secondsOrZero(e)
	default:
		return false
	}
	return true
}

// setting reads what the provider's own protocol needs; false means that e is
// something else.
func (l deploymentReader) setting(p *pending, e entry) bool {
	if _, own := serviceOf(p.provider, p.Model).settings[e.key]; !own && !(p.onAzure && entraSettings[e.key]) {
		return false
	}
	if p.Settings == nil {
		p.Settings = map[string]router.Secret{}
	}
	p.Settings[e.key] = l.secret(e)
	return true
}

func (l deploymentReader) verify(p *pending, e entry) {
	switch text, _ := l.text(e); strings.ToLower(text) {
	case "", "true":
	case "false":
		p.Insecure, p.CAFile = true, ""
		l.warn(e.line, e.path, "every certificate is trusted: whoever is on the way reads keys and prompts")
	default:
		l.authorities(p, e, text)
	}
}

func (l deploymentReader) authorities(p *pending, e entry, file string) {
	if p.CAFile = file; p.Insecure {
		p.CAFile = ""
	}
	if err := router.CheckAuthorities(file); err != nil {
		l.problem(e.line, e.path+": "+err.Error())
	}
}

// withCredential adds what the named credential holds and the entries lack.
func (l deploymentReader) withCredential(entries []entry) []entry {
	named := findEntry(entries, "litellm_credential_name")
	if named == nil {
		return entries
	}
	name, _ := l.text(*named)
	values, ok := l.credentials[name]
	if !ok {
		l.problem(named.line, fmt.Sprintf("%s: no credential %q in credential_list", named.path, name))
	}
	for _, e := range values {
		if findEntry(entries, e.key) == nil {
			entries = append(entries, e)
		}
	}
	return entries
}

func findEntry(entries []entry, key string) *entry {
	for i := range entries {
		if entries[i].key == key {
			return &entries[i]
		}
	}
	return nil
}

func words(list string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(list) {
		set[word] = true
	}
	return set
}
