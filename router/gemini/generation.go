package gemini

import (
	"bytes"

	"pelton/internal/rawjson"
)

// generation writes generationConfig. Values are as they are written.
type generation struct {
	output
	generationParams
	configured bool // it is open
	resolution int  // of images; 0: none is asked for
}

// generationParams are the parameters of the body that go into generationConfig.
type generationParams struct {
	format, stop, n, limit, oldLimit    []byte
	logprobs, topLogprobs               []byte
	effort, thinking, modalities, audio []byte
	plain                               [len(plainParams)][]byte
	own                                 []byte // the body's own generationConfig
}

// plainParams go into generationConfig as they are.
var plainParams = [...]struct{ name, to string }{
	{"temperature", "temperature"}, {"top_p", "top_p"}, {"top_k", "top_k"}, {"seed", "seed"},
	{"presence_penalty", "presence_penalty"}, {"frequency_penalty", "frequency_penalty"},
}

// config begins another member of generationConfig. It reports false where the
// body's own generationConfig has it.
func (g *generation) config(name string) bool {
	if g.own != nil {
		own := false
		_, _ = rawjson.Object(g.own, func(key, _ []byte) { own = own || sameName(key, name) })
		if own {
			return false
		}
	}
	if !g.configured {
		g.configured = true
		g.member("generationConfig")
		g.out = append(g.out, '{')
	}
	g.member(name)
	return true
}

func (g *generation) setConfig(name string, value []byte) {
	if value != nil && g.config(name) {
		g.out = append(g.out, value...)
	}
}

// sameName compares names of members with and without underscores.
func sameName(a []byte, b string) bool {
	return bytes.EqualFold(bytes.ReplaceAll(a, []byte("_"), nil), bytes.ReplaceAll([]byte(b), []byte("_"), nil))
}

// append writes generationConfig.
func (g *generation) append() {
	for i, value := range g.plain {
		switch name := plainParams[i].name; {
		case value == nil:
		case i < 3 && !g.samples:
			g.unsupported(name, "this model does not heed it")
		case i > 3 && g.three && !isZero(value):
			g.unsupported(name, "Gemini 3 and later have no penalties")
		case i > 3 && g.three:
		default:
			g.setConfig(plainParams[i].to, value)
		}
	}
	g.setConfig("candidate_count", g.n)
	if g.limit == nil {
		g.limit = g.oldLimit
	}
	g.setConfig("max_output_tokens", g.limit)
	if rawjson.IsString(g.stop) && g.config("stop_sequences") {
		g.out = append(append(append(g.out, '['), g.stop...), ']')
	} else if !rawjson.IsString(g.stop) {
		g.setConfig("stop_sequences", g.stop)
	}
	if string(g.logprobs) == "true" {
		g.setConfig("responseLogprobs", g.logprobs)
		g.setConfig("logprobs", g.topLogprobs)
	}
	g.appendFormat()
	g.appendThinking()
	g.appendModalities()
	if g.resolution > 0 && g.config("mediaResolution") {
		g.out = append(append(append(g.out, '"'), resolutions[g.resolution]...), '"')
	}
	if g.own != nil {
		if object, _ := rawjson.Object(g.own, g.ownConfig); !object {
			g.bad("generationConfig", "must be an object")
		}
	}
	if g.configured {
		g.out = append(g.out, '}')
	}
}

// ownConfig writes a member of the body's own generationConfig.
func (g *generation) ownConfig(key, value []byte) {
	own := g.own
	g.own = nil
	g.setConfig(string(key), value)
	g.own = own
}

func isZero(number []byte) bool { return len(bytes.Trim(number, "-0.")) == 0 }

// appendFormat writes what response_format asks for.
func (g *generation) appendFormat() {
	if g.format == nil {
		return
	}
	var kind, wrapped, given []byte
	_, _ = rawjson.Object(g.format, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "json_schema":
			wrapped = value
		}
	})
	switch rawjson.Text(kind) {
	case "text":
		return
	case "json_object":
	case "json_schema":
		_, _ = rawjson.Object(wrapped, func(key, value []byte) {
			if string(key) == "schema" {
				given = value
			}
		})
		if !rawjson.IsObject(given) {
			g.bad("response_format.json_schema.schema", "must be a JSON Schema")
			return
		}
	default:
		g.unsupported("response_format", "its type must be text, json_object or json_schema")
		return
	}
	if g.config("response_mime_type") {
		g.out = append(g.out, `"application/json"`...)
	}
	g.setConfig("response_json_schema", given)
}

// appendModalities writes what kinds of answer are asked for, and by which voice.
func (g *generation) appendModalities() {
	if g.modalities != nil && string(g.modalities) != `["text"]` && g.config("responseModalities") {
		g.out = append(g.out, '[')
		if array, _ := rawjson.Array(g.modalities, func(value []byte) {
			if g.out[len(g.out)-1] != '[' {
				g.out = append(g.out, ',')
			}
			g.out = append(g.out, bytes.ToUpper(value)...)
		}); !array {
			g.bad("modalities", "must be an array")
		}
		g.out = append(g.out, ']')
	}
	if g.audio == nil {
		return
	}
	_, _ = rawjson.Object(g.audio, func(key, value []byte) {
		switch string(key) {
		case "voice":
			if g.config("speechConfig") {
				g.out = append(append(append(g.out, `{"voiceConfig":{"prebuiltVoiceConfig":{"voiceName":`...), value...), "}}}"...)
			}
		case "format":
			if string(value) != `"pcm16"` {
				g.unsupported("audio.format", "Gemini gives pcm16 alone")
			}
		}
	})
}
