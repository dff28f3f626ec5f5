package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

// Google gives access tokens of a Google account: of a service account, a user
// (authorized_user) or a federated account by its JSON, or of the application
// default credentials. Nothing is loaded before the first token is asked for.
// One token serves all calls; it is renewed before it ends, once for all that
// ask at the same time. It is safe for concurrent use, and prints nothing of
// what it holds.
type Google struct {
	renewed
	given     string // a file, its content, or empty: the default credentials
	transport http.RoundTripper
	project   atomic.Pointer[string]
}

const (
	cloudScope    = "https://www.googleapis.com/auth/cloud-platform"
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
	g := &Google{given: credentials, transport: transport}
	g.get = g.load
	return g, nil
}

// Format prints the kind for every verb.
func (g *Google) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("Google credentials")) }

// MarshalText is as [Google.Format].
func (g *Google) MarshalText() ([]byte, error) { return []byte("Google credentials"), nil }

// Project returns the project that the credentials name; it loads them first.
func (g *Google) Project(ctx context.Context) (string, error) {
	if _, err := g.Token(ctx); err != nil {
		return "", err
	}
	project := g.project.Load()
	if project == nil || *project == "" {
		return "", errors.New("the Google credentials name no project: set vertex_project")
	}
	return *project, nil
}

// load reads the credentials anew, so that a key which was replaced is found, and
// fetches a token by them.
func (g *Google) load(ctx context.Context) (string, time.Time, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: g.transport, Timeout: fetchTimeout})
	found, who, err := g.find(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	token, err := found.TokenSource.Token()
	if err != nil {
		return "", time.Time{}, refusal(err, who)
	}
	g.project.Store(&found.ProjectID)
	return token.AccessToken, token.Expiry, nil
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
