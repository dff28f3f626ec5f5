package webhook_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"pelton/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))

// The reference library of the standard takes our signatures, and no others.
func TestSignature(t *testing.T) {
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	called := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called++
		body, _ := io.ReadAll(r.Body)
		if err := verifier.Verify(body, r.Header); err != nil {
			t.Errorf("the reference library says %v", err)
		}
		if err := verifier.Verify(append(body, ' '), r.Header); err == nil {
			t.Error("a changed body was taken")
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer srv.Close()
	hooks, err := webhook.New("done="+srv.URL+"/x", "done="+secret)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := hooks.Send(t.Context(), "done", "msg_1", []byte(`{"type":"job.ended"}`)); err != nil || again || called != 1 {
		t.Error(again, err, called)
	}
}

// What receivers do, and whether another try is worth it. No error shows the
// address, which may hold a token.
func TestReceivers(t *testing.T) {
	release := make(chan struct{})
	elsewhere := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/token-500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	mux.HandleFunc("/token-410", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) })
	mux.HandleFunc("/token-302", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) })
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { elsewhere++ })
	mux.HandleFunc("/token-hang", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/token-close", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/token-long", func(w http.ResponseWriter, r *http.Request) { // an answer without an end
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	defer close(release)
	for path, want := range map[string]struct {
		again bool
		says  string
	}{
		"500": {true, "answered 500"}, "410": {false, "answered 410"}, "302": {true, "answered 302"},
		"hang": {true, "cannot be reached"}, "close": {true, "cannot be reached"}, "long": {false, ""},
	} {
		hooks, err := webhook.New("h="+srv.URL+"/token-"+path, "h="+secret, webhook.WithTimeout(300*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		again, err := hooks.Send(t.Context(), "h", "msg_1", []byte("{}"))
		if again != want.again || (err == nil) != (want.says == "") {
			t.Errorf("%s: again %v, %v", path, again, err)
		}
		if err != nil && (!strings.Contains(err.Error(), want.says) || strings.Contains(err.Error(), "token") || strings.Contains(err.Error(), srv.URL)) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if elsewhere != 0 {
		t.Error("a redirect was followed")
	}
}

func TestNew(t *testing.T) {
	if hooks, err := webhook.New("b=https://b/x?t=1, a=http://a", "a="+secret+",b="+secret); err != nil || strings.Join(hooks.Names(), " ") != "a b" {
		t.Error(hooks, err)
	}
	if hooks, err := webhook.New("", ""); err != nil || len(hooks.Names()) != 0 {
		t.Error(hooks, err)
	}
	for _, c := range []struct{ urls, secrets, says string }{
		{"a=https://a", "", "is missing"},
		{"a=https://a", "a=whsec_!!", "base64"},
		{"a=https://a", "a=whsec_c2hvcnQ=", "5 bytes"},
		{"a=ftp://hidden", "a=" + secret, "must begin with https"},
		{"a=https://a,a=https://b", "a=" + secret, "twice"},
		{"https://a", "", "write name=value"},
		{"a b=https://a", "", "write name=value"},
		{"", "a=" + secret, "no webhook a"},
	} {
		if _, err := webhook.New(c.urls, c.secrets); err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v", c.urls, err)
		}
	}
}
