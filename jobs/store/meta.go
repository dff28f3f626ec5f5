package store

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/schema"
)

// ResultMeta is what a result's headers say: enough to count by, without its body.
type ResultMeta struct {
	Index  int
	Status schema.Status
	Code   string // of the error; its class where the upstream gave no code
	Seq    uint64 // in the results stream; 0 where it is not known

	schema.Bill // of all its attempts

	ReadyAt   time.Time     // where Status is [schema.StatusParked]: when it is to run
	QueuedFor time.Duration // for places at deployments, all attempts together
	DeadModel string        // where no deployment is left for it: the model asked for

	Incomplete string // as [schema.Result] has it

	Wait Wait // where Status is [schema.StatusParked]: what for
}

// Wait is what a parked request waits for, as [schema.Waiting] has it.
type Wait struct{ Model, Cause, Reason string }

// WaitOf is what is known of a parked request's wait.
func WaitOf(p *schema.Parked) Wait { return Wait{Model: p.Model, Cause: p.Cause, Reason: p.Reason} }

// mostReason bounds the reason of a wait on its way to the owner, in bytes.
const mostReason = 512

// Bounds on what a header can make its reader hold or reckon with.
const (
	MaxRequests = 1_000_000_000 // of a job: its reader holds one bit for each
	longestWait = 365 * 24 * time.Hour

	mostAttempts = 1_000_000
)

func metaOf(r *schema.Result) ResultMeta {
	out := ResultMeta{Index: r.Index, Status: r.Status, Bill: r.Bill(), DeadModel: r.Model, Incomplete: r.Incomplete}
	for _, a := range r.Attempts {
		out.QueuedFor += time.Duration(a.WaitedMs * float64(time.Millisecond))
	}
	if r.Error != nil {
		if out.Code = r.Error.Code; out.Code == "" {
			out.Code = string(r.Error.Class)
		}
	}
	return out
}

func (o ResultMeta) writeTo(h headerSetter, job string) {
	if o.Status == schema.StatusParked {
		o.Code, o.DeadModel = o.Wait.Cause, o.Wait.Model
		h.Set(schema.HeaderReason, HeaderText(o.Wait.Reason[:min(len(o.Wait.Reason), mostReason)]))
	}
	h.Set(schema.HeaderJob, job)
	h.Set(schema.HeaderIndex, strconv.Itoa(o.Index))
	h.Set(schema.HeaderStatus, string(o.Status))
	if o.Code != "" {
		h.Set(schema.HeaderCode, HeaderText(o.Code))
	}
	if o.Incomplete != "" {
		h.Set(schema.HeaderIncomplete, HeaderText(o.Incomplete))
	}
	usageHeaders(h, o.Bill)
	readyHeader(h, o.ReadyAt)
	if ms := o.QueuedFor.Milliseconds(); ms > 0 {
		h.Set(schema.HeaderWaited, strconv.FormatInt(ms, 10))
	}
	if o.DeadModel != "" {
		h.Set(schema.HeaderModel, HeaderText(o.DeadModel))
	}
	if o.Cost != nil {
		h.Set(schema.HeaderCost, strconv.FormatFloat(*o.Cost, 'g', -1, 64))
	}
	countHeader(h, schema.HeaderUnpricedAttempts, o.UnpricedAttempts)
}

type headerSetter interface{ Set(key, value string) }

func countHeader(h headerSetter, name string, n int) {
	if n > 0 {
		h.Set(name, strconv.Itoa(n))
	}
}

// parseCount reads what countHeader wrote; what is no count is 0.
func parseCount(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > mostAttempts {
		return 0
	}
	return n
}

// usageHeaders write the tokens of a request, and of how many attempts they are not
// known.
func usageHeaders(h headerSetter, b schema.Bill) {
	countHeader(h, schema.HeaderUnknownAttempts, b.UnknownAttempts)
	u := b.Usage
	if u == nil {
		return
	}
	usage := strconv.AppendInt(nil, u.PromptTokens, 10)
	usage = strconv.AppendInt(append(usage, ','), u.CompletionTokens, 10)
	usage = strconv.AppendInt(append(usage, ','), u.TotalTokens, 10)
	h.Set(schema.HeaderUsage, string(usage))
}

// ParseUsage reads the header that [schema.HeaderUsage] names: prompt, completion
// and total tokens with commas between. ok is false for anything else.
func ParseUsage(text string) (u schema.Usage, ok bool) {
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
func parseMeta(h nats.Header) (ResultMeta, bool) {
	index, err := strconv.Atoi(h.Get(schema.HeaderIndex))
	if err != nil || index < 0 || index >= MaxRequests {
		return ResultMeta{}, false
	}
	out := ResultMeta{Index: index, Status: schema.Status(h.Get(schema.HeaderStatus)), Code: HeaderValue(h.Get(schema.HeaderCode)),
		ReadyAt: parseReady(h), DeadModel: HeaderValue(h.Get(schema.HeaderModel))}
	out.Incomplete = HeaderValue(h.Get(schema.HeaderIncomplete))
	if out.Status == schema.StatusParked {
		out.Wait = Wait{Model: out.DeadModel, Cause: out.Code, Reason: HeaderValue(h.Get(schema.HeaderReason))}
		out.Code, out.DeadModel = "", ""
	}
	if u, ok := ParseUsage(h.Get(schema.HeaderUsage)); ok { // a count that cannot be read is unknown
		out.Usage = &u
	}
	if ms, err := strconv.ParseInt(h.Get(schema.HeaderWaited), 10, 64); err == nil && ms >= 0 {
		out.QueuedFor = time.Duration(min(ms, longestWait.Milliseconds())) * time.Millisecond
	}
	// No JSON holds what is no number, or infinite: the job's state could not be written.
	if cost, err := strconv.ParseFloat(h.Get(schema.HeaderCost), 64); err == nil && cost >= 0 && cost <= math.MaxFloat32 {
		out.Cost = &cost
	}
	out.UnknownAttempts = parseCount(h.Get(schema.HeaderUnknownAttempts))
	out.UnpricedAttempts = parseCount(h.Get(schema.HeaderUnpricedAttempts))
	return out, true
}

// readyHeader writes an outcome's ready time, and parseReady reads it.
func readyHeader(h headerSetter, t time.Time) {
	if !t.IsZero() {
		h.Set(schema.HeaderReady, t.UTC().Format(time.RFC3339Nano))
	}
}

func parseReady(h nats.Header) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, h.Get(schema.HeaderReady))
	return t
}
