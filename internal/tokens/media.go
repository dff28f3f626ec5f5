package tokens

import (
	"bytes"
	"strings"
)

// What is no text counts by its kind. A picture costs about the same whatever its size;
// sound and films cost by their length, of which the size is a bound, and files by their
// pages. The numbers err on the large side: 32 tokens for a second of sound at 4 kB of
// compressed sound, or 8 kB of uncompressed; 50 kB for a page.
const (
	leastMedia    = 200 // bytes from which on a text may be no text
	pictureTokens = 1000
	soundBytes    = 125 // for a token
	waveBytes     = 250
	filmBytes     = 100
	fileBytes     = 20
	leastTokens   = 50
	mostTokens    = 200_000 // of one part: no model reads more of one
	textBytes     = 4
)

// media counts the tokens of a string that is base64 of a picture, sound, a film or a
// file, by itself or as a data URL; is reports whether it is one. before is the string
// in front of it: its key, where it has one.
func media(before, text []byte) (n int, is bool) {
	if len(text) < leastMedia {
		return 0, false
	}
	if len(text) > 5 && bytes.EqualFold(text[:5], []byte("data:")) {
		head, data, found := bytes.Cut(text[5:min(len(text), 300)], []byte(","))
		if !found {
			return pictureTokens, true
		}
		size := (len(text) - 5 - len(head) - 1) * 3 / 4
		if kind := kindOf(strings.ReplaceAll(string(bytes.ToLower(head)), `\`, "")); kind != nil {
			return kind(size), true
		}
		return bySize(before, data, size), true
	}
	if !isBase64(text) {
		return 0, false
	}
	if kind := byMagic(text); kind != nil {
		return kind(len(text) * 3 / 4), true
	}
	switch string(bytes.ToLower(before)) {
	case "data", "file_data", "b64_json", "bytes", "image_base64", "audio", "base64", "content_bytes":
		return bySize(before, text, len(text)*3/4), true
	}
	return 0, false
}

type count func(size int) int

func picture(int) int    { return pictureTokens }
func sound(size int) int { return bounded(size / soundBytes) }
func wave(size int) int  { return bounded(size / waveBytes) }
func film(size int) int  { return bounded(size / filmBytes) }
func file(size int) int  { return bounded(size / fileBytes) }
func text(size int) int  { return bounded(size / textBytes) }

func bounded(n int) int { return min(max(n, leastTokens), mostTokens) }

// kindOf is what the media type of a data URL says; nil: nothing that is known.
func kindOf(mediaType string) count {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	major, minor, _ := strings.Cut(mediaType, "/")
	switch {
	case major == "image":
		return picture
	case major == "audio" && strings.Contains(minor, "wav"):
		return wave
	case major == "audio":
		return sound
	case major == "video":
		return film
	case major == "text", minor == "json", minor == "xml":
		return text
	case minor == "octet-stream", major == "":
		return nil
	}
	return file
}

// bySize is the count of what does not say what it is.
func bySize(before, data []byte, size int) int {
	if kind := byMagic(data); kind != nil {
		return kind(size)
	}
	if bytes.EqualFold(before, []byte("file_data")) {
		return file(size)
	}
	return sound(size)
}

// byMagic tells kinds apart by how they begin, in base64; nil: it is none that is known.
func byMagic(data []byte) count {
	if data = data[:min(len(data), 32)]; bytes.IndexByte(data, '\\') >= 0 {
		data = bytes.ReplaceAll(data, []byte(`\`), nil)
	}
	for _, m := range magics {
		if bytes.HasPrefix(data, []byte(m.begins)) {
			return m.kind
		}
	}
	if len(data) > 11 && bytes.HasPrefix(data, []byte("AAAA")) && bytes.Contains(data[:12], []byte("Z0eX")) { // ftyp
		return film
	}
	return nil
}

var magics = []struct {
	begins string
	kind   count
}{
	{"iVBORw0KGgo", picture}, {"/9j/", picture}, {"R0lGOD", picture}, {"Qk0", picture}, {"SUkqA", picture}, {"TU0AK", picture},
	{"UklGR", wave}, {"SUQz", sound}, {"//uQ", sound}, {"//uS", sound}, {"//sw", sound}, {"//vQ", sound}, {"//NI", sound}, {"T2dnUw", sound}, {"ZkxhQ", sound},
	{"JVBER", file}, {"UEsDB", file}, {"0M8R4", file}, {"GkXfo", film},
}

// sampled is how much of a text is looked at to tell base64 from words.
const sampled = 512

// isBase64 reports whether a text is base64 as far as its beginning shows: one word of
// its letters, as no language has.
func isBase64(text []byte) bool {
	upper, lower, other := 0, 0, 0
	for _, c := range text[:min(len(text), sampled)] {
		switch {
		case c >= 'A' && c <= 'Z':
			upper++
		case c >= 'a' && c <= 'z':
			lower++
		case c >= '0' && c <= '9', c == '+', c == '/', c == '-', c == '_', c == '=':
			other++
		case c == '\\': // of "\/", "\r" or "\n" as some write it
		default:
			return false
		}
	}
	return upper > 0
}
