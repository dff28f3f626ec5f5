package faultyllm

import (
	"cmp"
	"time"
)

// encoder writes the events of an endpoint's streams.
type encoder struct {
	start  func(*exchange, []byte) []byte
	piece  func(*exchange, []byte, piece) []byte
	finish func(*exchange, []byte) []byte
	done   string                                   // the last line, "" when there is none
	failed string                                   // before the data of an error
	kind   []string                                 // its type; nil: of server-sent events
	broken func(*exchange, []byte, *failure) []byte // a failure within it; nil: as an event
	none   string                                   // a stream without an answer; empty: OpenAI's last line
}

// stream answers with server-sent events. Without a pace or a fault they go out
// in one write, as nothing would be gained by more.
func (x *exchange) stream(f *failure, status int, kind []string) {
	enc := x.ep.stream
	if f.shape == shapeNoChoices {
		x.out = append(x.out, cmp.Or(enc.none, "data: [DONE]\n\n")...)
		x.beginStream(status, kind)
		x.finish(status)
		return
	}

	x.ep.compose(x)
	x.split()
	pieces := x.pieces
	switch f.shape {
	case shapeReset, shapeTruncated, shapeErrorIn200:
		pieces = pieces[:len(pieces)/2]
	}
	var pause time.Duration
	if x.set.TokensPerSecond > 0 && f.shape != shapeSlow {
		pause = time.Duration(min(float64(time.Second)/x.set.TokensPerSecond, float64(24*time.Hour)))
	}

	x.beginStream(status, kind)
	x.out = enc.start(x, x.out)
	for i, p := range pieces {
		if i > 0 && pause > 0 && !(x.flush() && x.sleep(pause)) {
			x.abandon()
		}
		x.out = enc.piece(x, x.out, p)
	}

	switch f.shape {
	case shapeReset:
		x.flush()
		x.end(0)
		x.cut(true)
		return
	case shapeTruncated:
	case shapeErrorIn200:
		if enc.broken != nil {
			x.out = enc.broken(x, x.out, f)
			break
		}
		x.out = append(append(x.out, enc.failed...), "data: "...)
		x.out = x.appendError(x.out, f)
		x.out = append(x.out, "\n\n"...)
	default:
		x.out = enc.finish(x, x.out)
		x.out = append(x.out, enc.done...)
	}
	if f.shape == shapeSlow {
		x.drip(status)
		return
	}
	x.finish(status)
}

// beginStream is begin for a body whose length is not known.
func (x *exchange) beginStream(status int, kind []string) {
	h := x.w.Header()
	h["Content-Type"] = kind
	h["Cache-Control"] = noCache
	x.writeHeader(status)
}

var noCache = []string{"no-cache"}
