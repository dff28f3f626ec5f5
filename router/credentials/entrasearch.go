package credentials

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// search looks where Azure's own libraries do, in their order: an application in the
// environment, a workload's identity, a machine's, and who is signed in. What the
// environment names counts, whether it gives a token or not.
func (e *Entra) search(ctx context.Context) (string, time.Time, error) {
	app := application{
		tenant: cmp.Or(e.from.Tenant, os.Getenv("AZURE_TENANT_ID")), client: cmp.Or(e.from.Client, os.Getenv("AZURE_CLIENT_ID")),
	}
	known := app.tenant != "" && app.client != ""
	var err error
	switch app.secret = os.Getenv("AZURE_CLIENT_SECRET"); {
	case known && app.secret != "":
		return e.grant(ctx, app)
	case known && os.Getenv("AZURE_CLIENT_CERTIFICATE_PATH") != "":
		if app.assertion, err = signedAssertion(app, os.Getenv("AZURE_CLIENT_CERTIFICATE_PATH")); err != nil {
			return "", time.Time{}, fmt.Errorf("AZURE_CLIENT_CERTIFICATE_PATH: %w", err)
		}
		return e.grant(ctx, app)
	case known && os.Getenv("AZURE_FEDERATED_TOKEN_FILE") != "":
		token, err := readCredential(os.Getenv("AZURE_FEDERATED_TOKEN_FILE"))
		if err != nil {
			return "", time.Time{}, fmt.Errorf("AZURE_FEDERATED_TOKEN_FILE: %w", err)
		}
		app.assertion = strings.TrimSpace(string(token))
		return e.grant(ctx, app)
	case os.Getenv("IDENTITY_ENDPOINT") != "" && os.Getenv("IDENTITY_HEADER") != "":
		return e.managed(ctx, os.Getenv("IDENTITY_ENDPOINT"), "2019-08-01", "client_id", app.client, "X-Identity-Header", os.Getenv("IDENTITY_HEADER"))
	case os.Getenv("MSI_ENDPOINT") != "" && os.Getenv("MSI_SECRET") != "":
		return e.managed(ctx, os.Getenv("MSI_ENDPOINT"), "2017-09-01", "clientid", app.client, "Secret", os.Getenv("MSI_SECRET"))
	}
	return e.present(ctx, app)
}

// present asks for what no variable tells of: the machine's identity, and who is
// signed in.
func (e *Entra) present(ctx context.Context, app application) (string, time.Time, error) {
	var found []string
	host := cmp.Or(os.Getenv("AZURE_POD_IDENTITY_AUTHORITY_HOST"), "http://169.254.169.254")
	soon, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	token, ends, err := e.managed(soon, strings.TrimRight(host, "/")+"/metadata/identity/oauth2/token", "2018-02-01", "client_id", app.client, "Metadata", "true")
	if err == nil {
		return token, ends, nil
	}
	found = append(found, "no managed identity: "+brief(err))
	for _, command := range [][]string{
		{"az", "account", "get-access-token", "--output", "json", "--scope", e.from.Scope}, {"azd", "auth", "token", "--output", "json", "--scope", e.from.Scope},
	} {
		if e.from.Tenant != "" {
			command = append(command, map[string]string{"az": "--tenant", "azd": "--tenant-id"}[command[0]], e.from.Tenant)
		}
		if token, ends, err = commandToken(ctx, command); err == nil {
			return token, ends, nil
		}
		found = append(found, command[0]+": "+brief(err))
	}
	return "", time.Time{}, fmt.Errorf("no credentials of Azure's: set tenant_id, client_id and client_secret, run az login, or give this machine an identity (%s)", strings.Join(found, "; "))
}

// probeTimeout is how long a machine is asked that may have no identity at all.
const probeTimeout = 2 * time.Second

// managed fetches a token of a managed identity, from a server that only this machine
// reaches, and so past any proxy.
func (e *Entra) managed(ctx context.Context, at, version, idName, id, header, value string) (string, time.Time, error) {
	endpoint, err := url.Parse(at)
	if err != nil {
		return "", time.Time{}, errors.New("the address of the managed identity is none")
	}
	query := url.Values{"api-version": {version}, "resource": {strings.TrimSuffix(e.from.Scope, "/.default")}}
	if id != "" {
		query.Set(idName, id)
	}
	endpoint.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint.String(), nil) //nolint:gosec // the address is this machine's own, or its environment's
	if err != nil {
		return "", time.Time{}, errors.New("the address of the managed identity is none")
	}
	req.Header.Set(header, value)
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("%w: the managed identity's: %s", ErrUnreachable, brief(err))
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxCredential))
	switch {
	case err != nil || resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return "", time.Time{}, fmt.Errorf("%w: the managed identity's answered %s", ErrUnreachable, resp.Status)
	case resp.StatusCode != http.StatusOK:
		return "", time.Time{}, fmt.Errorf("the managed identity was refused (%.300s): see whether it is assigned to this machine", cmp.Or(entraFault(raw), resp.Status))
	}
	return readToken(raw)
}

// readToken reads a token as Azure's servers and commands write it.
func readToken(raw []byte) (string, time.Time, error) {
	var said struct {
		Server    string      `json:"access_token"`
		Command   string      `json:"accessToken"`
		Azd       string      `json:"token"`
		ExpiresOn json.Number `json:"expires_on"`
		ExpiresIn json.Number `json:"expires_in"`
		Until     string      `json:"expiresOn"`
	}
	err := json.Unmarshal(raw, &said)
	token := cmp.Or(said.Server, said.Command, said.Azd)
	if err != nil || token == "" {
		return "", time.Time{}, errors.New("what was answered holds no token")
	}
	if seconds, err := said.ExpiresOn.Int64(); err == nil {
		return token, time.Unix(seconds, 0), nil
	}
	if seconds, err := said.ExpiresIn.Int64(); err == nil {
		return token, time.Now().Add(time.Duration(seconds) * time.Second), nil
	}
	if at, err := time.Parse(time.RFC3339, said.Until); err == nil {
		return token, at, nil
	}
	at, _ := time.ParseInLocation("2006-01-02 15:04:05.999999", said.Until, time.Local)
	return token, at, nil
}

// commandToken runs a command that prints a token. What it prints may hold a secret;
// of what it complains of the first line is kept.
func commandToken(ctx context.Context, command []string) (string, time.Time, error) {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return "", time.Time{}, errors.New("not installed")
	}
	made := exec.CommandContext(ctx, path, command[1:]...)
	made.WaitDelay = time.Second
	out, err := made.Output()
	if failed := new(exec.ExitError); errors.As(err, &failed) && len(failed.Stderr) > 0 {
		return "", time.Time{}, errors.New(brief(errors.New(string(failed.Stderr))))
	}
	if err != nil {
		return "", time.Time{}, err
	}
	return readToken(out)
}

// signedAssertion is what proves an application by its certificate: a token that its
// key signs. The file holds both, as PEM.
func signedAssertion(app application, file string) (string, error) {
	raw, err := readCredential(file)
	if err != nil {
		return "", err
	}
	var key *rsa.PrivateKey
	var certificate []byte
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			if certificate == nil {
				certificate = block.Bytes
			}
		case "RSA PRIVATE KEY":
			key, _ = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "PRIVATE KEY":
			parsed, _ := x509.ParsePKCS8PrivateKey(block.Bytes)
			key, _ = parsed.(*rsa.PrivateKey)
		}
	}
	if key == nil || certificate == nil {
		return "", errors.New("want a certificate and its RSA key, as PEM, without a password")
	}
	thumbprint, now := sha256.Sum256(certificate), time.Now().Unix()
	part := func(value any) string {
		raw, _ := json.Marshal(value)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	text := part(map[string]string{"alg": "PS256", "typ": "JWT", "x5t#S256": base64.RawURLEncoding.EncodeToString(thumbprint[:])}) + "." +
		part(map[string]any{
			"aud": authority(app.tenant), "iss": app.client, "sub": app.client, "jti": strconv.FormatInt(time.Now().UnixNano(), 36), "nbf": now, "exp": now + 600,
		})
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		return "", err
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
