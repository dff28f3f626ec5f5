package gemini

import (
	"bytes"
	"path"
	"strings"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// part is one part of a message's content, as written.
type part struct {
	kind, text, image, audio, file, video []byte
}

func (p *part) take(key, value []byte) {
	switch string(key) {
	case "type":
		p.kind = value
	case "text", "refusal":
		p.text = value
	case "image_url":
		p.image = value
	case "input_audio":
		p.audio = value
	case "file":
		p.file = value
	case "video_url":
		p.video = value
	}
}

func partOf(raw []byte) (p part) {
	_, _ = rawjson.Object(raw, p.take)
	return p
}

// contentPart writes one part of a turn.
func (c *conversation) contentPart(t turn, raw []byte) {
	c.part++
	if c.err != nil {
		return
	}
	var p part
	_, _ = rawjson.Object(raw, p.take)
	switch string(p.kind) {
	case `"text"`, `"refusal"`:
		if !rawjson.IsString(p.text) {
			c.bad(c.at(".text"), "must be text")
			return
		}
		c.appendText(t, p.text)
	default:
		if t == systemTurn {
			c.bad(c.at(".type"), "must be text: a system message holds nothing else")
			return
		}
		c.open(t)
		c.appendMedia(&p)
	}
}

// appendMedia writes a part that is no text.
func (c *conversation) appendMedia(p *part) {
	switch string(p.kind) {
	case `"image_url"`:
		c.appendURL(p.image, ".image_url")
	case `"video_url"`:
		c.appendURL(p.video, ".video_url")
	case `"input_audio"`:
		c.appendAudio(p.audio)
	case `"file"`:
		c.appendFile(p.file)
	default:
		c.bad(c.at(".type"), "%s is no kind of part that can be carried to Gemini", p.kind)
	}
}

// appendURL writes an image or a film: an object with a url, or the url alone.
func (c *conversation) appendURL(raw []byte, field string) {
	url, format, detail := raw, []byte(nil), []byte(nil)
	if rawjson.IsObject(raw) {
		url = nil
		_, _ = rawjson.Object(raw, func(key, value []byte) {
			switch string(key) {
			case "url":
				url = value
			case "format", "mime_type":
				format = value
			case "detail":
				detail = value
			}
		})
	}
	if !rawjson.IsString(url) {
		c.bad(c.at(field), "needs a url")
		return
	}
	level := resolution(detail)
	if !c.three {
		c.resolution, level = max(c.resolution, level), 0
	}
	c.appendData(url, format, field)
	if level > 0 {
		c.out = append(c.out[:len(c.out)-1], `,"media_resolution":{"level":"`...)
		c.out = append(append(c.out, resolutions[level]...), `"}}`...)
	}
}

// resolutions are how closely Gemini looks at an image, the least first.
var resolutions = [...]string{"", "MEDIA_RESOLUTION_LOW", "MEDIA_RESOLUTION_MEDIUM", "MEDIA_RESOLUTION_HIGH", "MEDIA_RESOLUTION_ULTRA_HIGH"}

func resolution(detail []byte) int {
	switch string(detail) {
	case `"low"`:
		return 1
	case `"medium"`:
		return 2
	case `"high"`:
		return 3
	case `"ultra_high"`:
		return 4
	}
	return 0
}

// appendData writes what a URL stands for: bytes where it holds them, else the
// address, where the server goes and gets it.
func (c *conversation) appendData(url, format []byte, field string) {
	text := translate.Inner(url)
	if bytes.IndexByte(text, '\\') >= 0 {
		text = rawjson.AppendText(nil, url)
	}
	head, data, isData := bytes.Cut(text, []byte(","))
	if kind, ok := bytes.CutPrefix(head, []byte("data:")); isData && ok {
		kind, encoded := bytes.CutSuffix(kind, []byte(";base64"))
		if !encoded {
			c.bad(c.at(field), "a data URL must be base64")
			return
		}
		kind, _, _ = bytes.Cut(kind, []byte(";"))
		if named := translate.Inner(format); len(named) > 0 {
			kind = named
		}
		c.appendInline(data, kind)
		return
	}
	c.appendAddress(string(text), translate.Inner(format), field)
}

func (c *conversation) appendInline(data, kind []byte) {
	if string(kind) == "image/jpg" {
		kind = []byte("image/jpeg")
	}
	c.out = rawjson.AppendString(append(c.out, `{"inline_data":{"data":`...), data)
	c.out = append(rawjson.AppendString(append(c.out, `,"mime_type":`...), kind), "}}"...)
}

// filesAPI is where files lie that were uploaded to Gemini.
const filesAPI = "https://generativelanguage.googleapis.com/"

// appendAddress writes a file that lies elsewhere. Vertex AI fetches it; Gemini's
// own API does so for files that were uploaded to it, for Google's storage and
// for YouTube.
func (c *conversation) appendAddress(address string, kind []byte, field string) {
	uploaded := strings.HasPrefix(address, filesAPI)
	tube := strings.HasPrefix(address, "https://www.youtube.com/") || strings.HasPrefix(address, "https://youtu.be/")
	switch {
	case c.vertex && strings.HasPrefix(address, "http"), uploaded, tube, strings.HasPrefix(address, "gs://"):
	case strings.HasPrefix(address, "http"):
		c.bad(c.at(field), "Gemini's API does not fetch addresses: give the content as a data URL, or upload it to the Files API and give its URI")
		return
	default:
		c.bad(c.at(field), "must be a data URL, a URI of the Files API, or a gs:// address")
		return
	}
	if len(kind) == 0 {
		bare, _, _ := strings.Cut(address, "?")
		kind = []byte(mediaTypes[strings.ToLower(path.Ext(bare))])
	}
	if len(kind) == 0 && !uploaded && !tube {
		c.bad(c.at(field), "the address does not tell the kind of file: give it as format, such as image/png")
		return
	}
	c.out = append(c.out, `{"file_data":{`...)
	if len(kind) > 0 {
		c.out = append(rawjson.AppendString(append(c.out, `"mime_type":`...), kind), ',')
	}
	c.out = append(rawjson.AppendString(append(c.out, `"file_uri":`...), address), "}}"...)
}

// mediaTypes are the kinds of files that Gemini reads, by the ends of their names.
var mediaTypes = map[string]string{
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".heic": "image/heic", ".heif": "image/heif", ".gif": "image/gif",
	".pdf": "application/pdf", ".txt": "text/plain", ".md": "text/markdown", ".html": "text/html", ".csv": "text/csv", ".json": "application/json", ".xml": "text/xml",
	".mp3": "audio/mp3", ".wav": "audio/wav", ".flac": "audio/flac", ".aac": "audio/aac", ".ogg": "audio/ogg", ".m4a": "audio/m4a", ".aiff": "audio/aiff", ".opus": "audio/opus",
	".mp4": "video/mp4", ".mov": "video/mov", ".mpeg": "video/mpeg", ".mpg": "video/mpg", ".webm": "video/webm", ".wmv": "video/wmv", ".flv": "video/x-flv", ".3gp": "video/3gpp", ".avi": "video/avi",
}

func (c *conversation) appendAudio(raw []byte) {
	var data, format []byte
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "data":
			data = value
		case "format":
			format = value
		}
	})
	if !rawjson.IsString(data) || len(translate.Inner(format)) == 0 {
		c.bad(c.at(".input_audio"), "needs data and a format")
		return
	}
	c.out = append(append(append(c.out, `{"inline_data":{"data":`...), data...), `,"mime_type":"`...)
	if bytes.IndexByte(format, '/') < 0 {
		c.out = append(c.out, "audio/"...)
	}
	c.out = append(append(c.out, translate.Inner(format)...), `"}}`...)
}

// appendFile writes a document: its bytes, or where it lies.
func (c *conversation) appendFile(raw []byte) {
	var data, id, format []byte
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "file_data":
			data = value
		case "file_id":
			id = value
		case "format", "mime_type":
			format = value
		}
	})
	switch {
	case rawjson.IsString(data):
		c.appendData(data, format, ".file.file_data")
	case rawjson.IsString(id):
		c.appendData(id, format, ".file.file_id")
	default:
		c.bad(c.at(".file"), "needs file_data or file_id")
	}
}
