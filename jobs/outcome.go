package jobs

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/schema"
)

// Outcome is what a result's headers say: enough to count by, without its body.
type Outcome struct {
	Index  int
	Status schema.Status
	Code   string // of the error; its class where the upstream gave no code
	Usage  *schema.Usage
	Cost   *float64
	Seq    uint64 // in the results stream; 0 where it is not known

	ReadyAt time.Time     // where Status is [schema.StatusParked]: when it is to run
	Waited  time.Duration // for places at deployments, all attempts together
	Model   string        // where no deployment is left for it: the model asked for
}

// Bounds on what a header can make its reader hold or reckon with.
const (
	mostRequests = 1_000_000_000 // of a job: its reader holds one bit for each
	longestWait  = 365 * 24 * time.Hour
)

func outcomeOf(r *schema.Result) Outcome {
	out := Outcome{Index: r.Index, Status: r.Status, Usage: r.Usage, Cost: r.Cost, Model: r.Model}
	for _, a := range r.Attempts {
		out.Waited += time.Duration(a.WaitedMs * float64(time.Millisecond))
	}
	if r.Error != nil {
		if out.Code = r.Error.Code; out.Code == "" {
			out.Code = string(r.Error.Class)
		}
	}
	return out
}

func (o Outcome) header(h headerSetter, job string) {
	h.Set(schema.HeaderJob, job)
	h.Set(schema.HeaderIndex, strconv.Itoa(o.Index))
	h.Set(schema.HeaderStatus, string(o.Status))
	if o.Code != "" {
		h.Set(schema.HeaderCode, headerText(o.Code))
	}
	usageHeader(h, o.Usage)
	readyHeader(h, o.ReadyAt)
	if ms := o.Waited.Milliseconds(); ms > 0 {
		h.Set(schema.HeaderWaited, strconv.FormatInt(ms, 10))
	}
	if o.Model != "" {
		h.Set(schema.HeaderModel, headerText(o.Model))
	}
	if o.Cost != nil {
		h.Set(schema.HeaderCost, strconv.FormatFloat(*o.Cost, 'g', -1, 64))
	}
}

type headerSetter interface{ Set(key, value string) }

// headers is a header whose values lie in one piece of memory.
type headers struct {
	nats.Header
	values []string
}

// newHeaders has room for those of a usual result: a map of at most eight is one
// piece of memory.
func newHeaders() headers {
	return headers{Header: make(nats.Header, 8), values: make([]string, 0, 8)}
}

// reset empties it, for other values in the same memory.
func (h *headers) reset() {
	clear(h.Header)
	clear(h.values)
	h.values = h.values[:0]
}

// Set sets a value, as that of nats.Header does.
func (h *headers) Set(key, value string) {
	n := len(h.values)
	h.values = append(h.values, value)
	h.Header[key] = h.values[n : n+1 : n+1]
}

func usageHeader(h headerSetter, u *schema.Usage) {
	if u == nil {
		return
	}
	usage := strconv.AppendInt(nil, u.PromptTokens, 10)
	usage = strconv.AppendInt(append(usage, ','), u.CompletionTokens, 10)
	usage = strconv.AppendInt(append(usage, ','), u.TotalTokens, 10)
	h.Set(schema.HeaderUsage, string(usage))
}

func parseUsage(text string) (u schema.Usage, ok bool) {
	parts := strings.Split(text, ",")
	if len(parts) != 3 {
		return u, false
	}
	for i, field := range []*int64{&u.PromptTokens, &u.CompletionTokens, &u.TotalTokens} {
		var err error
		if *field, err = strconv.ParseInt(parts[i], 10, 64); err != nil || *field < 0 {
			return u, false
		}
	}
	return u, true
}

// parseOutcome reads the headers back; it reports false when they are not a result's.
func parseOutcome(h nats.Header) (Outcome, bool) {
	index, err := strconv.Atoi(h.Get(schema.HeaderIndex))
	if err != nil || index < 0 || index >= mostRequests {
		return Outcome{}, false
	}
	out := Outcome{Index: index, Status: schema.Status(h.Get(schema.HeaderStatus)), Code: headerValue(h.Get(schema.HeaderCode)),
		ReadyAt: parseReady(h), Model: headerValue(h.Get(schema.HeaderModel))}
	if u, ok := parseUsage(h.Get(schema.HeaderUsage)); ok { // a count that cannot be read is unknown
		out.Usage = &u
	}
	if ms, err := strconv.ParseInt(h.Get(schema.HeaderWaited), 10, 64); err == nil && ms >= 0 {
		out.Waited = time.Duration(min(ms, longestWait.Milliseconds())) * time.Millisecond
	}
	// No JSON holds what is no number, or infinite: the job's state could not be written.
	if cost, err := strconv.ParseFloat(h.Get(schema.HeaderCost), 64); err == nil && cost >= 0 && cost <= math.MaxFloat32 {
		out.Cost = &cost
	}
	return out, true
}
