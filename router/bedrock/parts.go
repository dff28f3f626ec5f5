package bedrock

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"path"
	"slices"
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// part is what counts of one part of a content, as it is written.
type part struct{ kind, text, image, video, file, audio, refusal, cache []byte }

func (p *part) take(key, value []byte) {
	if rawjson.IsNull(value) {
		return
	}
	switch string(key) {
	case "type":
		p.kind = value
	case "text":
		p.text = value
	case "image_url":
		p.image = value
	case "video_url":
		p.video = value
	case "file":
		p.file = value
	case "input_audio":
		p.audio = value
	case "refusal":
		p.refusal = value
	case "cache_control":
		p.cache = value
	}
}

// appendPart appends a part of a message as a block. One without a type is of
// Converse's own form, and stays as it is.
func (c *conversation) appendPart(out, raw []byte, position int) []byte {
	var p part
	_, _ = rawjson.Object(raw, p.take)
	at := func(field string) string { return c.at(fmt.Sprintf("content[%d].%s", position, field)) }
	start, text := len(out), false
	switch string(p.kind) {
	case `"text"`, `"guarded_text"`, `"refusal"`:
		said := p.text
		if p.refusal != nil {
			said = p.refusal
		}
		switch text = true; {
		case !rawjson.IsString(said):
			c.Fail(at("text"), at("text")+": must be a text")
		case len(said) == 2 || c.turn == 'a' && translate.Blank(said):
		case string(p.kind) == `"guarded_text"`:
			out = appendGuarded(out, said)
		default:
			out = c.appendSaid(out, said)
		}
	case `"image_url"`:
		out = c.appendMedia(out, urlOf(p.image), "", at("image_url.url"))
	case `"video_url"`:
		out = c.appendMedia(out, urlOf(p.video), "", at("video_url.url"))
	case `"file"`:
		out = c.appendFile(out, &p, at)
	case `"input_audio"`:
		out = c.appendAudio(out, &p, at)
	case `"thinking"`, `"redacted_thinking"`:
		out = appendThought(out, raw)
	case "":
		out = append(translate.Comma(out), raw...)
	default:
		c.Fail(at("type"), at("type")+": Bedrock knows no "+string(p.kind))
	}
	if !text {
		c.to = 0
	}
	if len(out) > start {
		out = appendCache(out, p.cache)
	}
	return out
}

// urlOf is the address in image_url or video_url, as text.
func urlOf(raw []byte) []byte {
	url := raw
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		if string(key) == "url" {
			url = value
		}
	})
	return translate.Plain(url)
}

// What Converse takes, by the last part of a media type and of a file's name.
var (
	pictures = map[string]string{"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "gif": "gif", "webp": "webp"}
	videos   = map[string]string{
		"mp4": "mp4", "mov": "mov", "quicktime": "mov", "mkv": "mkv", "x-matroska": "mkv", "webm": "webm", "flv": "flv", "x-flv": "flv",
		"mpeg": "mpeg", "mpg": "mpg", "wmv": "wmv", "x-ms-wmv": "wmv", "3gp": "three_gp", "3gpp": "three_gp",
	}
	sounds = map[string]string{
		"wav": "wav", "x-wav": "wav", "mp3": "mp3", "mpeg": "mp3", "flac": "flac", "aac": "aac", "ogg": "ogg", "opus": "opus",
		"m4a": "m4a", "mp4": "mp4", "webm": "webm", "pcm": "pcm", "pcm16": "pcm",
	}
	documents = map[string]string{
		"pdf": "pdf", "csv": "csv", "html": "html", "txt": "txt", "plain": "txt", "md": "md", "markdown": "md", "doc": "doc", "docx": "docx",
		"xls": "xls", "xlsx": "xlsx", "msword": "doc", "vnd.ms-excel": "xls",
		"vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
		"vnd.openxmlformats-officedocument.spreadsheetml.sheet":       "xlsx",
	}
)

// block is the kind of block for a media type, or for a file's name where that is
// all there is, and its format there.
func blockFor(kind, file string) (name, format string) {
	main, sub := path.Split(kind)
	if kind == "" {
		sub = path.Ext(file)
		sub = string(bytes.ToLower([]byte(sub[min(1, len(sub)):])))
	}
	for _, known := range [...]struct {
		main, name string
		formats    map[string]string
	}{{"image/", "image", pictures}, {"video/", "video", videos}, {"audio/", "audio", sounds}, {"", "document", documents}} {
		if format, ok := known.formats[sub]; ok && (main == "" || main == known.main || known.main == "") {
			return known.name, format
		}
	}
	return "", ""
}

// appendMedia appends what is in a data: address, or lies in S3. title is a
// document's name.
func (c *conversation) appendMedia(out, url []byte, title, at string) []byte {
	switch {
	case len(url) == 0:
		c.Fail(at, at+": missing")
		return out
	case bytes.HasPrefix(url, []byte("s3://")):
		name, format := blockFor("", string(url))
		if name == "" {
			c.Fail(at, at+": the end of the name must say what it is, such as .png")
			return out
		}
		out = c.beginBlock(out, name, format, title)
		return append(rawjson.AppendString(append(out, `{"s3Location":{"uri":`...), url), `}}}}`...)
	case !bytes.HasPrefix(url, []byte("data:")):
		c.Fail(at, at+": Bedrock fetches nothing from the web: send data:TYPE;base64,…, or an s3:// address where the model takes one")
		return out
	}
	kind, data, split := bytes.Cut(url[len("data:"):], []byte(","))
	kind, encoded := bytes.CutSuffix(kind, []byte(";base64"))
	kind, _, _ = bytes.Cut(kind, []byte(";"))
	if !split || !encoded {
		c.Fail(at, at+": must be data:TYPE;base64,…")
		return out
	}
	name, format := blockFor(string(kind), "")
	if name == "" {
		c.Fail(at, fmt.Sprintf("%s: Bedrock does not take %q", at, kind))
		return out
	}
	return c.appendBytes(out, name, format, title, data, at)
}

func (c *conversation) appendBytes(out []byte, name, format, title string, data []byte, at string) []byte {
	if _, err := base64.StdEncoding.Decode(make([]byte, base64.StdEncoding.DecodedLen(len(data))), data); err != nil {
		c.Fail(at, at+": is no base64")
		return out
	}
	out = c.beginBlock(out, name, format, title)
	return append(append(append(out, `{"bytes":"`...), data...), `"}}}`...)
}

// beginBlock appends a block up to its source.
func (c *conversation) beginBlock(out []byte, name, format, title string) []byte {
	out = append(append(append(translate.Comma(out), `{"`...), name...), `":{"format":"`...)
	out = append(append(out, format...), '"')
	if name == "document" {
		out = rawjson.AppendString(append(out, `,"name":`...), c.titled(title))
	}
	return append(out, `,"source":`...)
}

// titled is a document's name as Converse takes it: letters, digits, single
// blanks, hyphens and brackets, and no name twice.
func (c *conversation) titled(title string) string {
	var name []byte
	for _, char := range []byte(title) {
		if !allowed(char, "-()[]") {
			char = ' '
		}
		if char != ' ' || len(name) > 0 && name[len(name)-1] != ' ' {
			name = append(name, char)
		}
	}
	text := string(bytes.TrimSpace(name[:min(len(name), 180)]))
	if text == "" {
		text = "document"
	}
	once := text
	for n := 2; slices.Contains(c.documents, once); n++ {
		once = text + " " + strconv.Itoa(n)
	}
	c.documents = append(c.documents, once)
	return once
}

// appendFile appends a document, or any other file, that is in the request.
func (c *conversation) appendFile(out []byte, p *part, at func(string) string) []byte {
	var data, name, id []byte
	_, _ = rawjson.Object(p.file, func(key, value []byte) {
		switch string(key) {
		case "file_data":
			data = value
		case "filename":
			name = value
		case "file_id":
			id = value
		}
	})
	title, url := rawjson.Text(name), translate.Plain(data)
	if len(url) == 0 {
		if url = translate.Plain(id); !bytes.HasPrefix(url, []byte("data:")) && !bytes.HasPrefix(url, []byte("s3://")) {
			c.Fail(at("file.file_data"), at("file.file_data")+": missing: Bedrock keeps no files")
			return out
		}
	}
	return c.appendMedia(out, url, title, at("file.file_data"))
}

// appendAudio appends sound.
func (c *conversation) appendAudio(out []byte, p *part, at func(string) string) []byte {
	var data, kind []byte
	_, _ = rawjson.Object(p.audio, func(key, value []byte) {
		switch string(key) {
		case "data":
			data = value
		case "format":
			kind = value
		}
	})
	format, ok := sounds[rawjson.Text(kind)]
	switch {
	case !ok:
		c.Fail(at("input_audio.format"), at("input_audio.format")+": Bedrock does not take "+string(kind))
		return out
	case len(translate.Inner(data)) == 0:
		c.Fail(at("input_audio.data"), at("input_audio.data")+": missing")
		return out
	}
	return c.appendBytes(out, "audio", format, "", translate.Plain(data), at("input_audio.data"))
}
