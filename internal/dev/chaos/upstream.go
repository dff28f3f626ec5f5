package chaos

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pelton/internal/faultyllm"
)

// keepCalls is more than any round makes.
const keepCalls = 1_000_000

// upstream is the mock, whose record names for each call the worker, by its key,
// and the request, by its text.
func newUpstream(seed uint64) (*faultyllm.Server, error) {
	srv, err := faultyllm.New(faultyllm.Config{
		Seed: seed, KeepCalls: keepCalls, EchoRunes: 60, Identity: identity,
		Latency: 60 * time.Millisecond, Jitter: 40 * time.Millisecond, LatencyDist: faultyllm.LogNormal,
		Faults: usualFaults,
	})
	if err != nil {
		return nil, err
	}
	return srv, srv.Start("")
}

// usualFaults are there all the time; bursts come on top.
var usualFaults = faultyllm.Rates{faultyllm.FaultServerError: 0.003, faultyllm.FaultRateLimit: 0.001, faultyllm.FaultHang: 0.0005}

// identity is "worker job index".
func identity(r *http.Request, body []byte) string {
	worker := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	_, text, _ := bytes.Cut(body, []byte(`"content":"`))
	words := bytes.SplitN(text, []byte(" "), 3)
	if len(words) < 3 {
		return worker + " " + unread + " -1"
	}
	return worker + " " + string(words[0]) + " " + string(words[1])
}

// unread stands for a job whose name did not arrive.
const unread = "?"

// callsOf turns the record into evidence.
func callsOf(srv *faultyllm.Server) []Call {
	var list []Call
	for _, c := range srv.Calls() {
		words := strings.Fields(c.Identity)
		if len(words) != 3 {
			words = []string{"?", unread, "-1"}
		}
		if words[1] == unread && c.Aborted {
			continue // its worker ended while it was being sent: nobody was asked
		}
		index, _ := strconv.Atoi(words[2])
		end := c.End
		if end.IsZero() {
			end = time.Now()
		}
		list = append(list, Call{
			Worker: words[0], Job: words[1], Index: index, Start: c.Start, End: end, Status: c.Status, Aborted: c.Aborted, Billed: c.Billed,
		})
	}
	return list
}
