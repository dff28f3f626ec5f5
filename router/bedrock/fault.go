package bedrock

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
	"pelton/schema"
)

// failed describes an answer that is none.
func (p *Protocol) failed(c *protocol.Call, reply protocol.Reply, made protocol.Answer) protocol.Answer {
	made.Body, made.Failed, made.JSON = reply.Body, true, rawjson.Valid(reply.Body)
	made.Fault = faultOf(reply.Header.Get("X-Amzn-Errortype"), reply.Body)
	if reply.OK() {
		made.Fault.Status = statuses[strings.ToLower(made.Fault.Code)]
	}
	if n := noteOf(c); p.aws != nil && !n.again && p.aws.Renew(made.Fault.Code, reply.Header.Get("Date")) {
		n.again, made.Again = true, true
		made.Fault.Class = schema.ClassTransient // the deployment is not out
	}
	if c.Req != nil && reply.Status == http.StatusNotFound && !made.Fault.NamesModel() {
		made.Hint = fmt.Sprintf("; is the base URL complete? The request went to %s", c.Req.URL.Path)
	}
	return made
}

// streamFault describes an error that came within a stream.
func streamFault(f frame) *protocol.Fault {
	fault := faultOf(f.name, f.payload)
	if fault.Message == "" {
		fault.Message = f.says
	}
	fault.Status = statuses[strings.ToLower(fault.Code)]
	return &fault
}

// faultOf reads an error of AWS's. name is its type as AWS writes it, with or
// without the namespace.
func faultOf(name string, body []byte) protocol.Fault {
	f, _ := protocol.ReadFault(body)
	name, _, _ = strings.Cut(name, ":")
	if name == "" { // older servers write it into the body
		translate.Within(body, "__type", func(value []byte) { name = rawjson.Text(value) })
	}
	if i := strings.LastIndexByte(name, '#'); i >= 0 {
		name = name[i+1:]
	}
	if name != "" {
		f.Code, f.Type = name, name
		f.Name(name)
	}
	f.Class, f.Scope = classOf(&f)
	if strings.Contains(strings.ToLower(f.Message), "per day") && f.Class == schema.ClassRateLimited {
		f.After = dayWait
	}
	return f
}

// dayWait is how long a deployment rests whose tokens of the day are used up: they
// come back bit by bit, and not within minutes.
const dayWait = 15 * time.Minute

// tooLong are the phrases of a prompt that is too long, besides those that the
// common table knows.
var tooLong = []string{
	"input is too long for requested model", "prompt is too long", "too many input tokens", "exceed context limit",
	"input tokens exceeded", "exceeds the maximum number of input tokens", "input length and `max_tokens` exceed",
}

// classOf is what an error means by AWS's name, which counts more than the status.
func classOf(f *protocol.Fault) (schema.Class, protocol.Scope) {
	name, message := strings.ToLower(f.Code), strings.ToLower(f.Message)
	if name == "validationexception" || name == "" {
		for _, phrase := range tooLong {
			if strings.Contains(message, phrase) {
				return schema.ClassContextWindow, protocol.ByTable
			}
		}
	}
	known := classes[name]
	return known.class, known.scope
}

var classes = map[string]struct {
	class schema.Class
	scope protocol.Scope
}{
	"throttlingexception":           {class: schema.ClassRateLimited},
	"servicequotaexceededexception": {class: schema.ClassRateLimited},
	"modelnotreadyexception":        {class: schema.ClassRateLimited},
	"modeltimeoutexception":         {class: schema.ClassTransient},
	"modelerrorexception":           {class: schema.ClassTransient},
	"modelstreamerrorexception":     {class: schema.ClassTransient},
	"internalserverexception":       {class: schema.ClassTransient},
	"internalfailure":               {class: schema.ClassTransient},
	"serviceunavailableexception":   {class: schema.ClassTransient},
	"accessdeniedexception":         {schema.ClassUpstreamFatal, protocol.OneModel},
	"resourcenotfoundexception":     {schema.ClassUpstreamFatal, protocol.OneModel},

	"unrecognizedclientexception":         {schema.ClassUpstreamFatal, protocol.WholeAccount},
	"expiredtokenexception":               {schema.ClassUpstreamFatal, protocol.WholeAccount},
	"expiredtoken":                        {schema.ClassUpstreamFatal, protocol.WholeAccount},
	"invalidsignatureexception":           {schema.ClassUpstreamFatal, protocol.WholeAccount},
	"incompletesignatureexception":        {schema.ClassUpstreamFatal, protocol.WholeAccount},
	"missingauthenticationtokenexception": {schema.ClassUpstreamFatal, protocol.WholeAccount},
}

// statuses are those that errors within a stream would have had as answers.
var statuses = map[string]int{
	"validationexception": 400, "accessdeniedexception": 403, "resourcenotfoundexception": 404, "modeltimeoutexception": 408,
	"modelerrorexception": 424, "modelstreamerrorexception": 424, "throttlingexception": 429, "modelnotreadyexception": 429,
	"servicequotaexceededexception": 429, "internalserverexception": 500, "serviceunavailableexception": 503,
}
