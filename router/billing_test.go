package router

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"pelton/internal/faultyllm"
	"pelton/schema"
)

// Each way to fail, and whether it may have been billed: a whole document and a
// stream, a small call and one that net/http makes.
func TestFaultsThatMayBeBilled(t *testing.T) {
	no := map[faultyllm.Fault]bool{
		faultyllm.FaultBadRequest: true, faultyllm.FaultAuth: true, faultyllm.FaultForbidden: true, faultyllm.FaultModelNotFound: true,
		faultyllm.FaultTooLarge: true, faultyllm.FaultUnprocessable: true, faultyllm.FaultRateLimit: true, faultyllm.FaultQuota: true,
		faultyllm.FaultOverloaded: true, "409": true, "425": true, "501": true,
	}
	const yes, known = "unknown", "known"
	for _, fault := range append(faultyllm.Faults(), "409", "425", "499", "500", "501", "504") {
		if fault == faultyllm.FaultSlow {
			continue
		}
		want := yes
		if no[fault] {
			want = "not billed"
		}
		for name, body := range map[string]string{
			"document": `{"model":"m","messages":[{"role":"user","content":"hi"}]}`,
			"stream":   `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi there, you"}]}`,
			"large":    `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 100_000) + `"}]}`,
		} {
			t.Run(string(fault)+"/"+name, func(t *testing.T) {
				t.Parallel()
				r, _ := upstream(t, faultyllm.Config{APIKey: testKey, Faults: faultyllm.Rates{fault: 1}})
				req := Request{Body: json.RawMessage(body), Timeout: time.Minute}
				if fault == faultyllm.FaultHang {
					req.Timeout = 60 * time.Millisecond
				}
				out := r.Do(background, req)
				wantConsistent(t, out)
				want := want
				if fault == faultyllm.FaultContentType || fault == faultyllm.FaultNoChoices && name != "stream" {
					want = known // it says what it took
				}
				for _, a := range out.Attempts {
					got := "not billed"
					switch {
					case a.Usage != nil:
						got = known
					case a.UsageUnknown:
						got = yes
					}
					if got != want {
						t.Errorf("%s, want %s: %+v", got, want, a)
					}
				}
				if n := len(out.Attempts); n == 0 || want == yes && out.UnknownAttempts != n || want != yes && out.UnknownAttempts != 0 {
					t.Errorf("%d of %d attempts are unknown", out.UnknownAttempts, n)
				}
			})
		}
	}
}

// What was never sent costs nothing.
func TestWhatWasNotSentIsNotBilled(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + closed.Addr().String()
	_ = closed.Close()
	_, plain := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	ended, end := context.WithCancel(context.Background())
	end()
	small := `{"model":"m","messages":[]}`
	large := `{"model":"m","messages":["` + strings.Repeat("x", 100_000) + `"]}`
	for name, tt := range map[string]struct {
		url, body string
		ctx       context.Context
	}{
		"refused":        {nobody, small, background},
		"refused, large": {nobody, large, background},
		"no TLS":         {strings.Replace(plain.URL, "http:", "https:", 1), small, background},
		"no such host":   {"http://nobody.invalid", small, background},
		"ended before":   {plain.URL, small, ended},
	} {
		r := start(t, &Config{Deployments: []Deployment{deploymentAt("one", tt.url)}, NumRetries: new(int)}, noWait)
		out := r.Do(tt.ctx, Request{Body: json.RawMessage(tt.body)})
		if out.Status == schema.StatusSucceeded || out.UnknownAttempts != 0 || len(out.Attempts) > 0 && out.Attempts[0].UsageUnknown {
			t.Errorf("%s: %+v %v", name, out, out.Error)
		}
	}
}

// A call that was cancelled when it had been sent may have been billed; so may one
// of which the answer broke off.
func TestWhatWasSentMayBeBilled(t *testing.T) {
	for name, body := range map[string]string{
		"small": `{"model":"m","messages":[]}`,
		"large": `{"model":"m","messages":["` + strings.Repeat("x", 100_000) + `"]}`,
	} {
		ctx, cancel := context.WithCancelCause(context.Background())
		r, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else the end of the connection is not seen
			cancel(errors.New("enough"))
			<-r.Context().Done()
		})
		out := r.Do(ctx, Request{Body: json.RawMessage(body)})
		if out.Status != schema.StatusCancelled || len(out.Attempts) != 1 || !out.Attempts[0].UsageUnknown || out.UnknownAttempts != 1 {
			t.Errorf("%s: %+v %v", name, out, out.Error)
		}
	}
}

// An error by another name: the word in a success's body counts, and what names a
// limit or a key was refused, whatever the status.
func TestRefusedByWord(t *testing.T) {
	for body, want := range map[string]bool{
		`{"error":{"code":429,"message":"slow down"}}`:                            false,
		`{"error":{"code":"server_is_overloaded","message":"m"}}`:                 false,
		`{"error":{"code":"invalid_api_key","message":"m"}}`:                      false,
		`{"error":{"code":502,"message":"the provider failed"}}`:                  true,
		`{"error":{"message":"something"}}`:                                       true,
		`{"error":{"code":"content_filter","message":"m"}}`:                       true,
		`{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"}}]}`: true, // a success without a count
	} {
		r, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
		r.numRetries = 0
		if out := r.Do(background, chat("m")); len(out.Attempts) == 0 || out.Attempts[0].UsageUnknown != want {
			t.Errorf("%s: %+v", body, out)
		}
	}
}
