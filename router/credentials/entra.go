package credentials

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Entra gives access tokens of Microsoft Entra: of an application by its secret,
// or of what is found where Azure's own libraries search. Nothing is loaded before
// the first token is asked for. One token serves all calls; it is renewed before it
// ends, once for all that ask at the same time. It is safe for concurrent use, and
// prints nothing of what it holds.
type Entra struct {
	renewed
	from      EntraSource
	transport http.RoundTripper
}

// EntraSource says where Entra's tokens come from. Without a secret it is a search,
// as Azure's own libraries have it: the environment, a workload's identity, a
// machine's, and who is signed in by az or azd.
type EntraSource struct {
	Tenant, Client, Secret string

	// Scope is what the token is for. Empty: Azure's AI services.
	Scope string
}

// entraScope is what tokens are for: Azure OpenAI and Foundry.
const entraScope = "https://cognitiveservices.azure.com/.default"

// EntraSettings returns what gives tokens by settings of LiteLLM's names
// (tenant_id, client_id, client_secret, azure_scope), or by a search where
// azure_default_credential is "true"; nil: neither is there. The error names the
// setting that is missing. transport makes the calls; nil: the default one.
func EntraSettings(settings map[string]string, transport http.RoundTripper) (*Entra, error) {
	from := EntraSource{
		Tenant: settings["tenant_id"], Client: settings["client_id"], Secret: settings["client_secret"], Scope: settings["azure_scope"],
	}
	search := settings["azure_default_credential"] == "true"
	switch {
	case from.Secret == "" && !search:
		return nil, nil
	case search:
		from.Secret = ""
	case from.Tenant == "":
		return nil, errors.New("client_secret is set, and tenant_id is not")
	case from.Client == "":
		return nil, errors.New("client_secret is set, and client_id is not")
	}
	return NewEntra(from, transport), nil
}

// NewEntra returns an Entra. It makes no call.
func NewEntra(from EntraSource, transport http.RoundTripper) *Entra {
	from.Scope = cmp.Or(from.Scope, entraScope)
	e := &Entra{from: from, transport: transport}
	e.get = e.load
	return e
}

// Format prints the kind for every verb.
func (e *Entra) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("Entra credentials")) }

// MarshalText is as [Entra.Format].
func (e *Entra) MarshalText() ([]byte, error) { return []byte("Entra credentials"), nil }

// Secrets are the tokens that a server might repeat, and the secret.
func (e *Entra) Secrets() []string { return append(e.renewed.Secrets(), e.from.Secret) }

// load finds the credentials anew, so that what was replaced is found, and fetches
// a token by them.
func (e *Entra) load(ctx context.Context) (string, time.Time, error) {
	if e.from.Secret != "" {
		return e.grant(ctx, application{tenant: e.from.Tenant, client: e.from.Client, secret: e.from.Secret})
	}
	return e.search(ctx)
}

// application is one of Entra's, with what proves that it is it: a secret, or an
// assertion that is signed.
type application struct{ tenant, client, secret, assertion string }

// authority is the address of a tenant's tokens.
func authority(tenant string) string {
	host := cmp.Or(os.Getenv("AZURE_AUTHORITY_HOST"), "https://login.microsoftonline.com")
	return strings.TrimRight(host, "/") + "/" + url.PathEscape(tenant) + "/oauth2/v2.0/token"
}

// grant fetches a token for an application.
func (e *Entra) grant(ctx context.Context, app application) (string, time.Time, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: e.transport, Timeout: fetchTimeout})
	config := clientcredentials.Config{
		ClientID: app.client, ClientSecret: app.secret, TokenURL: authority(app.tenant), Scopes: []string{e.from.Scope},
		AuthStyle: oauth2.AuthStyleInParams,
	}
	if app.assertion != "" {
		config.EndpointParams = url.Values{
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {app.assertion},
		}
	}
	token, err := config.Token(ctx)
	if err != nil {
		return "", time.Time{}, app.refused(err)
	}
	return token.AccessToken, token.Expiry, nil
}

// refused says why no token was given, and what to do. Of Entra's answer it keeps
// the code and the first line of its description, nothing of what was sent.
func (app application) refused(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response == nil {
		var unsent *url.Error
		if errors.As(err, &unsent) || errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%w: %s", ErrUnreachable, brief(err))
		}
		return fmt.Errorf("Entra gave no token for the application %s: %s", app.client, brief(err))
	}
	if status := refused.Response.StatusCode; status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests {
		return fmt.Errorf("%w: it answered %s", ErrUnreachable, refused.Response.Status)
	}
	said := entraFault(refused.Body)
	if said == "" {
		said = refused.Response.Status
	}
	return fmt.Errorf("Entra refused the application %s of the tenant %s (%.300s): see tenant_id, client_id and client_secret, and whether the secret has ended", app.client, app.tenant, said)
}

// entraFault is what Entra says of an error; empty: nothing.
func entraFault(body []byte) string {
	var said struct {
		Error       string
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &said) != nil {
		return ""
	}
	if text, _, _ := strings.Cut(strings.Join(strings.Fields(said.Description), " "), " Trace ID"); text != "" {
		said.Error += ": " + text
	}
	return said.Error
}

// brief is the first line of an error, of bounded length.
func brief(err error) string {
	line, _, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
	return fmt.Sprintf("%.300s", line)
}
