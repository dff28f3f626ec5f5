package gemini

import (
	"bytes"
	"path"
	"strings"

	"pelton/internal/rawjson"
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
func (r *request) contentPart(t turn, raw []byte) {
	r.part++
	if r.err != nil {
		return
	}
	var p part
	_, _ = rawjson.Object(raw, p.take)
	switch string(p.kind) {
	case `"text"`, `"refusal"`:
		if !rawjson.IsString(p.text) {
			r.bad(r.at(".text"), "must be text")
			return
		}
		r.appendText(t, p.text)
	default:
		if t == systemTurn {
			r.bad(r.at(".type"), "must be text: a system message holds nothing else")
			return
		}
		r.open(t)
		r.appendMedia(&p)
	}
}

// appendMedia writes a part that is no text.
func (r *request) appendMedia(p *part) {
	switch string(p.kind) {
	case `"image_url"`:
		r.appendURL(p.image, ".image_url")
	case `"video_url"`:
		r.appendURL(p.video, ".video_url")
	case `"input_audio"`:
		r.appendAudio(p.audio)
	case `"file"`:
		r.appendFile(p.file)
	default:
		r.bad(r.at(".type"), "%s is no kind of part that can be carried to Gemini", p.kind)
	}
}

// appendURL writes an image or a film: an object with a url, or the url alone.
func (r *request) appendURL(raw []byte, field string) {
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
		r.bad(r.at(field), "needs a url")
		return
	}
	level := resolution(detail)
	if !r.three {
		r.resolution, level = max(r.resolution, level), 0
	}
	r.appendData(url, format, field)
	if level > 0 {
		r.out = append(r.out[:len(r.out)-1], `,"media_resolution":{"level":"`...)
		r.out = append(append(r.out, resolutions[level]...), `"}}`...)
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
func (r *request) appendData(url, format []byte, field string) {
	text := inner(url)
	if bytes.IndexByte(text, '\\') >= 0 {
		text = rawjson.AppendText(nil, url)
	}
	head, data, isData := bytes.Cut(text, []byte(","))
	if kind, ok := bytes.CutPrefix(head, []byte("data:")); isData && ok {
		kind, encoded := bytes.CutSuffix(kind, []byte(";base64"))
		if !encoded {
			r.bad(r.at(field), "a data URL must be base64")
			return
		}
		kind, _, _ = bytes.Cut(kind, []byte(";"))
		if named := inner(format); len(named) > 0 {
			kind = named
		}
		r.appendInline(data, kind)
		return
	}
	r.appendAddress(string(text), inner(format), field)
}

func (r *request) appendInline(data, kind []byte) {
	if string(kind) == "image/jpg" {
		kind = []byte("image/jpeg")
	}
	r.out = rawjson.AppendString(append(r.out, `{"inline_data":{"data":`...), data)
	r.out = append(rawjson.AppendString(append(r.out, `,"mime_type":`...), kind), "}}"...)
}

// filesAPI is where files lie that were uploaded to Gemini.
const filesAPI = "https://generativelanguage.googleapis.com/"

// appendAddress writes a file that lies elsewhere. Vertex AI fetches it; Gemini's
// own API does so for files that were uploaded to it, for Google's storage and
// for YouTube.
func (r *request) appendAddress(address string, kind []byte, field string) {
	uploaded := strings.HasPrefix(address, filesAPI)
	tube := strings.HasPrefix(address, "https://www.youtube.com/") || strings.HasPrefix(address, "https://youtu.be/")
	switch {
	case r.vertex && strings.HasPrefix(address, "http"), uploaded, tube, strings.HasPrefix(address, "gs://"):
	case strings.HasPrefix(address, "http"):
		r.bad(r.at(field), "Gemini's API does not fetch addresses: give the content as a data URL, or upload it to the Files API and give its URI")
		return
	default:
		r.bad(r.at(field), "must be a data URL, a URI of the Files API, or a gs:// address")
		return
	}
	if len(kind) == 0 {
		bare, _, _ := strings.Cut(address, "?")
		kind = []byte(mediaTypes[strings.ToLower(path.Ext(bare))])
	}
	if len(kind) == 0 && !uploaded && !tube {
		r.bad(r.at(field), "the address does not tell the kind of file: give it as format, such as image/png")
		return
	}
	r.out = append(r.out, `{"file_data":{`...)
	if len(kind) > 0 {
		r.out = append(rawjson.AppendString(append(r.out, `"mime_type":`...), kind), ',')
	}
	r.out = append(rawjson.AppendString(append(r.out, `"file_uri":`...), address), "}}"...)
}

// mediaTypes are the kinds of files that Gemini reads, by the ends of their names.
var mediaTypes = map[string]string{
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".heic": "image/heic", ".heif": "image/heif", ".gif": "image/gif",
	".pdf": "application/pdf", ".txt": "text/plain", ".md": "text/markdown", ".html": "text/html", ".csv": "text/csv", ".json": "application/json", ".xml": "text/xml",
	".mp3": "audio/mp3", ".wav": "audio/wav", ".flac": "audio/flac", ".aac": "audio/aac", ".ogg": "audio/ogg", ".m4a": "audio/m4a", ".aiff": "audio/aiff", ".opus": "audio/opus",
	".mp4": "video/mp4", ".mov": "video/mov", ".mpeg": "video/mpeg", ".mpg": "video/mpg", ".webm": "video/webm", ".wmv": "video/wmv", ".flv": "video/x-flv", ".3gp": "video/3gpp", ".avi": "video/avi",
}

func (r *request) appendAudio(raw []byte) {
	var data, format []byte
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "data":
			data = value
		case "format":
			format = value
		}
	})
	if !rawjson.IsString(data) || len(inner(format)) == 0 {
		r.bad(r.at(".input_audio"), "needs data and a format")
		return
	}
	r.out = append(append(append(r.out, `{"inline_data":{"data":`...), data...), `,"mime_type":"`...)
	if bytes.IndexByte(format, '/') < 0 {
		r.out = append(r.out, "audio/"...)
	}
	r.out = append(append(r.out, inner(format)...), `"}}`...)
}

// appendFile writes a document: its bytes, or where it lies.
func (r *request) appendFile(raw []byte) {
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
		r.appendData(data, format, ".file.file_data")
	case rawjson.IsString(id):
		r.appendData(id, format, ".file.file_id")
	default:
		r.bad(r.at(".file"), "needs file_data or file_id")
	}
}
