package http1

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// For how long net/http keeps the connections to a server, by what is known of it.
func TestFarLife(t *testing.T) {
	const plain, secure = "http://a", "https://a"
	for name, tt := range map[string]struct {
		key   string
		notes []func(h *habits)
		want  time.Duration
	}{
		"plain":                      {plain, nil, firstLife},
		"TLS":                        {secure, nil, 90 * time.Second},
		"plain, announced":           {plain, []func(h *habits){announces(5)}, 4 * time.Second},
		"TLS, announced":             {secure, []func(h *habits){announces(5)}, 4 * time.Second},
		"announced, and a bound":     {secure, []func(h *habits){announces(3600)}, 90 * time.Second},
		"announced anew":             {secure, []func(h *habits){announces(5), announces(10)}, 8 * time.Second},
		"closed":                     {secure, []func(h *habits){closedAt(10 * time.Second)}, 5 * time.Second},
		"closed before it announced": {secure, []func(h *habits){announces(60), closedAt(10 * time.Second)}, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFar(&http.Transport{IdleConnTimeout: 90 * time.Second})
			for _, note := range tt.notes {
				f.learn(tt.key, note)
			}
			if got := f.of(tt.key).IdleConnTimeout; got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
			if f.of("https://other") != f.next {
				t.Error("another server has its settings")
			}
			f.close()
		})
	}
}

func announces(seconds int) func(*habits) {
	return func(h *habits) { h.announced = time.Duration(seconds) * time.Second }
}

func closedAt(age time.Duration) func(*habits) {
	return func(h *habits) { h.closed(time.Now(), age, age < settled) }
}

// A server that closed a connection right after an answer has none kept for a while.
func TestFarDistrust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(&http.Transport{IdleConnTimeout: 90 * time.Second})
		f.learn("https://a", closedAt(time.Millisecond))
		if got := f.of("https://a"); got != f.fresh {
			t.Errorf("%+v", got)
		}
		time.Sleep(distrust + time.Second)
		if got := f.of("https://a"); got.DisableKeepAlives || got.IdleConnTimeout != 90*time.Second {
			t.Errorf("%+v", got)
		}
	})
}
