package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
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
		timer := time.NewTimer(60 * time.Millisecond) // the model's time
		<-timer.C
		rec.add("upstream", false, call, time.Now(), 0)
		fmt.Fprint(w, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}`)
	}))
	defer upstream.Close()
	deployment := router.Deployment{
		ID: "d", Group: "*", Model: "*", BaseURL: upstream.URL + "/v1", APIKey: router.NewSecret("k"), RPM: 6000, MaxParallel: 12,
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
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
				for ctx.Err() == nil {
					r.Do(ctx, router.Request{Body: json.RawMessage(`{"model":"m","messages":[]}`), NoPark: true})
				}
			})
		}
	}
	rec.wait(t, 250, begin)
	stop()
	wg.Wait()
	rec.checkPeak(t, 12)
	rec.checkRate(t, 6000)
	list := rec.all()
	if got := rec.achieved(6000, list[0].begin, list[len(list)-1].begin); got < 0.95 {
		t.Errorf("only %.0f %% of the rate was used", 100*got)
	}
}
