package litellm

import (
	"strings"

	"pelton/router"
)

// entraSettings are those of litellm_params that say whose tokens of Entra's are
// used with Azure.
var entraSettings = words("tenant_id client_id client_secret azure_scope")

// azureService reports whether a model is one of Azure's, by any of its protocols.
func azureService(model, custom string) bool {
	if custom == "" {
		custom, _, _ = strings.Cut(model, "/")
	}
	return custom == "azure" || custom == "azure_ai"
}

// refreshesTokens reports whether Azure's own search finds the tokens of who has no
// key, as litellm_settings say.
func (l *loader) refreshesTokens(section entry) (yes bool) {
	for _, e := range l.mapping(section.value, section.path) {
		if e.key == "enable_azure_ad_token_refresh" {
			yes = l.yes(e)
		}
	}
	return yes
}

// identities are the variables by which Azure tells a program that it has an
// identity there.
var identities = []string{"AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_CLIENT_CERTIFICATE_PATH"}

// entra decides where a deployment on Azure has its token from: from what the file
// says, else, where it has no key and no token, from the environment or by Azure's
// own search. A token's file or command comes before all.
func (l deploymentReader) entra(p *pending) {
	read := p.TokenFile != "" || len(p.TokenCommand) > 0
	said := func(name string) bool { return !p.Settings[name].Empty() }
	fill := func(name, variable string) {
		if value, ok := l.lookup(variable); ok && !said(name) {
			p.set(name, value)
		}
	}
	switch {
	case read, !said("client_secret") && (!p.APIKey.Empty() || !p.Token.Empty() || p.Headers != nil):
		for name := range entraSettings {
			delete(p.Settings, name)
		}
		return
	case said("client_secret"):
		p.APIKey, p.Token = router.Secret{}, router.Secret{}
		fill("tenant_id", "AZURE_TENANT_ID")
		fill("client_id", "AZURE_CLIENT_ID")
	case l.all("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
		fill("tenant_id", "AZURE_TENANT_ID")
		fill("client_id", "AZURE_CLIENT_ID")
		fill("client_secret", "AZURE_CLIENT_SECRET")
	case l.refresh || said("tenant_id") || l.any(identities...):
		p.set("azure_default_credential", "true")
	}
	if p.fetchesToken() {
		fill("azure_scope", "AZURE_SCOPE")
	}
}

// fetchesToken reports whether tokens of Entra's are fetched.
func (p *pending) fetchesToken() bool {
	return !p.Settings["client_secret"].Empty() || !p.Settings["azure_default_credential"].Empty()
}

// all reports whether all of the variables are set, any whether one is.
func (l *loader) all(names ...string) bool {
	for _, name := range names {
		if _, ok := l.lookup(name); !ok {
			return false
		}
	}
	return true
}

func (l *loader) any(names ...string) bool {
	for _, name := range names {
		if _, ok := l.lookup(name); ok {
			return true
		}
	}
	return false
}
