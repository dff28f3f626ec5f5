package fleet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pelton/router"
)

// Three routers, each with a queue of its own, and one upstream that counts.
func TestRoutersShareALimit(t *testing.T) {
	t.Parallel()
	s, rec := serve(t), newRecorder()
	var mu sync.Mutex
	calls := 0
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		calls++
		call := calls
		mu.Unlock()
		rec.add("upstream", true, call, time.Now(), 0)
		timer := time.NewTimer(30 * time.Millisecond) // the model's time
		<-timer.C
		rec.add("upstream", false, call, time.Now(), 0)
		fmt.Fprint(w, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}`)
	}))
	defer upstream.Close()
	deployment := router.Deployment{
		ID: "d", Group: "*", Model: "*", BaseURL: upstream.URL + "/v1", APIKey: router.NewSecret("k"), RPM: 6000, MaxParallel: 12,
	}
	var wg sync.WaitGroup
	var stop atomic.Bool // not by a context: a call that is aborted goes on at the upstream
	begin := time.Now()
	for _, name := range []string{"a", "b", "c"} {
		f := s.join(name)
		r, err := router.New(&router.Config{Deployments: []router.Deployment{deployment}}, router.WithLimiter(f))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		f.OnRoom(r.Wake)
		for range 20 {
			wg.Go(func() {
				for !stop.Load() {
					r.Do(t.Context(), router.Request{Body: json.RawMessage(`{"model":"m","messages":[]}`), NoPark: true})
				}
			})
		}
	}
	rec.wait(t, 250, begin)
	stop.Store(true)
	wg.Wait()
	rec.checkPeak(t, 12)
	rec.checkRate(t, 6000)
	list := rec.all()[:250] // while all wanted more
	if got := rec.achieved(6000, list[0].begin, list[len(list)-1].begin); got < 0.95 {
		t.Errorf("only %.0f %% of the rate was used", 100*got)
	}
}
