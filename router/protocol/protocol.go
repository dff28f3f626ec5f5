// Package protocol is the seam between the router and the servers that it calls:
// a [Protocol] says how one kind of server is asked, and what its answers mean.
//
// The router speaks OpenAI's form, on both sides of the seam. A protocol turns
// a body of that form into its server's request ([Protocol.Encode]), and the
// server's answer into a body of that form ([Protocol.Decode], or a [Stream]
// chunk by chunk). What lies between belongs to the router: it makes the call,
// keeps the time, bounds what it reads, classifies failures, and tries again.
//
// A new protocol is a package router/NAME with a constructor of the type [New],
// and one line in router/protocols.go. What protocols share stands here: the
// reader of server-sent events, the known shapes of errors, the table of
// classes, and the headers that say when to come back.
package protocol

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"pelton/schema"
)

// ListModels is the endpoint of a check: the call has no body, and its answer
// is a list of models. It costs nothing.
const ListModels schema.Endpoint = "/v1/models"

// Protocol is how one kind of server is asked, and what its answers mean. There
// is one per deployment. All methods are safe for concurrent use.
type Protocol interface {
	// Serves reports whether requests of an endpoint can be carried, and whether
	// their answers can be streamed. The endpoint is never empty. [ListModels]
	// counts too: a server that cannot list its models is not checked for them.
	Serves(endpoint schema.Endpoint) (ok, streams bool)

	// Encode sets c.Req: method, URL, header, and the body by [Call.SetBody]. It
	// may sign the request, for the router adds only headers that are not set, of
	// which no signature need know. Where it needs a token first it may make a
	// call of its own, by [Upstream.Transport], within ctx.
	//
	// An error means that nothing is sent. A *[schema.Error] says what it means:
	// [Unsupported] for a parameter that the server has no place for (where
	// [Upstream.DropParams] is set it is left out instead), [NoToken] for a
	// credential that cannot be had. Any other error is Pelton's own fault.
	//
	// c.Body is not to be changed. c.Req.Header may be shared by all calls; it is
	// changed through [Call.OwnHeader] alone.
	Encode(ctx context.Context, c *Call) error

	// Decode says what a whole answer means, of whatever status. It keeps
	// reply.Body, which nobody changes any more.
	Decode(c *Call, reply Reply) Answer

	// Stream reads the answer to a call with c.Streamed set. reply.Body is nil;
	// the bytes come from body, at most limit of them are to be held. It owns the
	// framing: server-sent events ([NewSSE]), or frames of its own. Where the
	// answer is no stream but one document, as errors mostly are, the Stream is
	// nil, and document is where all of it can be read; [Protocol.Decode] gets it.
	Stream(c *Call, reply Reply, body io.Reader, limit int64) (s Stream, document io.Reader)

	// Models returns the names in the answer to [ListModels]; nil: it lists none,
	// or not those that a deployment could have.
	Models(body []byte) []string
}

// Secretive is a [Protocol] that has secrets besides those in its [Upstream],
// such as a token that it fetched.
type Secretive interface {
	// Secrets returns what an answer of the server might repeat, and nobody is to
	// read. It is asked after each call that failed.
	Secrets() []string
}

// Namer is a [Protocol] whose requests name the model by [Call.Model] alone: the
// name in the body of a call may be another.
type Namer interface{ NamesModel() }

// Prover is a [Protocol] whose servers are not asked for their models, and that
// can tell all the same whether there is what proves to them who asks.
type Prover interface {
	// Prove gets it, such as a token; the error is as [Protocol.Encode]'s.
	Prove(ctx context.Context) error
}

// New makes the protocol of one deployment. It makes no call. The error says
// which setting is missing or wrong, and what to set.
type New func(u Upstream) (Protocol, error)

// Stream is a streamed answer on its way. One goroutine uses it.
type Stream interface {
	// Next reads on to the next event and returns it as a chunk of OpenAI's form,
	// good until the next call. Servers that speak this form have their bytes
	// passed on as they came. An empty chunk without an error is an event that
	// readers are not to see; it counts as a sign of life.
	//
	// The error is [io.EOF] at the end, by the server's own mark or because the
	// bytes end; [ErrFailed] after an error that came as part of the stream;
	// [ErrTooLarge] beyond the limit; and any other where reading failed.
	Next() (chunk []byte, err error)

	// Grew reports whether the last event brought some of the answer's content.
	// The clocks of a stream go by that: a role, or a ping, is no token.
	Grew() bool

	// Answer is what came, as the answer that the same server would have given
	// without streaming: after the end all of it, after a failure as far as it
	// came, its usage included. [Answer.Cut] says what is missing.
	Answer() Answer
}

// Errors of a [Stream].
var (
	ErrFailed   = errors.New("the stream carried an error")
	ErrTooLarge = errors.New("the answer is longer than the bound on answers")
)

// Reply is what came back on a call. It is good for as long as the call.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte // the whole answer; nil for a stream
	At     time.Time
}

// OK reports whether the status says success.
func (r Reply) OK() bool { return r.Status >= 200 && r.Status < 300 }

// Answer is what a reply means. The zero value is an answer without content.
type Answer struct {
	// Body is the answer in OpenAI's form: the very bytes where the server speaks
	// it. Of a failure it is the server's own answer, whatever its form.
	Body []byte
	JSON bool // Body is valid JSON

	// Usage counts the tokens, of failures too: they may be billed.
	Usage Usage

	// Failed says that the reply is an error, of whatever status, and Fault
	// describes it. A reply with another status than 2xx is a failure in any case;
	// Fault.Message is then what the body says.
	Failed bool
	Fault  Fault

	// Lacks is what a success of the endpoint must have and this one has not, as a
	// sentence; Cut what a stream lacks that came to its end. Both are tried
	// again. Empty: nothing.
	Lacks, Cut string

	// Hint is what a person is likely to have got wrong, as text to stand behind
	// the message, such as "; is the base URL complete?". Empty: nothing known.
	Hint string

	// Reset is when a limit that the headers report as used up has room again, of
	// successes too: see [Exhausted]. Zero: they say nothing of the kind.
	Reset time.Time

	// Again says that the call is to be made once more at once, for Encode will
	// make it otherwise now. It costs no attempt.
	Again bool
}

// Usage counts the tokens of an answer. Known false means that it counts none.
type Usage struct {
	Known bool

	// Input and Output are all tokens of prompt and answer, those below included.
	// Total is the server's own sum, or else that of both.
	Input, Output, Total int64

	CacheRead, CacheWrite int64 // of Input: read from a cache, written to it
	Reasoning             int64 // of Output: thought, and not shown
	AudioIn, AudioOut     int64 // of Input and Output: sound

	// Billed says that the server tells what it bills, which may be less than what
	// it counts: BilledInput and BilledOutput, at the plain prices.
	Billed                    bool
	BilledInput, BilledOutput int64
}

// Unsupported is the error of [Protocol.Encode] for a parameter, named as in
// OpenAI's form, that the server has no place for. why is a whole sentence or
// empty.
func Unsupported(server, param, why string) error {
	message := "the parameter " + param + " cannot be carried to " + server
	if why != "" {
		message += ": " + why
	}
	return &schema.Error{
		Class: schema.ClassRequestFatal, Code: CodeUnsupported, Param: param,
		Message: message + " (drop_params leaves out what a server has no place for)",
	}
}

// NoToken is the error of [Protocol.Encode] where a credential cannot be had. The
// deployment can serve nobody then, unless err wraps [ErrUnreachable]: the next try
// may succeed. A *[schema.Error] stays what it is.
func NoToken(err error) error {
	class := schema.ClassUpstreamFatal
	switch e := new(schema.Error); {
	case errors.As(err, &e):
		return err
	case errors.Is(err, ErrUnreachable):
		class = schema.ClassTransient
	}
	return &schema.Error{Class: class, Code: CodeNoToken, Message: "no token: " + err.Error()}
}

// ErrUnreachable is wrapped by errors of a server of credentials that could not be
// reached, or was in trouble.
var ErrUnreachable = errors.New("the server that gives tokens cannot be reached")

// Codes of failures that no server named.
const (
	CodeUnsupported = "unsupported_parameter"
	CodeNoToken     = "no_token"
)

// Samples reports whether an endpoint takes the parameters of sampling
// (temperature, max_tokens and the like) in the way of chat completions, so that
// a deployment's defaults go into its bodies.
func Samples(endpoint schema.Endpoint) bool {
	return endpoint == schema.ChatCompletions || endpoint == schema.Completions
}
