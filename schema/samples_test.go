package schema_test

import "strings"

// sample is a job and what is wrong with it. ParseJob and the JSON Schema are
// both held to them.
type sample struct {
	name, job string
	want      string // the one problem as text; empty: the job is valid
	beyond    bool   // a schema cannot see it
}

const (
	okBody = `{"model":"m","messages":[]}`
	okReqs = `"requests":[` + okBody + `]`
)

// with is a valid job with further fields.
func with(fields string) string { return `{` + okReqs + `,` + fields + `}` }

// of is a job of these requests.
func of(requests string) string { return `{"requests":[` + requests + `]}` }

// line is a batch line around a body for an endpoint.
func lineOf(url, body string) string {
	return of(`{"custom_id":"a","method":"POST","url":"` + url + `","body":` + body + `}`)
}

var envelopeSamples = []sample{
	{name: "least", job: `{` + okReqs + `}`},
	{name: "spaces all over", job: " {\n\"requests\" : [\n " + okBody + "\t,\n " + okBody + " ] \n} "},
	{name: "every field", job: with(`"id":"Nightly_4-2","concurrency":64,"order":"input","fail_fast":{"rate":0.1,"after":100},"reply":"my.app.answers","callback":"nightly","notify":"my.app.ended","timeout":"5m","deadline":"12h","defaults":{"temperature":0},"include_request":true,"metadata":{"team":"search"}`)},
	{name: "an array", job: `[` + okBody + `]`, want: `job: must be an object, not an array; write {"requests": [...]}`},
	{name: "a string", job: `"x"`, want: "job: must be an object, not a string"},
	{name: "empty object", job: `{}`, want: `job: requests: missing; a job has "requests" or "input"`},
	{name: "unknown field", job: with(`"foo":1`), want: `job: foo: is no field of a job; it has id, concurrency, order,`},
	{name: "misspelled field", job: with(`"concurency":1`), want: `job: concurency: is no field of a job; did you mean "concurrency"?`},
	{name: "field in camel case", job: with(`"failFast":true`), want: `did you mean "fail_fast"?`},
	{name: "field in capitals", job: with(`"ID":"x"`), want: `did you mean "id"?`},
	{name: "field twice", job: with(`"order":"input","order":"input"`), want: "job: order: stands twice; keep one", beyond: true},
	{name: "field twice, once escaped", job: with(`"order":"input","\u006frder":"input"`), want: "job: order: stands twice", beyond: true},

	{name: "id of 64", job: with(`"id":"` + strings.Repeat("a", 64) + `"`)},
	{name: "id of 65", job: with(`"id":"` + strings.Repeat("a", 65) + `"`), want: "id: must be 1 to 64 letters, digits, - and _"},
	{name: "id with a dot", job: with(`"id":"a.b"`), want: `id: must be 1 to 64 letters, digits, - and _, not "a.b"`},
	{name: "id with an umlaut", job: with(`"id":"ä"`), want: "id: must be 1 to 64"},
	{name: "empty id", job: with(`"id":""`), want: "id: must be 1 to 64"},
	{name: "reserved id", job: with(`"id":"j42"`), want: `id: "j" and only digits is reserved`},
	{name: "id j", job: with(`"id":"j"`)},
	{name: "id j4x", job: with(`"id":"j4x"`)},
	{name: "id a number", job: with(`"id":42`), want: "id: must be a string, not a number"},
	{name: "id null", job: with(`"id":null`), want: "id: must be a string, not null"},

	{name: "concurrency 1", job: with(`"concurrency":1`)},
	{name: "concurrency 10000", job: with(`"concurrency":10000`)},
	{name: "concurrency 8.0", job: with(`"concurrency":8.0`)},
	{name: "concurrency 0", job: with(`"concurrency":0`), want: "concurrency: must be an integer from 1 to 10000, not 0"},
	{name: "concurrency 10001", job: with(`"concurrency":10001`), want: "not 10001"},
	{name: "concurrency negative", job: with(`"concurrency":-1`), want: "not -1"},
	{name: "concurrency a fraction", job: with(`"concurrency":1.5`), want: "not 1.5"},
	{name: "concurrency huge", job: with(`"concurrency":1e99`), want: "not 1e99"},
	{name: "concurrency a string", job: with(`"concurrency":"8"`), want: "concurrency: must be an integer from 1 to 10000, not a string"},
	{name: "concurrency auto", job: with(`"concurrency":"auto"`), want: `concurrency: "auto" is experimental and not switched on`, beyond: true},

	{name: "order completion", job: with(`"order":"completion"`)},
	{name: "order other", job: with(`"order":"random"`), want: `order: must be "completion" or "input", not "random"`},
	{name: "order empty", job: with(`"order":""`), want: `order: must be`},

	{name: "fail_fast true", job: with(`"fail_fast":true`)},
	{name: "fail_fast false", job: with(`"fail_fast":false`)},
	{name: "fail_fast failures", job: with(`"fail_fast":{"failures":3}`)},
	{name: "fail_fast rate", job: with(`"fail_fast":{"rate":1}`)},
	{name: "fail_fast both", job: with(`"fail_fast":{"failures":3,"rate":0.5,"after":10}`)},
	{name: "fail_fast a number", job: with(`"fail_fast":3`), want: `fail_fast: must be true, false, {"failures": N}`},
	{name: "fail_fast empty", job: with(`"fail_fast":{}`), want: `fail_fast: is empty; write true`},
	{name: "fail_fast zero failures", job: with(`"fail_fast":{"failures":0}`), want: "fail_fast.failures: must be an integer from 1"},
	{name: "fail_fast rate 0", job: with(`"fail_fast":{"rate":0}`), want: "fail_fast.rate: must be above 0 and at most 1"},
	{name: "fail_fast rate above 1", job: with(`"fail_fast":{"rate":10}`), want: "fail_fast.rate: must be above 0 and at most 1"},
	{name: "fail_fast rate a string", job: with(`"fail_fast":{"rate":"0.1"}`), want: "fail_fast.rate: must be a number above 0 and at most 1, not a string"},
	{name: "fail_fast after alone", job: with(`"fail_fast":{"failures":1,"after":10}`), want: `fail_fast: "after" needs "rate"`},
	{name: "fail_fast unknown", job: with(`"fail_fast":{"failures":1,"count":1}`), want: "fail_fast.count: is no field of fail_fast"},
	{name: "fail_fast twice", job: with(`"fail_fast":{"failures":1,"failures":2}`), want: "fail_fast.failures: stands twice", beyond: true},

	{name: "callback", job: with(`"callback":"nightly_1"`)},
	{name: "callback an address", job: with(`"callback":"https://a/b"`), want: "callback: must be the name of a webhook"},
	{name: "callback a number", job: with(`"callback":1`), want: "callback: must be a string"},
	{name: "notify", job: with(`"notify":"my.app.ended"`)},
	{name: "notify under the prefix", job: with(`"notify":"pelton.x"`), want: `notify: must not lie under "pelton"`},
	{name: "notify with *", job: with(`"notify":"a.*"`), want: "notify: must be one subject, without the wildcards"},
	{name: "reply", job: with(`"reply":"a.b-c_d.é"`)},
	{name: "reply an inbox", job: with(`"reply":"_INBOX.x.y"`)},
	{name: "reply near the prefix", job: with(`"reply":"peltons.x"`)},
	{name: "reply at the prefix", job: with(`"reply":"pelton"`), want: `reply: must not lie under "pelton"`},
	{name: "reply under the prefix", job: with(`"reply":"pelton.jobs.default"`), want: `reply: must not lie under "pelton"`},
	{name: "reply to the API", job: with(`"reply":"$JS.API.STREAM.PURGE.X"`), want: "reply: must not begin with $"},
	{name: "reply with *", job: with(`"reply":"a.*"`), want: "reply: must be one subject, without the wildcards"},
	{name: "reply with >", job: with(`"reply":"a.>"`), want: "reply: must be one subject, without the wildcards"},
	{name: "reply with an empty token", job: with(`"reply":"a..b"`), want: "has an empty token"},
	{name: "reply beginning with a dot", job: with(`"reply":".a"`), want: "has an empty token"},
	{name: "reply ending with a dot", job: with(`"reply":"a."`), want: "has an empty token"},
	{name: "reply with a space", job: with(`"reply":"a b"`), want: "reply: must not hold spaces"},
	{name: "reply with a line break", job: with(`"reply":"a\nb"`), want: "reply: must not hold spaces"},
	{name: "reply empty", job: with(`"reply":""`), want: "reply: must not be empty"},
	{name: "reply too long", job: with(`"reply":"` + strings.Repeat("a", 513) + `"`), want: "reply: must not be longer than 512 characters"},

	{name: "timeout", job: with(`"timeout":"1h30m0.5s"`)},
	{name: "timeout in µs", job: with(`"timeout":"1.5µs"`)},
	{name: "timeout a number", job: with(`"timeout":30`), want: `timeout: must be a duration with its unit, as a string: write "30s" for thirty seconds, not 30`},
	{name: "timeout without unit", job: with(`"timeout":"30"`), want: `timeout: must be a duration like "30s", "10m" or "1h30m", not "30"`},
	{name: "timeout in days", job: with(`"timeout":"1d"`), want: `not "1d"`},
	{name: "timeout zero", job: with(`"timeout":"0s"`), want: `timeout: must be above zero, not "0s"`},
	{name: "timeout negative", job: with(`"timeout":"-5s"`), want: `timeout: must be above zero, not "-5s"`},
	{name: "timeout with a sign", job: with(`"timeout":"+5s"`), want: `timeout: must be a duration like`},
	{name: "timeout less than a nanosecond", job: with(`"timeout":"0.5ns"`), want: `timeout: must be above zero`},
	{name: "timeout true", job: with(`"timeout":true`), want: `timeout: must be a duration as a string like "30s" or "10m", not true`},

	{name: "deadline a time", job: with(`"deadline":"2030-01-31T18:00:00Z"`)},
	{name: "deadline a time with zone", job: with(`"deadline":"2030-01-31T18:00:00.25+02:00"`)},
	{name: "deadline a day", job: with(`"deadline":"2030-01-31"`), want: `deadline: must be a duration like "24h" or an RFC 3339 time`},
	{name: "deadline no such day", job: with(`"deadline":"2030-02-31T18:00:00Z"`), want: `deadline: must be a duration like "24h" or an RFC 3339 time`},
	{name: "deadline without zone", job: with(`"deadline":"2030-01-31T18:00:00"`), want: `deadline: must be a duration`},
	{name: "deadline in year 1", job: with(`"deadline":"0001-01-01T00:00:00Z"`), want: `deadline: must be a duration`},
	{name: "deadline a number", job: with(`"deadline":3600`), want: `deadline: must be a duration with its unit`},
	{name: "deadline zero", job: with(`"deadline":"0h"`), want: `deadline: must be above zero`},

	{name: "defaults an array", job: with(`"defaults":[]`), want: "defaults: must be an object, not an array"},
	{name: "defaults with an odd model", job: with(`"defaults":{"model":7}`), want: "job: defaults.model: must be a non-empty string, not a number"},
	{name: "defaults with a key twice", job: with(`"defaults":{"n":1,"n":2}`), want: "job: defaults.n: stands twice", beyond: true},
	{name: "defaults that stream", job: with(`"defaults":{"stream":true}`)},
	{name: "metadata a string", job: with(`"metadata":"x"`), want: "metadata: must be an object, not a string"},
	{name: "metadata too large", job: with(`"metadata":{"x":"` + strings.Repeat("a", 64<<10) + `"}`), want: "metadata: is 65544 bytes long; at most 65536", beyond: true},
	{name: "include_request a number", job: with(`"include_request":1`), want: "include_request: must be true or false, not a number"},
	{name: "invalid other", job: with(`"invalid":"fail"`), want: `invalid: must be "skip" or left out`},
	{name: "invalid true", job: with(`"invalid":true`), want: `invalid: must be "skip" or left out`},
	{name: "max_cost", job: with(`"max_cost":5.25`)},
	{name: "max_cost of nothing", job: with(`"max_cost":0`), want: "max_cost: must be a number above 0"},
	{name: "max_cost a string", job: with(`"max_cost":"5"`), want: "max_cost: must be a number above 0"},
	{name: "tags", job: with(`"tags":["free","eu"]`)},
	{name: "tags with an empty one", job: with(`"tags":[""]`), want: "tags: must not be empty"},
	{name: "tags a string", job: with(`"tags":"free"`), want: "tags: must be an array of strings, not a string"},

	{name: "input", job: `{"input":{"object":"x y/z"}}`},
	{name: "input and requests", job: with(`"input":{"object":"x"}`), want: `job: input: cannot stand beside "requests"`},
	{name: "input a string", job: `{"input":"x"}`, want: `input: must be an object {"object": NAME}, not a string`},
	{name: "input without object", job: `{"input":{}}`, want: "input.object: missing"},
	{name: "input with an empty object", job: `{"input":{"object":""}}`, want: "input.object: must not be empty"},
	{name: "input with an endpoint", job: `{"input":{"object":"x","endpoint":"/v1/embeddings"}}`},
	{name: "input with another endpoint", job: `{"input":{"object":"x","endpoint":"/v2"}}`, want: "input.endpoint: "},
	{name: "input with an object twice", job: `{"input":{"object":"x","object":"x"}}`, want: "input.object: stands twice", beyond: true},
	{name: "input with more", job: `{"input":{"object":"x","bucket":"y"}}`, want: "input.bucket: is no field of an input"},
	{name: "requests an object", job: `{"requests":{}}`, want: "requests: must be an array of requests, not an object"},
	{name: "no requests", job: of(``), want: "requests: is empty; a job has at least one request"},
}

var requestSamples = []sample{
	{name: "unknown fields of a body", job: of(`{"model":"m","messages":[],"top_k":5,"x":{}}`)},
	{name: "a line", job: lineOf("/v1/chat/completions", okBody)},
	{name: "a line of custom_id and body", job: of(`{"custom_id":"a","body":` + okBody + `}`)},
	{name: "a line of a body", job: of(`{"body":` + okBody + `,"timeout":"30s"}`)},
	{name: "a number", job: of(`7`), want: "request 0: must be a JSON object, a body or a batch line, not a number"},
	{name: "the third is null", job: of(okBody + `,` + okBody + `,null`), want: "request 2: must be a JSON object, a body or a batch line, not null"},

	{name: "no model", job: of(`{"messages":[]}`), want: `request 0: model: missing; name one here or in the job's "defaults"`},
	{name: "empty model", job: of(`{"model":"","messages":[]}`), want: `request 0: model: must be a non-empty string, not ""`},
	{name: "model null", job: of(`{"model":null,"messages":[]}`), want: "request 0: model: must be a non-empty string, not null"},
	{name: "model a number in a line", job: of(`{"body":{"model":4,"messages":[]}}`), want: "request 0: body.model: must be a non-empty string, not a number"},
	{name: "no messages", job: of(okBody + `,{"model":"m"}`), want: "request 1: messages: missing; /v1/chat/completions needs it"},
	{name: "messages null", job: of(`{"model":"m","messages":null}`), want: "request 0: messages: is null; /v1/chat/completions needs it"},
	{name: "messages of any kind", job: of(`{"model":"m","messages":"hello"}`)},
	{name: "input instead of messages", job: of(`{"model":"m","input":"x"}`), want: `write a line {"url":"/v1/responses","body":{…}}`},
	{name: "key twice in a body", job: of(`{"model":"m","messages":[],"n":1,"n":2}`), want: "request 0: n: stands twice; keep one", beyond: true},
	{name: "key twice further down", job: of(`{"model":"m","messages":[],"x":{"n":1,"n":2}}`)},
	{name: "streamed", job: of(`{"model":"m","messages":[],"stream":true}`)},
	{name: "not streamed", job: of(`{"model":"m","messages":[],"stream":false}`)},

	{name: "responses", job: lineOf("/v1/responses", `{"model":"m","input":"x"}`)},
	{name: "responses without input", job: lineOf("/v1/responses", okBody), want: "request 0: body.input: missing; /v1/responses needs it"},
	{name: "completions", job: lineOf("/v1/completions", `{"model":"m","prompt":"x"}`)},
	{name: "completions without prompt", job: lineOf("/v1/completions", okBody), want: "request 0: body.prompt: missing; /v1/completions needs it"},
	{name: "completions with a null", job: lineOf("/v1/completions", `{"model":"m","prompt":null}`), want: "request 0: body.prompt: is null"},
	{name: "embeddings", job: lineOf("/v1/embeddings", `{"model":"m","input":["x"]}`)},
	{name: "embeddings without model", job: lineOf("/v1/embeddings", `{"input":["x"]}`), want: "request 0: body.model: missing"},
	{name: "moderations without model", job: lineOf("/v1/moderations", `{"input":"x"}`)},
	{name: "moderations with an odd model", job: lineOf("/v1/moderations", `{"input":"x","model":1}`), want: "request 0: body.model: must be a non-empty string"},
	{name: "moderations without input", job: lineOf("/v1/moderations", `{}`), want: "request 0: body.input: missing"},

	{name: "url of another kind", job: lineOf("/v1/images", okBody), want: `request 0: url: must be one of /v1/chat/completions, `},
	{name: "url without /v1, as Azure writes it", job: lineOf("/chat/completions", okBody)},
	{name: "url with host", job: lineOf("https://api.openai.com/v1/embeddings", okBody), want: `write "/v1/embeddings": the path alone`},
	{name: "url a number", job: of(`{"url":1,"body":` + okBody + `}`), want: "request 0: url: must be a string, not a number"},
	{name: "method GET", job: of(`{"method":"GET","body":` + okBody + `}`), want: `request 0: method: must be "POST", not "GET"`},
	{name: "method in small letters", job: of(`{"method":"post","body":` + okBody + `}`), want: `must be "POST"`},
	{name: "body a string", job: of(`{"custom_id":"a","body":"{}"}`), want: "request 0: body: must be an object, not a string"},
	{name: "unknown field of a line", job: of(`{"body":` + okBody + `,"temperature":1}`), want: "request 0: temperature: is no field of a batch line"},
	{name: "field of a line twice", job: of(`{"body":` + okBody + `,"url":"/v1/chat/completions","url":"/v1/chat/completions"}`), want: "request 0: url: stands twice", beyond: true},
	{name: "timeout of a line", job: of(`{"body":` + okBody + `,"timeout":5}`), want: `request 0: timeout: must be a duration with its unit, as a string`},
	{name: "custom_id a number", job: of(`{"custom_id":1,"body":` + okBody + `}`), want: "request 0: custom_id: must be a string, not a number"},
	{name: "custom_id empty", job: of(`{"custom_id":"","body":` + okBody + `}`), want: "request 0: custom_id: must not be empty; leave it out instead"},
	{name: "custom_id too long", job: of(`{"custom_id":"` + strings.Repeat("é", 1025) + `","body":` + okBody + `}`), want: "request 0: custom_id: must not be longer than 1024 characters"},
	{name: "custom_id long", job: of(`{"custom_id":"` + strings.Repeat("é", 1024) + `","body":` + okBody + `}`)},
	{name: "custom_id twice", job: of(`{"custom_id":"a","body":` + okBody + `},` + okBody + `,{"custom_id":"\u0061","body":` + okBody + `}`), want: `request 2: custom_id: "a" is request 0's already`, beyond: true},
	{name: "Anthropic's line", job: of(`{"custom_id":"a","params":` + okBody + `}`), want: `request 0: body: missing; "custom_id" with "params" is Anthropic's batch format`},
	{name: "a line without body", job: of(`{"custom_id":"a","model":"m"}`), want: `request 0: body: missing; a batch line is {"custom_id":…,"body":{…}}`},
	{name: "body in a body", job: of(`{"body":{"model":"m","messages":[],"body":{}}}`)},

	{name: "model from defaults", job: `{"defaults":{"model":"m"},"requests":[{"messages":[]},{"body":{"messages":[]}}]}`},
	{name: "all from defaults", job: `{"requests":[{},{"body":{}}],"defaults":` + okBody + `}`},
	{name: "input from defaults", job: `{"defaults":{"input":"x","model":"m"},"requests":[{"url":"/v1/embeddings","body":{}}]}`},
	{name: "prompt from defaults", job: `{"defaults":{"prompt":"x","model":"m"},"requests":[{"url":"/v1/completions","body":{}}]}`},
	{name: "messages null above defaults", job: `{"defaults":` + okBody + `,"requests":[{"messages":null}]}`, want: "request 0: messages: is null"},
	{name: "messages null in defaults", job: `{"defaults":{"messages":null},"requests":[{"model":"m"}]}`, want: "request 0: messages: is null"},
	{name: "empty model above defaults", job: `{"defaults":` + okBody + `,"requests":[{"model":""}]}`, want: "request 0: model: must be a non-empty string"},
	{name: "Anthropic's line above defaults", job: `{"defaults":` + okBody + `,"requests":[{"custom_id":"a","params":{}}]}`, want: "Anthropic's batch format"},

	{name: "skip", job: `{"invalid":"skip","requests":[7,` + okBody + `,{"model":1},{"body":[]}]}`},
	{name: "skip without requests", job: `{"invalid":"skip","requests":[]}`, want: "requests: is empty"},
	{name: "nested too deep", job: of(`{"model":"m","messages":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`), want: "request 0: nests 1001 deep; at most 1000 is allowed", beyond: true},
	{name: "nested just so deep", job: of(`{"model":"m","messages":` + strings.Repeat("[", 999) + strings.Repeat("]", 999) + `}`)},
}
