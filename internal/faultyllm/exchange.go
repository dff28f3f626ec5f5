package faultyllm

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"pelton/internal/rawjson"
)

// exchange is one call from arrival to answer. Its buffers are reused: at the
// loads this server is for, they would otherwise be most of the garbage.
type exchange struct {
	s   *Server
	set *settings
	ep  *endpoint
	w   http.ResponseWriter
	r   *http.Request

	body    []byte
	req     request
	script  *Script // nil when the request has none
	id      identity
	ticket  ticket
	fault   Fault // for the record
	ended   bool
	worked  bool // it was not refused: it is billed, unless an error status says that it failed
	created int64
	hexID   [24]byte

	tool   []byte   // the name of the tool that the answer calls, as it is written; nil: none
	texts  [][]byte // the answers, one per choice
	pieces []piece  // the same as a stream sends it
	text   []byte   // memory of texts
	out    []byte   // answer bytes not yet written
	events int      // of a stream of typed events, so far
}

// piece is what one event of a stream adds to a choice.
type piece struct {
	choice int
	text   []byte
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// maxPooled keeps the buffers of rare large calls out of the pool.
const maxPooled = 1 << 20

func (x *exchange) free() {
	if cap(x.body) > maxPooled || cap(x.out) > maxPooled || cap(x.text) > maxPooled {
		return
	}
	clear(x.texts)
	clear(x.pieces)
	*x = exchange{body: x.body[:0], text: x.text[:0], out: x.out[:0], texts: x.texts[:0], pieces: x.pieces[:0]}
	exchanges.Put(x)
}

// call serves a request for an answer.
func (s *Server) call(w http.ResponseWriter, r *http.Request, ep *endpoint) {
	x := exchanges.Get().(*exchange)
	x.s, x.set, x.ep, x.w, x.r = s, s.set.Load(), ep, w, r
	defer x.free()
	defer x.end(0) // if nothing else has

	refusal, refused := x.read()
	var adm admission
	x.ticket, adm = s.rec.arrive(&arrival{
		id: x.id, name: x.name(), model: x.req.modelName(), path: ep.path, body: x.body, admit: !refused,
	}, x.set)
	x.identify()
	x.rateHeaders(&adm)
	if adm.refused {
		refusal, refused = faults[FaultRateLimit], true
		if x.set.RetryAfter == 0 {
			refusal.wait = adm.wait
		}
	}
	if refused {
		x.adapt(&refusal)
		x.deliver(&refusal)
		return
	}

	x.worked = true
	fail, failed := x.fate()
	if !x.hold() || !x.sleep(x.latency()) {
		x.abandon()
	}
	if failed {
		x.adapt(&fail)
		x.deliver(&fail)
		return
	}
	x.succeed(&fail)
}

func (x *exchange) adapt(f *failure) {
	if x.ep.adapt != nil {
		x.ep.adapt(x, f)
	}
}

// read takes in the request and decides whether it is refused for its own sake
// or an outage. The identity is known afterwards in any case.
func (x *exchange) read() (refusal failure, refused bool) {
	// The body is read to its end even in an outage: net/http only watches for
	// a client that goes away once it has been.
	readErr := x.readBody()
	var scriptErr error
	valid := readErr == nil && x.req.parse(x.body, x.ep.subject)
	if x.ep.match != nil {
		model, streamed, _ := x.ep.match(x.r.URL.Path)
		x.req.model, x.req.stream = rawjson.AppendString(nil, model), streamed
	}
	if valid {
		scriptErr = x.readScript()
	}
	x.nameIdentity()

	model := x.req.modelName()
	switch {
	case x.s.inOutage(x.set):
		x.fault = x.set.outage.fault
		return x.set.outage, true
	case errors.Is(readErr, errTooLarge):
		return faults[FaultTooLarge], true
	case readErr != nil:
		return badRequest("", "The request body could not be read."), true
	case !x.s.authorized(x.set, x.r):
		return faults[FaultAuth], true
	case !valid:
		return badRequest("", "We could not parse the JSON body of your request. The API expects a JSON object."), true
	case scriptErr != nil:
		return badRequest("mock", scriptErr.Error()), true
	case len(model) == 0:
		return badRequest("model", "you must provide a model parameter"), true
	case x.set.models != nil && !x.set.models[string(model)]:
		return unknownModel(model), true
	case len(x.req.subject) == 0 || string(x.req.subject) == "null":
		return badRequest(x.ep.subject, "Missing required parameter: '"+x.ep.subject+"'."), true
	}
	if x.ep.check != nil {
		if refusal, refused = x.ep.check(x); refused {
			return refusal, true
		}
	}
	if _, ok := x.req.size(1); !ok {
		return badRequest("dimensions", "Invalid value for 'dimensions'."), true
	}
	return failure{}, false
}

var errTooLarge = errors.New("request body too large")

func (x *exchange) readBody() error {
	limit := x.set.MaxBodyBytes
	if n := x.r.ContentLength; n > 0 && n < min(limit, maxPooled) && int64(cap(x.body)) <= n {
		x.body = make([]byte, 0, n+1) // room to see the end without growing
	}
	for {
		if len(x.body) == cap(x.body) {
			x.body = append(x.body, 0)[:len(x.body)]
		}
		n, err := x.r.Body.Read(x.body[len(x.body):cap(x.body)])
		x.body = x.body[:len(x.body)+n]
		switch {
		case int64(len(x.body)) > limit:
			return errTooLarge
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// readScript decodes the fate that the request asks for, if it does.
func (x *exchange) readScript() error {
	header := x.r.Header["X-Mock"]
	if len(header) == 0 && len(x.req.mock) == 0 {
		return nil
	}
	script := new(Script)
	if len(x.req.mock) > 0 {
		if err := script.decode(x.req.mock); err != nil {
			return err
		}
	}
	for _, h := range header {
		if err := script.decode([]byte(h)); err != nil {
			return err
		}
	}
	if err := script.validate(); err != nil {
		return err
	}
	x.script = script
	return nil
}

// nameIdentity asks Config.Identity first, then the script, then the body.
func (x *exchange) nameIdentity() {
	if x.set.Identity != nil {
		if name := x.set.Identity(x.r, x.body); name != "" {
			if x.script == nil {
				x.script = new(Script)
			}
			x.script.Key = name
		}
	}
	if name := x.name(); name != "" {
		x.id = namedIdentity(name)
		return
	}
	x.id = sha256.Sum256(x.body)
}

func (x *exchange) name() string {
	if x.script == nil {
		return ""
	}
	return x.script.Key
}

// identify gives the call the id of its answer, different for each call.
func (x *exchange) identify() {
	x.created = time.Now().Unix()
	var raw [12]byte
	for i, purpose := range []uint64{drawID, drawID2} {
		v := draw(x.set.Seed, &x.id, x.ticket.number, purpose)
		for j := range 6 {
			raw[6*i+j] = byte(v >> (8 * j))
		}
	}
	hex.Encode(x.hexID[:], raw[:])
	x.w.Header()[cmp.Or(x.ep.idHeader, "X-Request-Id")] = []string{"req_" + string(x.hexID[:])}
}

// authorized compares in constant time only because that is no more work.
func (s *Server) authorized(set *settings, r *http.Request) bool {
	if set.APIKey == "" {
		return true
	}
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if signed, found := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="); found {
		key, _, ok = strings.Cut(signed, "/") // the id of an access key; its secret is not asked for
	}
	for _, other := range []string{"api-key", "x-api-key", "x-goog-api-key"} {
		if !ok {
			key = r.Header.Get(other)
			ok = key != ""
		}
	}
	return subtle.ConstantTimeCompare([]byte(key), []byte(set.APIKey)) == 1
}

// fate decides how an admitted call ends. When failed is false, fail may still
// hold the status of the answer.
func (x *exchange) fate() (fail failure, failed bool) {
	if x.script != nil && x.script.decides() {
		if !x.script.applies(x.ticket.number) {
			return failure{}, false
		}
		if fail, failed = x.script.failure(); failed {
			x.fault = fail.fault
		} else {
			fail.status = x.script.Status
		}
		return fail, failed
	}
	if len(x.set.shares) == 0 {
		return failure{}, false
	}
	u := unit(draw(x.set.Seed, &x.id, x.ticket.number, drawFault))
	for _, s := range x.set.shares {
		if u < s.below {
			x.fault = s.fault
			return failureOf(s.fault), true
		}
	}
	return failure{}, false
}

func (x *exchange) latency() time.Duration {
	if x.script != nil && x.script.LatencyMS != nil {
		return time.Duration(*x.script.LatencyMS * float64(time.Millisecond))
	}
	if x.set.Latency == 0 && x.set.Jitter == 0 {
		return 0
	}
	u := unit(draw(x.set.Seed, &x.id, x.ticket.number, drawLatency))
	v := unit(draw(x.set.Seed, &x.id, x.ticket.number, drawLatency2))
	return x.set.LatencyDist.pick(x.set.Latency, x.set.Jitter, u, v)
}

// hold waits as long as the server is held; false: the client is gone.
func (x *exchange) hold() bool {
	gate := x.s.held.Load()
	if gate == nil {
		return true
	}
	select {
	case <-*gate:
		return true
	case <-x.r.Context().Done():
	case <-x.s.ctx.Done():
	}
	return false
}

// sleep waits; false: the client is gone.
func (x *exchange) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.r.Context().Done():
	case <-x.s.ctx.Done():
	}
	return false
}

// end takes the call off the record, once. It comes before the last byte that
// the client sees: were it the other way round, a client quick to call again
// would find its former call still in flight.
func (x *exchange) end(status int) {
	if x.ended {
		return
	}
	x.ended = true
	aborted := x.r.Context().Err() != nil && x.s.ctx.Err() == nil
	if aborted {
		status = 0
	}
	billed := 0
	if x.ticket.kept != nil && x.worked && status < 400 {
		prompt, completion := x.tokens()
		billed = prompt + completion
	}
	x.s.rec.leave(&x.ticket, status, x.fault, aborted, billed)
}
