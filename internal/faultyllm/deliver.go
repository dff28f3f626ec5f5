package faultyllm

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Header values are shared between answers; net/http only reads them.
var (
	jsonType   = []string{"application/json"}
	htmlType   = []string{"text/html; charset=utf-8"}
	streamType = []string{"text/event-stream; charset=utf-8"}
)

// deliver ends the call in failure.
func (x *exchange) deliver(f *failure) {
	switch f.shape {
	case shapeHang:
		select {
		case <-x.r.Context().Done():
		case <-x.s.ctx.Done():
		}
		x.abandon()
	case shapeClose:
		x.end(0)
		x.cut(false)
	case shapeReset, shapeTruncated, shapeErrorIn200, shapeNoChoices, shapeContentType, shapeSlow:
		x.succeed(f)
	default:
		x.waitHeader(f)
		kind := jsonType
		switch f.shape {
		case shapeHTML:
			title := strconv.Itoa(f.status) + " " + http.StatusText(f.status)
			x.out, kind = fmt.Appendf(x.out, htmlPage, title, title), htmlType
		case shapeError:
			x.out = x.appendError(x.out, f)
		}
		if raw := x.raw(); raw != nil {
			x.out = append(x.out[:0], *raw...)
		}
		x.begin(f.status, kind)
		x.finish(f.status)
	}
}

// succeed writes an answer: the right one, unless f deforms it.
func (x *exchange) succeed(f *failure) {
	status := cmp.Or(f.status, http.StatusOK)
	kind := jsonType
	streaming := x.req.stream && x.ep.stream != nil
	if streaming {
		if kind = x.ep.stream.kind; kind == nil {
			kind = streamType
		}
	}
	if f.shape == shapeContentType {
		kind = htmlType
	}
	x.waitHeader(f)

	raw := x.raw()
	switch {
	case raw != nil:
		x.out = append(x.out, *raw...)
	case streaming:
		x.stream(f, status, kind)
		return
	case f.shape == shapeErrorIn200:
		x.out = x.appendError(x.out, f)
	case f.shape == shapeNoChoices:
		x.out = x.ep.whole(x, x.out)
	default:
		x.ep.compose(x)
		x.out = x.ep.whole(x, x.out)
	}

	switch f.shape {
	case shapeTruncated:
		x.out = x.out[:len(x.out)/2]
		x.begin(status, kind)
		x.finish(status)
	case shapeReset:
		x.begin(status, kind)
		x.out = x.out[:len(x.out)/2]
		x.flush()
		x.end(0)
		x.cut(true)
	case shapeSlow:
		x.begin(status, kind)
		x.drip(status)
	default:
		x.begin(status, kind)
		x.finish(status)
	}
}

// raw is the body the script wants for this call, nil when it has none.
func (x *exchange) raw() *string {
	if x.script == nil || !x.script.applies(x.ticket.number) {
		return nil
	}
	return x.script.Raw
}

// begin sets the status and headers of an answer whose body is x.out.
func (x *exchange) begin(status int, kind []string) {
	h := x.w.Header()
	h["Content-Type"] = kind
	// net/http counts small bodies itself, at less cost.
	if len(x.out) > 1024 || x.fault != "" {
		h["Content-Length"] = []string{strconv.Itoa(len(x.out))}
	}
	x.writeHeader(status)
}

func (x *exchange) writeHeader(status int) {
	if x.script != nil {
		for name, value := range x.script.Headers {
			x.w.Header().Set(name, value)
		}
	}
	x.w.WriteHeader(status)
}

// finish ends the call and writes what is left of its answer.
func (x *exchange) finish(status int) {
	x.end(status)
	if len(x.out) > 0 {
		_, _ = x.w.Write(x.out) // a client that is gone now has its answer counted
		x.out = x.out[:0]
	}
}

// flush sends what there is; false: the client is gone.
func (x *exchange) flush() bool {
	_, err := x.w.Write(x.out)
	x.out = x.out[:0]
	if err != nil {
		return false
	}
	return http.NewResponseController(x.w).Flush() == nil
}

// drip sends x.out at SlowBytesPerSecond, in some twenty pieces a second.
func (x *exchange) drip(status int) {
	const pause = 50 * time.Millisecond
	step := x.set.SlowBytesPerSecond * pause.Seconds()
	wait := pause
	if step < 1 {
		wait = time.Duration(float64(pause) / max(step, 1e-6))
		step = 1
	}
	all := x.out
	for int(step) < len(all) {
		x.out = all[:int(step)]
		all = all[int(step):]
		if !x.flush() || !x.sleep(wait) {
			x.abandon()
		}
	}
	x.out = all
	x.finish(status)
}

// cut closes the connection under the answer, with an RST if reset is set. A
// writer that cannot be hijacked gets net/http's own way to break off.
func (x *exchange) cut(reset bool) {
	h, ok := x.w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	conn, _, err := h.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
	if x.r.Context().Value(ownKey{}) != nil {
		x.s.connState(conn, http.StateClosed) // net/http no longer tells
	}
}

// abandon ends a call that nobody waits for any more, or that is cut short by
// Close. Returning from the handler would complete the answer instead.
func (x *exchange) abandon() {
	x.end(0)
	panic(http.ErrAbortHandler)
}

// waitHeader asks the client to wait, if the failure or the settings say so.
func (x *exchange) waitHeader(f *failure) {
	if wait := x.wait(f); wait > 0 && !x.ep.noRetryAfter {
		x.set.RetryAfterForm.set(x.w.Header(), wait)
	}
}

// wait is how long the client is asked to wait; 0: it is not.
func (x *exchange) wait(f *failure) time.Duration {
	if f.wait == 0 && f.retry {
		return x.set.RetryAfter
	}
	return f.wait
}

// rateHeaders tells the client about RateLimit, as OpenAI does.
func (x *exchange) rateHeaders(adm *admission) {
	if !adm.rated {
		return
	}
	h := x.w.Header()
	h.Set("x-ratelimit-limit-requests", strconv.Itoa(x.set.RateLimit))
	h.Set("x-ratelimit-remaining-requests", strconv.Itoa(adm.remaining))
	h.Set("x-ratelimit-reset-requests", adm.reset.Round(time.Millisecond).String())
}

// writeFailure answers requests that are not calls.
func writeFailure(w http.ResponseWriter, f *failure) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(f.status)
	_, _ = w.Write(f.appendError(nil))
}
