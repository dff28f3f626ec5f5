package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"golang.org/x/sync/singleflight"
)

// Google gives access tokens of a Google account: of a service account, a user
// (authorized_user) or a federated account by its JSON, or of the application
// default credentials. Nothing is loaded before the first token is asked for.
// One token serves all calls; it is renewed before it ends, once for all that
// ask at the same time. It is safe for concurrent use, and prints nothing of
// what it holds.
type Google struct {
	given     string // a file, its content, or empty: the default credentials
	transport http.RoundTripper
	fetching  singleflight.Group

	mu      sync.Mutex
	token   string
	old     string // the one before, which calls under way still use
	project string
	fetched time.Time
	ends    time.Time
	renew   time.Time // a new one is fetched from then on
}

// ErrUnreachable is wrapped by errors of a server that could not be reached, or
// was in trouble: the next try may succeed.
var ErrUnreachable = errors.New("the server that gives tokens cannot be reached")

const (
	cloudScope = "https://www.googleapis.com/auth/cloud-platform"

	googleTimeout = 30 * time.Second
	earlyRenewal  = 5 * time.Minute  // before a token ends
	leastLeft     = 30 * time.Second // a token with less is not used
	retryRenewal  = 20 * time.Second // after a renewal that failed, while the token is good
	leastAge      = 10 * time.Second // a refused token that is younger is not replaced
	maxCredential = 1 << 20
)

// NewGoogle returns the Google of credentials: a file's name or its content;
// empty means the application default credentials (GOOGLE_APPLICATION_CREDENTIALS,
// gcloud's, or the machine's). transport makes the calls; nil: the default one.
// The error says that the content is none that Google gives.
func NewGoogle(credentials string, transport http.RoundTripper) (*Google, error) {
	credentials = strings.TrimSpace(credentials)
	if strings.HasPrefix(credentials, "{") && !json.Valid([]byte(credentials)) {
		return nil, errors.New("the Google credentials are no JSON: give the file's name, or its whole content")
	}
	return &Google{given: credentials, transport: transport}, nil
}

// Format prints the kind for every verb.
func (g *Google) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("Google credentials")) }

// MarshalText is as [Google.Format].
func (g *Google) MarshalText() ([]byte, error) { return []byte("Google credentials"), nil }

// Authorize is [Authorizer]'s.
func (g *Google) Authorize(ctx context.Context, req *http.Request, body []byte) error {
	return Token(g.Token).Authorize(ctx, req, body)
}

// Token returns a token that is good for a while. It waits while one is fetched,
// but not beyond ctx. An error that does not wrap [ErrUnreachable] stays until
// somebody changes the credentials.
func (g *Google) Token(ctx context.Context) (string, error) {
	now := time.Now()
	g.mu.Lock()
	token, good, due := g.token, g.token != "" && g.ends.Sub(now) > leastLeft, !now.Before(g.renew)
	if good && due {
		g.renew = now.Add(retryRenewal) // this caller renews; the others go on with what there is
	}
	g.mu.Unlock()
	if good && !due {
		return token, nil
	}
	err := g.fetch(ctx)
	if err != nil && good {
		return token, nil
	}
	if err != nil {
		return "", err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.token, nil
}

// Project returns the project that the credentials name; it loads them first.
func (g *Google) Project(ctx context.Context) (string, error) {
	if _, err := g.Token(ctx); err != nil {
		return "", err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.project == "" {
		return "", errors.New("the Google credentials name no project: set vertex_project")
	}
	return g.project, nil
}

// Refused has the next call fetch a new token, after a server refused this one,
// and reports whether that is worth a try: a token that is only seconds old is as
// good as another.
func (g *Google) Refused() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.fetched) < leastAge {
		return false
	}
	g.ends = time.Time{}
	return true
}

// Secrets are the tokens that a server might repeat.
func (g *Google) Secrets() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return []string{g.token, g.old}
}

// fetch fetches a token, once for all that ask at the same time, and goes on with
// it when the one that asked first has gone.
func (g *Google) fetch(ctx context.Context) error {
	done := g.fetching.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), googleTimeout)
		defer cancel()
		return nil, g.load(ctx)
	})
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case result := <-done:
		return result.Err
	}
}

// load reads the credentials anew, so that a key which was replaced is found, and
// fetches a token by them.
func (g *Google) load(ctx context.Context) error {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: g.transport, Timeout: googleTimeout})
	found, who, err := g.find(ctx)
	if err != nil {
		return err
	}
	token, err := found.TokenSource.Token()
	if err != nil {
		return refusal(err, who)
	}
	now := time.Now()
	if token.Expiry.IsZero() {
		token.Expiry = now.Add(time.Hour)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if token.AccessToken != g.token {
		g.old = g.token
	}
	g.token, g.project, g.fetched, g.ends = token.AccessToken, found.ProjectID, now, token.Expiry
	g.renew = later(token.Expiry.Add(-earlyRenewal), now.Add(token.Expiry.Sub(now)/2))
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// account is what a credentials file tells of whose it is.
type account struct {
	Type         string
	ClientEmail  string `json:"client_email"`
	QuotaProject string `json:"quota_project_id"`
}

func (a account) String() string {
	switch a.Type {
	case "service_account":
		return "the service account " + a.ClientEmail
	case "authorized_user":
		return "the user of gcloud's credentials"
	case "":
		return "the machine's account"
	}
	return "the account of kind " + a.Type
}

// find loads the credentials, and says whose they are.
func (g *Google) find(ctx context.Context) (*google.Credentials, account, error) {
	var who account
	content := []byte(g.given)
	switch {
	case g.given == "":
		found, err := google.FindDefaultCredentials(ctx, cloudScope)
		if err != nil {
			return nil, who, fmt.Errorf("no Google credentials: set vertex_credentials to a service account's file, "+
				"set GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login (%s)", reason(err))
		}
		_ = json.Unmarshal(found.JSON, &who)
		if found.ProjectID == "" {
			found.ProjectID = who.QuotaProject
		}
		return found, who, nil
	case g.given[0] != '{':
		text, err := readCredential(g.given)
		if err != nil {
			return nil, who, fmt.Errorf("the Google credentials cannot be read: %w", err)
		}
		content = text
	}
	if err := json.Unmarshal(content, &who); err != nil || who.Type == "" {
		return nil, who, fmt.Errorf("the Google credentials are none: a service account's file is JSON with \"type\": \"service_account\"")
	}
	found, err := google.CredentialsFromJSONWithType(ctx, content, google.CredentialsType(who.Type), cloudScope)
	if err != nil {
		return nil, who, fmt.Errorf("the Google credentials of %s cannot be used: %s", who, reason(err))
	}
	if found.ProjectID == "" {
		found.ProjectID = who.QuotaProject
	}
	return found, who, nil
}

func readCredential(name string) ([]byte, error) {
	file, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if file.Size() > maxCredential {
		return nil, fmt.Errorf("%s is too long to be a credentials file", name)
	}
	return os.ReadFile(name)
}

// reason is an error of the library's without its name before it.
func reason(err error) string { return strings.TrimPrefix(err.Error(), "google: ") }

// refusal says why no token was given, and what to do. Of the server's answer it
// keeps OAuth's code and description, nothing of what was sent.
func refusal(err error, who account) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response == nil {
		if strings.Contains(err.Error(), "cannot fetch token") || errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%w: %s", ErrUnreachable, reason(err))
		}
		return fmt.Errorf("no token for %s: %s", who, reason(err))
	}
	if status := refused.Response.StatusCode; status >= 500 || status == 408 || status == 429 {
		return fmt.Errorf("%w: it answered %s", ErrUnreachable, refused.Response.Status)
	}
	var said struct {
		Error       string
		Description string `json:"error_description"`
	}
	if json.Unmarshal(refused.Body, &said) != nil || said.Error == "" {
		said.Error = refused.Response.Status
	}
	if said.Description != "" {
		said.Error += ": " + said.Description
	}
	advice := "see whether it still exists and whether this machine's clock is right, and give it a new key"
	if who.Type == "authorized_user" {
		advice = "run gcloud auth application-default login"
	}
	return fmt.Errorf("Google refused %s (%.300s): %s", who, said.Error, advice)
}
