package router

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// params reads litellm_params: where a deployment lies and how it is called.
func (l *loader) params(p *pending, section entry) {
	before := len(l.problems)
	entries := l.withCredential(l.mapping(section.value, section.path))
	model, custom := findEntry(entries, "model"), findEntry(entries, "custom_llm_provider")
	at := findEntry(entries, "api_base")
	if other := findEntry(entries, "base_url"); other != nil {
		if at != nil {
			l.problem(other.line, other.path+": api_base and base_url are the same; keep one")
		}
		at = other
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
	if at != nil { // an address that is not needed may well be in no variable
		base = resolve(at.value).Value
	}
	where, err := locate(name, kind, base)
	if err != nil {
		p.leftOut = fmt.Sprintf("%q: %v", name, err)
		l.warn(p.line, section.path+".model", fmt.Sprintf("the deployment is left out: %s", p.leftOut))
		return
	}
	p.Model, p.provider = where.model, where.provider
	p.Azure = where.provider == "azure"
	base = l.textOf(at)
	body := map[string]json.RawMessage{}
	for _, e := range entries {
		l.param(p, e, body)
	}
	p.Defaults = l.defaults(body)
	if len(l.problems) > before {
		return
	}
	if p.Group == "" { // noted already; "*" fits any model
		p.Group = "*"
	}
	if err := checkStars(p.Group, p.Model); err != nil {
		l.problem(p.line, fmt.Sprintf("%s.model: %v", section.path, err))
		p.Group, p.Model = "*", "*" // so that the rest is looked at too
	}
	line := section.line
	if at != nil {
		line = at.line
	}
	l.address(p, base, line, section)
}

// param reads one of litellm_params. body collects what is meant for bodies.
func (l *loader) param(p *pending, e entry, body map[string]json.RawMessage) {
	switch e.key {
	case "model", "custom_llm_provider", "api_base", "base_url", "litellm_credential_name":
	case "api_key":
		p.APIKey = l.secret(e)
	case "organization":
		p.Organization, _ = l.text(e)
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
	case "proxy":
		p.Proxy = l.secret(e)
	case "ssl_verify":
		l.verify(p, e)
	case "ca_file":
		if file, ok := l.text(e); ok {
			l.authorities(p, e, file)
		}
	case "timeout", "request_timeout":
		p.Timeout = l.seconds(e)
	case "num_retries":
		if n, ok := l.count(e); ok {
			p.NumRetries = &n
		}
	case "cooldown_time":
		p.CooldownTime = l.secondsOrZero(e)
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
		p.Tags = l.names(e)
	case "extra_headers", "headers":
		p.Headers = l.headers(e)
	case "extra_body":
		for _, inner := range l.mapping(e.value, e.path) {
			l.bodyValue(inner, body)
		}
	default:
		switch {
		case l.knowledge(p, e):
		case bodyParams[e.key]:
			l.bodyValue(e, body)
		default:
			l.unused(e, hints[e.key])
		}
	}
}

// bodyParams are those of litellm_params that go into bodies which lack them.
var bodyParams = words("temperature top_p top_k min_p max_tokens max_completion_tokens n stop seed presence_penalty " +
	"frequency_penalty repetition_penalty logit_bias logprobs top_logprobs user response_format reasoning_effort " +
	"verbosity service_tier parallel_tool_calls modalities thinking tools tool_choice metadata prediction audio " +
	"web_search_options safety_identifier prompt_cache_key store")

func (l *loader) bodyValue(e entry, body map[string]json.RawMessage) {
	var value any
	if err := resolve(e.value).Decode(&value); err != nil {
		l.problem(e.line, e.path+": "+err.Error())
		return
	}
	if text, ok := value.(string); ok && strings.HasPrefix(text, envPrefix) {
		value, _ = l.text(e)
	}
	raw, err := json.Marshal(value)
	if err != nil {
		l.problem(e.line, e.path+": cannot be part of a body: "+err.Error())
		return
	}
	body[e.key] = raw
}

// defaults makes one object of what goes into bodies.
func (l *loader) defaults(body map[string]json.RawMessage) json.RawMessage {
	if len(body) == 0 {
		return nil
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil
	}
	return bytes.Clone(raw)
}

func (l *loader) verify(p *pending, e entry) {
	switch text, _ := l.text(e); strings.ToLower(text) {
	case "", "true":
	case "false":
		p.Insecure, p.CAFile = true, ""
		l.warn(e.line, e.path, "every certificate is trusted: whoever is on the way reads keys and prompts")
	default:
		l.authorities(p, e, text)
	}
}

func (l *loader) authorities(p *pending, e entry, file string) {
	if p.CAFile = file; p.Insecure {
		p.CAFile = ""
	}
	if _, err := readCAs(file); err != nil {
		l.problem(e.line, e.path+": "+err.Error())
	}
}

// withCredential adds what the named credential holds and the entries lack.
func (l *loader) withCredential(entries []entry) []entry {
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

// textOf is text for an entry that may be absent.
func (l *loader) textOf(e *entry) string {
	if e == nil {
		return ""
	}
	text, _ := l.text(*e)
	return text
}

// command reads a list of words, or one text that is split at its spaces.
func (l *loader) command(e entry) []string {
	if resolve(e.value).Kind == yaml.SequenceNode {
		return l.names(e)
	}
	text, _ := l.text(e)
	return strings.Fields(text)
}

// defaultAzureVersion is what a file gets that names no version: LiteLLM has a
// default of its own, so that files without one are common.
const defaultAzureVersion = "2024-10-21"

// azure completes an Azure deployment. The returned address is the resource's.
func (l *loader) azure(p *pending, base string, section entry) string {
	if resource, path, ok := strings.Cut(base, "/openai/deployments/"); ok {
		base = resource
		if name, _, _ := strings.Cut(path, "/"); name != "" && name != p.Model {
			l.warn(section.line, section.path+".api_base", fmt.Sprintf("names the deployment %q; the model's, %q, is used", name, p.Model))
		}
	}
	base = strings.TrimSuffix(strings.TrimRight(base, "/"), "/openai")
	if p.APIVersion == "" {
		p.APIVersion, _ = l.lookup("AZURE_API_VERSION")
	}
	if p.APIVersion == "" {
		p.APIVersion = defaultAzureVersion
		l.warn(section.line, section.path+".api_version", "missing; "+defaultAzureVersion+" is used")
	}
	if !p.Token.Empty() || p.TokenFile != "" || len(p.TokenCommand) > 0 {
		return base
	}
	if p.APIKey.Empty() {
		if value, ok := l.lookup("AZURE_AD_TOKEN"); ok {
			p.Token = NewSecret(value)
		}
	}
	if p.APIKey.Empty() && p.Token.Empty() && p.Headers == nil {
		l.problem(section.line, section.path+": no key for azure: set api_key, azure_ad_token, azure_ad_token_file or azure_ad_token_command")
	}
	return base
}

// address fills in base URL and key from the file or the provider's defaults.
// A provider's key from the environment goes to the provider only, never to an
// address that the file names.
func (l *loader) address(p *pending, base string, line int, section entry) {
	before := len(l.problems)
	from := section.path + ".api_base"
	if prov, known := providers[p.provider]; known {
		own := base != ""
		if !own {
			base = prov.base
			if value, ok := l.lookup(prov.baseEnv); ok {
				base, from = value, "environment variable "+prov.baseEnv
			}
		}
		if base == "" {
			l.problem(line, fmt.Sprintf("%s.api_base: missing; %q has no address of its own", section.path, p.provider))
			return
		}
		for _, name := range prov.keyEnvs {
			if value, ok := l.lookup(name); ok && p.APIKey.Empty() && !own {
				p.APIKey = NewSecret(value)
			}
		}
		if p.Azure {
			base = l.azure(p, base, section)
		} else if p.APIKey.Empty() && base == prov.base && !prov.keyless && p.TokenFile == "" && len(p.TokenCommand) == 0 {
			l.problem(section.line, fmt.Sprintf("%s: no key for %s: set api_key, or %s in the environment", section.path, p.provider, strings.Join(prov.keyEnvs, " or ")))
		}
		if _, rest, _ := strings.Cut(base, "://"); prov.ownPath != "" && !strings.Contains(strings.TrimRight(rest, "/"), "/") {
			base = strings.TrimRight(base, "/") + prov.ownPath
		}
	}
	p.BaseURL = base
	if !p.Azure && !p.Token.Empty() { // the same, by another name
		p.APIKey, p.Token = p.Token, Secret{}
	}
	d, err := p.normalised()
	if err != nil {
		if _, _, baseErr := parseBase(base); baseErr != nil {
			l.problem(line, fmt.Sprintf("%s %v", from, baseErr))
		} else if len(l.problems) == before {
			l.problem(section.line, fmt.Sprintf("%s: %v", section.path, err))
		}
		return
	}
	p.Deployment = d
}

func (l *loader) lookup(name string) (string, bool) {
	if name == "" {
		return "", false
	}
	value, _ := l.env(name)
	value = strings.TrimSpace(value)
	return value, value != ""
}
