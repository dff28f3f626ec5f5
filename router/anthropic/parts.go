package anthropic

import (
	"bytes"
	"encoding/base64"
	"fmt"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// part is what counts of one part of a content, as it is written.
type part struct{ kind, text, image, file, refusal, cache []byte }

func (p *part) take(key, value []byte) {
	switch string(key) {
	case "type":
		p.kind = value
	case "text":
		p.text = value
	case "image_url":
		p.image = value
	case "file":
		p.file = value
	case "refusal":
		p.refusal = value
	case "cache_control":
		if !rawjson.IsNull(value) {
			p.cache = value
		}
	}
}

// appendPart appends a part of a message as a block. One of a type that OpenAI
// does not know is Anthropic's own, and stays as it is.
func (c *conversation) appendPart(out, raw []byte, position int, assistant bool) []byte {
	var p part
	_, _ = rawjson.Object(raw, p.take)
	at := func(field string) string { return c.at(fmt.Sprintf("content[%d].%s", position, field)) }
	switch string(p.kind) {
	case `"text"`:
		if !rawjson.IsString(p.text) {
			c.Fail(at("text"), at("text")+": must be a text")
		} else if !translate.Blank(p.text) {
			out = c.appendText(out, p.text, p.cache)
		}
		return out
	case `"refusal"`:
		if rawjson.IsString(p.refusal) && !translate.Blank(p.refusal) {
			out = c.appendText(out, p.refusal, p.cache)
		}
		return out
	case `"image_url"`:
		return c.appendImage(out, &p, at)
	case `"file"`:
		return c.appendFile(out, &p, at)
	case `"input_audio"`:
		c.Unsupported(at("type"), "it does not hear")
		return out
	case `"thinking"`, `"redacted_thinking"`:
		if assistant {
			return appendThought(out, raw)
		}
	case "":
		c.Fail(at("type"), at("type")+": missing")
		return out
	}
	c.to = 0
	return append(translate.Comma(out), raw...)
}

// appendImage appends a picture, by its address or as it is.
func (c *conversation) appendImage(out []byte, p *part, at func(string) string) []byte {
	url := p.image
	if rawjson.IsObject(p.image) {
		_, _ = rawjson.Object(p.image, func(key, value []byte) {
			if string(key) == "url" {
				url = value
			}
		})
	}
	text := translate.Plain(url)
	switch {
	case len(text) == 0:
		c.Fail(at("image_url.url"), at("image_url.url")+": missing")
		return out
	case bytes.HasPrefix(text, []byte("data:")):
		return c.appendData(out, text, p, at("image_url.url"))
	}
	out = append(translate.Comma(out), `{"type":"image","source":{"type":"url","url":`...)
	return p.end(append(append(out, url...), '}'))
}

// appendFile appends a document: one that is in the request, or one that was
// uploaded to Anthropic.
func (c *conversation) appendFile(out []byte, p *part, at func(string) string) []byte {
	var data, id []byte
	_, _ = rawjson.Object(p.file, func(key, value []byte) {
		switch string(key) {
		case "file_data":
			data = value
		case "file_id":
			id = value
		}
	})
	text := translate.Plain(data)
	switch {
	case bytes.HasPrefix(text, []byte("data:")):
		return c.appendData(out, text, p, at("file.file_data"))
	case bytes.HasPrefix(text, []byte("https://")), bytes.HasPrefix(text, []byte("http://")):
		out = append(translate.Comma(out), `{"type":"document","source":{"type":"url","url":`...)
		return p.end(append(append(out, data...), '}'))
	case len(text) > 0:
		c.Fail(at("file.file_data"), at("file.file_data")+": must be an address, or data:TYPE;base64,…")
	case rawjson.IsString(id):
		out = append(translate.Comma(out), `{"type":"document","source":{"type":"file","file_id":`...)
		return p.end(append(append(out, id...), '}'))
	default:
		c.Fail(at("file"), at("file")+": has no file_data and no file_id")
	}
	return out
}

// appendData appends what is in a data: address: a picture, or a document.
func (c *conversation) appendData(out, url []byte, p *part, at string) []byte {
	kind, data, split := bytes.Cut(url[len("data:"):], []byte(","))
	kind, encoded := bytes.CutSuffix(kind, []byte(";base64"))
	kind, _, _ = bytes.Cut(kind, []byte(";"))
	if !split || !encoded {
		c.Fail(at, at+": must be data:TYPE;base64,…")
		return out
	}
	switch {
	case bytes.HasPrefix(kind, []byte("image/")):
		out = append(translate.Comma(out), `{"type":"image","source":{"type":"base64","media_type":`...)
	case bytes.HasPrefix(kind, []byte("text/")):
		text, err := base64.StdEncoding.DecodeString(string(data))
		if err != nil {
			c.Fail(at, at+": is no base64")
			return out
		}
		out = append(translate.Comma(out), `{"type":"document","source":{"type":"text","media_type":"text/plain","data":`...)
		return p.end(append(rawjson.AppendString(out, text), '}'))
	case string(kind) == "application/pdf":
		out = append(translate.Comma(out), `{"type":"document","source":{"type":"base64","media_type":`...)
	default:
		c.Fail(at, fmt.Sprintf("%s: Anthropic takes pictures, PDF and texts, and no %q", at, kind))
		return out
	}
	out = append(rawjson.AppendString(out, kind), `,"data":`...)
	return p.end(append(rawjson.AppendString(out, data), '}'))
}

// end appends what stands behind a block's source, and its end.
func (p *part) end(out []byte) []byte {
	if p.cache != nil {
		out = append(append(out, `,"cache_control":`...), p.cache...)
	}
	return append(out, '}')
}
