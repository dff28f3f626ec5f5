package credentials

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func signedBy(t *testing.T, a *AWS, body string) (*http.Request, error) {
	t.Helper()
	const address = "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.anthropic.claude-sonnet-4-6/converse"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Other", "is not signed")
	return req, a.Authorize(t.Context(), req, []byte(body))
}

func example() AWSSource {
	return AWSSource{Key: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
}

// The signature is the one that AWS's own library makes of the same request.
func TestAWSSignature(t *testing.T) {
	a := NewAWS("bedrock", "us-east-1", example())
	a.SetClock(func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) })
	req, err := signedBy(t, a, `{"messages": [{"role": "user", "content": [{"text": "Hello"}]}], "inferenceConfig": {}}`)
	if err != nil {
		t.Fatal(err)
	}
	const want = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=d6ac9b2f64cd7efd7b3e484c6907ab7aace097a63a1dd31c81498cef9477a226"
	if got := req.Header.Get("Authorization"); got != want || req.Header.Get("X-Amz-Date") != "20260102T030405Z" {
		t.Errorf("%s, %v", got, req.Header)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, a) + fmt.Sprintf(verb, struct{ A *AWS }{a}); strings.Contains(text, "EXAMPLE") {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}

// After a refusal for the time the server's clock counts, and a second refusal at
// the same time is final.
func TestAWSClock(t *testing.T) {
	a := NewAWS("bedrock", "us-east-1", example())
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a.SetClock(func() time.Time { return now })
	date := now.Add(time.Hour).Format(http.TimeFormat)
	if !a.Renew("InvalidSignatureException", date) || a.Renew("InvalidSignatureException", date) || a.Renew("InvalidSignatureException", "") || a.Renew("ThrottlingException", date) {
		t.Error("a clock that is an hour off is worth one more try")
	}
	req, err := signedBy(t, a, "{}")
	if err != nil || req.Header.Get("X-Amz-Date") != "20260102T040405Z" {
		t.Errorf("%v %v", err, req.Header)
	}
	if a.Renew("ExpiredTokenException", date) {
		t.Error("keys that do not change are fetched again")
	}
}

// lonely keeps AWS's search away from this machine's own credentials.
func lonely(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"} {
		t.Setenv(name, "")
	}
	dir := t.TempDir()
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
}

func TestAWSSearch(t *testing.T) {
	lonely(t)
	a := NewAWS("bedrock", "us-east-1", AWSSource{})
	if _, err := signedBy(t, a, "{}"); err == nil || !strings.Contains(err.Error(), "aws_access_key_id") {
		t.Errorf("without credentials: %v", err)
	}
	file := "[default]\naws_access_key_id=AKIDDEFAULT\naws_secret_access_key=a\n[other]\naws_access_key_id=AKIDOTHER\naws_secret_access_key=b\naws_session_token=tok\n"
	if err := os.WriteFile(os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	req, err := signedBy(t, NewAWS("bedrock", "us-east-1", AWSSource{Profile: "other"}), "{}")
	if err != nil || !strings.Contains(req.Header.Get("Authorization"), "AKIDOTHER/") || req.Header.Get("X-Amz-Security-Token") != "tok" {
		t.Errorf("%v %v", err, req.Header)
	}
	if _, err := signedBy(t, NewAWS("bedrock", "us-east-1", AWSSource{Profile: "none"}), "{}"); err == nil || !strings.Contains(err.Error(), "aws_profile_name") {
		t.Errorf("a profile that is not there: %v", err)
	}
}

// A role is assumed once for many requests, by the keys given; one that may not be
// is said with what to do, and without a secret.
func TestAWSRole(t *testing.T) {
	lonely(t)
	calls, refuse := 0, false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr") || !strings.Contains(string(body), "RoleSessionName=pelton") || !strings.Contains(r.Header.Get("Authorization"), "AKIDEXAMPLE/") {
			t.Errorf("asked %s, %v", body, r.Header)
		}
		w.Header().Set("Content-Type", "text/xml")
		if refuse {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized to perform sts:AssumeRole</Message></Error></ErrorResponse>`)
			return
		}
		_, _ = fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>role-canary</SecretAccessKey><SessionToken>role-token</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer server.Close()
	from := example()
	from.Role, from.Transport = "arn:aws:iam::1:role/r", to(server)
	a := NewAWS("bedrock", "us-east-1", from)
	for range 2 {
		req, err := signedBy(t, a, "{}")
		if err != nil || !strings.Contains(req.Header.Get("Authorization"), "ASIAROLE/") || req.Header.Get("X-Amz-Security-Token") != "role-token" {
			t.Fatalf("%v %v", err, req.Header)
		}
	}
	if calls != 1 || !strings.Contains(strings.Join(a.Secrets(), " "), "role-canary") {
		t.Errorf("%d calls", calls)
	}
	refuse = true
	_, err := signedBy(t, NewAWS("bedrock", "us-east-1", from), "{}")
	if err == nil || !strings.Contains(err.Error(), "aws_role_name") || strings.Contains(err.Error(), "EXAMPLE") {
		t.Errorf("a role that is refused: %v", err)
	}
}

// to sends every request to one server.
type toServer struct{ server *httptest.Server }

func to(server *httptest.Server) http.RoundTripper { return toServer{server} }

func (s toServer) RoundTrip(req *http.Request) (*http.Response, error) {
	other := req.Clone(context.WithoutCancel(req.Context()))
	other.URL.Scheme, other.URL.Host = "http", strings.TrimPrefix(s.server.URL, "http://")
	return s.server.Client().Transport.RoundTrip(other)
}
