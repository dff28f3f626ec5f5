package protocol

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"pelton/schema"
)

// Each row of the table can be reached: some answer falls under it, though all rows
// before it are asked first.
func TestSignsAreReached(t *testing.T) {
	reached := map[int]bool{}
	for i := range Signs {
		s := &Signs[i]
		var faults []*Fault
		for code := range s.codes {
			faults = append(faults, &Fault{Code: code})
		}
		for _, phrase := range s.Phrases {
			faults = append(faults, &Fault{Message: "it says: " + strings.ToUpper(phrase) + " here"})
		}
		faults = append(faults, &Fault{Message: "x"}, &Fault{}, &Fault{Param: "input", Message: "x"})
		for _, f := range faults {
			for status := 100; status < 700; status++ {
				if SignOf(status, f) == s {
					reached[i] = true
				}
			}
		}
		if !reached[i] {
			t.Errorf("no answer is %q: an earlier row takes all of them", s.Seen)
		}
	}
	last := Signs[len(Signs)-1]
	if last.On != "" || last.codes != nil || last.Phrases != nil || last.when != nil {
		t.Error("the last row must take every answer")
	}
}

// Whatever a code or a phrase says, it says at the statuses that its row names.
func TestSignsCountWhereTheySay(t *testing.T) {
	for i := range Signs {
		s := &Signs[i]
		if s.Seen == "" || s.Source == "" || s.Class == "" {
			t.Errorf("row %d lacks what is seen, what it means or its source", i)
		}
		if _, ok := Actions[s.Class]; !ok {
			t.Errorf("%s: no action is known for %s", s.Seen, s.Class)
		}
		if (s.Class == schema.ClassUpstreamFatal) != (s.Scope != ByTable) {
			t.Errorf("%s: %s with the scope %q", s.Seen, s.Class, s.Scope)
		}
		for _, text := range append(strings.Fields(s.Codes), s.Phrases...) {
			if text != strings.ToLower(text) {
				t.Errorf("%s: %q is never found: it is not in lower case", s.Seen, text)
			}
		}
	}
	for text, want := range map[string]string{"": "", "4xx": "401 404 429 499", "!401 !5xx": "200 404 429 499", "520-527 529": "520 527 529", "429": "429"} {
		set := statusesOf(text)
		for _, status := range []int{200, 401, 404, 429, 499, 520, 527, 528, 529, 599} {
			in := want == "" || strings.Contains(want, strconv.Itoa(status))
			if set.has(status) != in {
				t.Errorf("%q has %d: %v", text, status, set.has(status))
			}
		}
	}
}

func TestQuotasThatDoNotComeBack(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		body string
		used bool
		wait time.Duration
	}{
		"Gemini, of a day":    {`[{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"m","quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier","quotaValue":"200"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"17s"}]}}]`, true, 20 * time.Hour},
		"Gemini, of nothing":  {`{"error":{"code":429,"message":"Quota exceeded for metric: generate_content_free_tier_requests, limit: 0, model: gemini-2.5-pro Please retry in 39.7s.","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"39s"}]}}`, true, 0},
		"the same by value":   {`{"error":{"code":429,"message":"x","details":[{"violations":[{"quotaId":"a","quotaValue":"0"}]},{"retryDelay":"39s"}]}}`, true, 0},
		"Gemini, of a minute": {`{"error":{"code":429,"message":"Quota exceeded, limit: 10, model: x","details":[{"violations":[{"quotaId":"GenerateRequestsPerMinutePerProject","quotaValue":"10"}]},{"retryDelay":"26s"}]}}`, false, 26 * time.Second},
		"OpenAI, of a day":    {`{"error":{"message":"Rate limit reached for gpt-4 on requests per day (RPD): Limit 200, Used 200, Requested 1. Please try again in 7m12s.","code":"rate_limit_exceeded"}}`, true, 432 * time.Second},
		"OpenRouter":          {`{"error":{"message":"Rate limit exceeded: free-models-per-day. Add 10 credits","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"50","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1777640400000"}}}}`, true, time.Hour},
		"Bedrock":             {`{"message":"Too many tokens per day, please wait before trying again."}`, true, 0},
		"GitHub Models":       {`{"error":{"code":"RateLimitReached","message":"Rate limit of 50 per 86400s exceeded for UserByModelByDay. Please wait 35421 seconds before retrying."}}`, true, 35421 * time.Second},
		"a minute's":          {`{"error":{"message":"Rate limit reached on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s."}}`, false, 20 * time.Second},
	} {
		f, _ := ReadFault([]byte(tt.body))
		if f.Message == "" || len(f.Names) == 0 && f.Code == "" && strings.Contains(tt.body, `"error"`) && strings.Contains(tt.body, `"code"`) {
			t.Errorf("%s: %+v", name, f)
		}
		sign := SignOf(429, &f)
		if sign.Class != schema.ClassRateLimited || sign.Used != tt.used {
			t.Errorf("%s: %s, used %v", name, sign.Class, sign.Used)
		}
		if got := f.Wait(http.Header{}, now); got != tt.wait {
			t.Errorf("%s: waits %v, want %v", name, got, tt.wait)
		}
	}
}
