package litellm

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"pelton/router"
	"pelton/router/internal/lazyregexp"
)

// defaultAzureVersion is what a file gets that names no version: LiteLLM has a
// default of its own, so that files without one are common.
const defaultAzureVersion = "2024-10-21"

// azure completes an Azure deployment. The returned address is the resource's.
func (l deploymentReader) azure(p *pending, base string, section entry) string {
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
	if !p.Token.Empty() || p.TokenFile != "" || len(p.TokenCommand) > 0 || p.fetchesToken() {
		return base
	}
	if p.APIKey.Empty() {
		if value, ok := l.lookup("AZURE_AD_TOKEN"); ok {
			p.Token = router.NewSecret(value)
		}
	}
	if p.APIKey.Empty() && p.Token.Empty() && p.Headers == nil {
		why := section.path + ": no key for azure: set api_key, or tenant_id, client_id and client_secret, azure_ad_token, azure_ad_token_file or azure_ad_token_command; or enable_azure_ad_token_refresh in litellm_settings"
		if p.unsent != "" {
			why += "; " + p.unsent
		}
		l.problem(section.line, why)
	}
	return base
}

// address fills in base URL and key from the file or the provider's defaults.
// A provider's key from the environment goes to the provider only, never to an
// address that the file names.
func (l deploymentReader) address(p *pending, base string, line int, section entry) {
	before := len(l.problems)
	from := section.path + ".api_base"
	if prov := serviceOf(p.provider, p.Model); p.provider != "" {
		own := base != ""
		if !own {
			base = prov.base
			for _, name := range slices.Backward(strings.Fields(prov.baseEnv)) {
				if value, ok := l.lookup(name); ok {
					base, from = value, "environment variable "+name
				}
			}
		}
		if base == "" && prov.protocol == "" {
			l.problem(line, fmt.Sprintf("%s.api_base: missing; %q has no address of its own", section.path, p.provider))
			return
		}
		p.unsent = ""
		for _, name := range prov.keyEnvs {
			value, ok := l.lookup(name)
			switch {
			case !ok || !p.APIKey.Empty():
			case !own || prov.isAt(p, base):
				p.APIKey = router.NewSecret(value)
			case p.unsent == "":
				p.unsent = fmt.Sprintf("%s is set and not sent, for the file names the address: write api_key: os.environ/%s if it is meant for that", name, name)
			}
		}
		if p.unsent != "" && p.keyless() {
			l.warn(line, section.path+".api_key", p.unsent)
		}
		l.settings(p, prov)
		l.defaultRegion(p, section)
		if p.onAzure {
			l.entra(p)
		}
		if p.Azure {
			base = l.azure(p, base, section)
		} else if p.APIKey.Empty() && base == prov.base && !prov.keyless && p.TokenFile == "" && len(p.TokenCommand) == 0 {
			l.problem(section.line, fmt.Sprintf("%s: no key for %s: set api_key, or %s in the environment", section.path, p.provider, strings.Join(prov.keyEnvs, " or ")))
		}
		base = prov.placed(p, base)
	}
	p.BaseURL = base
	if !p.TakesEntra() && !p.Token.Empty() { // the same, by another name
		p.APIKey, p.Token = p.Token, router.Secret{}
	}
	d, err := p.Check()
	if err != nil {
		var bad *router.BaseURLError
		if errors.As(err, &bad) {
			l.problem(line, fmt.Sprintf("%s %s", from, bad.Reason))
		} else if len(l.problems) == before {
			l.problem(section.line, fmt.Sprintf("%s: %v", section.path, err))
		}
		return
	}
	if err := d.CheckSettings(); err != nil {
		l.problem(section.line, fmt.Sprintf("%s: %v", section.path, err))
		return
	}
	p.Deployment = d
}

// keyless reports whether nothing proves who asks.
func (p *pending) keyless() bool {
	return p.APIKey.Empty() && p.Token.Empty() && p.TokenFile == "" && len(p.TokenCommand) == 0 && p.Headers["Authorization"].Empty() && p.Headers["Api-Key"].Empty()
}

// isAt reports whether an address is one of the service's own, to which its key may
// go though the file names the address. A server of one's own is wherever it is.
func (prov provider) isAt(p *pending, base string) bool {
	if prov.keyless && prov.protocol == "" {
		return true
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" {
		return false
	}
	if p.Azure || p.provider == "azure_ai" {
		host := u.Hostname()
		return strings.HasSuffix(host, ".openai.azure.com") || strings.HasSuffix(host, ".cognitiveservices.azure.com") || strings.HasSuffix(host, ".services.ai.azure.com")
	}
	own, err := url.Parse(prov.base)
	return err == nil && own.Host != "" && own.Host == u.Host
}

// placed names the model as the service does, and puts the key where the service
// wants it. It returns the address.
func (prov provider) placed(p *pending, base string) string {
	if prov.ownPath != "" && !hasPath(base) {
		base = strings.TrimRight(base, "/") + prov.ownPath
	}
	if prov.place != nil {
		base, p.Model = prov.place(base, p.Model)
	}
	if prov.auth != nil && !p.APIKey.Empty() {
		bearer, headers := prov.auth(p.APIKey.Reveal())
		all := make(map[string]router.Secret, len(headers)+len(p.Headers))
		for name, value := range headers {
			all[name] = router.NewSecret(value)
		}
		maps.Copy(all, p.Headers)
		p.APIKey, p.Headers = router.NewSecret(bearer), all
	}
	return base
}

// settings fills in what the service's dialect is, and from the environment what its
// protocol needs and the file does not say.
func (l deploymentReader) settings(p *pending, prov provider) {
	renames, lacks := prov.renames, prov.lacks
	if p.provider == "openai" || p.Azure {
		renames, lacks = reasons(p.Model)
	}
	for name, words := range map[string]string{"renames": renames, "lacks": lacks} {
		if words != "" && p.Protocol == "" {
			p.set(name, words)
		}
	}
	for name, variables := range prov.settings {
		if _, said := p.Settings[strings.Replace(name, "vertex_", "vertex_ai_", 1)]; said { // by its other name, where it has one
			continue
		}
		for _, variable := range variables {
			if _, said := p.Settings[name]; said {
				break
			}
			if value, ok := l.lookup(variable); ok {
				p.set(name, value)
			}
		}
	}
}

// Models of OpenAI's that think before they answer, and what they take no more.
var (
	oSeries   = lazyregexp.New(`(^|/)o[1-9](-|$)`)
	gpt5      = lazyregexp.New(`(^|/)gpt-5(-(mini|nano|pro|codex|\d{4})|$)`)
	gpt5Later = lazyregexp.New(`(^|/)gpt-5\.\d`)
)

// reasons returns what a model of OpenAI's calls otherwise, and what it lacks.
func reasons(model string) (renames, lacks string) {
	switch {
	case oSeries.Get().MatchString(model):
		return longName, "temperature top_p presence_penalty frequency_penalty logprobs top_logprobs parallel_tool_calls"
	case gpt5.Get().MatchString(model):
		return longName, "temperature top_p presence_penalty frequency_penalty logprobs top_logprobs stop logit_bias"
	case gpt5Later.Get().MatchString(model):
		return longName, "presence_penalty frequency_penalty stop logit_bias"
	}
	return "", ""
}

// ownRegion finds names of models on Bedrock that say where they are.
var ownRegion = lazyregexp.New(`arn:aws[a-z-]*:[a-z-]+:[a-z0-9-]+:|^[a-z]{2}(-[a-z]+)+-\d/`)

// defaultRegion sets the region of a model on Bedrock that says none: LiteLLM's.
func (l deploymentReader) defaultRegion(p *pending, section entry) {
	if p.Protocol != "bedrock" && p.Protocol != "anthropic_bedrock" {
		return
	}
	if _, said := p.Settings["aws_region_name"]; said || ownRegion.Get().MatchString(p.Model) || ownRegion.Get().MatchString(p.Settings["model_id"].Reveal()) {
		return
	}
	p.set("aws_region_name", "us-west-2")
	l.warn(section.line, section.path+".aws_region_name", "missing; us-west-2 is used, as in LiteLLM")
}

// set gives the protocol a setting.
func (p *pending) set(name, value string) {
	if p.Settings == nil {
		p.Settings = map[string]router.Secret{}
	}
	p.Settings[name] = router.NewSecret(value)
}

func (l *loader) lookup(name string) (string, bool) {
	if name == "" {
		return "", false
	}
	value, _ := l.env(name)
	value = strings.TrimSpace(value)
	return value, value != ""
}
