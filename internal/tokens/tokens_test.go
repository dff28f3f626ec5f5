package tokens

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestEstimate(t *testing.T) {
	words := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 100) // ten tokens each
	for _, tt := range []struct {
		name, body string
		least, top int
	}{
		{"a chat", `{"model":"m","messages":[{"role":"user","content":"Hello, how are you today?"}]}`, 8, 20},
		{"with an answer allowed for", `{"model":"m","max_tokens":500,"messages":[{"role":"user","content":"Hello"}]}`, 502, 515},
		{"by its newer name", `{"model":"m","max_completion_tokens":500,"messages":[]}`, 500, 510},
		{"a long one", `{"model":"m","messages":[{"role":"user","content":"` + words + `"}]}`, 950, 1100},
		{"a very long one", `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat(words, 100) + `"}]}`, 90_000, 115_000},
		{"parts, and a picture", `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"What is this?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,` + strings.Repeat("A", 100_000) + `"}}]}]}`, 1000, 1100},
		{"embeddings", `{"model":"m","input":["Hello there","General"]}`, 3, 12},
		{"a prompt", `{"model":"m","prompt":"Once upon a time"}`, 4, 8},
		{"nothing", `{"model":"m"}`, 1, 1},
		{"no object", `[1]`, 1, 1},
	} {
		r := &Size{Body: []byte(tt.body)}
		if got := r.Estimate(); got < tt.least || got > tt.top {
			t.Errorf("%s: %d, want %d to %d", tt.name, got, tt.least, tt.top)
		}
	}
}

// A string counts by what it says, however it is written: as Python's json.dumps
// writes what is not ASCII, the same tokens come out.
func TestEscapesAreText(t *testing.T) {
	for name, text := range map[string]string{
		"ru":    strings.Repeat("Съешь же ещё этих мягких французских булок, да выпей чаю. ", 75),
		"zh":    strings.Repeat("我能吞下玻璃而不伤身体。今天天气很好，我们去公园散步吧。", 60),
		"hi":    strings.Repeat("मैं काँच खा सकता हूँ और मुझे उससे कोई चोट नहीं पहुंचती। ", 60),
		"emoji": strings.Repeat("🙂🚀 ok ", 300),
		"code":  strings.Repeat("if err != nil {\n\treturn fmt.Errorf(\"read %q: %w\", path, err)\n}\n", 100),
		"short": "日本語\n\"\\/é",
	} {
		plain, _ := json.Marshal(text)
		var written strings.Builder
		for _, r := range text {
			switch {
			case r > 0xffff:
				r -= 0x10000
				fmt.Fprintf(&written, `\u%04x\u%04X`, 0xd800+r>>10, 0xdc00+r&0x3ff)
			case r > 126 || r < ' ' || r == '"' || r == '\\':
				fmt.Fprintf(&written, `\u%04x`, r)
			default:
				written.WriteRune(r)
			}
		}
		of := func(content string) int {
			z := &Size{Body: []byte(`{"model":"m","messages":[{"role":"user","content":` + content + `}]}`)}
			return z.Input()
		}
		want, got := of(string(plain)), of(`"`+written.String()+`"`)
		if got != want {
			t.Errorf("%s: %d tokens escaped, %d plain", name, got, want)
		}
		if all, err := encoding().Count(text); err != nil || float64(want) > 1.15*float64(all)+10 || float64(want) < 0.9*float64(all) {
			t.Errorf("%s: %d tokens, the whole of it has %d (%v)", name, want, all, err)
		}
	}
}

// What is no text counts by its kind, wherever it stands and however it is written.
func TestMedia(t *testing.T) {
	random := func(magic string, size int) string {
		raw := make([]byte, size)
		x := uint32(1)
		for i := range raw {
			x = x*1664525 + 1013904223
			raw[i] = byte(x >> 24)
		}
		copy(raw, magic)
		return base64.StdEncoding.EncodeToString(raw)
	}
	const mib = 1 << 20
	wav, mp3, pdf, png, pcm := random("RIFF....WAVE", mib), random("ID3", mib), random("%PDF-1.7", mib), random("\x89PNG\r\n\x1a\n", mib), random("", mib)
	for name, tt := range map[string]struct {
		part string
		most int
	}{
		"audio":                        {`{"type":"input_audio","input_audio":{"data":"` + wav + `","format":"wav"}}`, 10_000},
		"compressed audio":             {`{"type":"input_audio","input_audio":{"format":"mp3","data":"` + mp3 + `"}}`, 10_000},
		"audio that does not say what": {`{"type":"input_audio","input_audio":{"data":"` + pcm + `","format":"pcm16"}}`, 10_000},
		"audio as a data URL":          {`{"type":"input_audio","input_audio":{"data":"data:audio/wav;base64,` + wav + `"}}`, 10_000},
		"in capitals":                  {`{"type":"input_audio","input_audio":{"data":"DATA:AUDIO/WAV;BASE64,` + wav + `"}}`, 10_000},
		"a file":                       {`{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,` + pdf + `"}}`, 60_000},
		"a file by itself":             {`{"type":"file","file":{"file_data":"` + pdf + `","filename":"a.pdf"}}`, 60_000},
		"a file of no known kind":      {`{"type":"file","file":{"file_data":"data:application/octet-stream;base64,` + pcm + `"}}`, 60_000},
		"a picture":                    {`{"type":"image_url","image_url":{"url":"data:image/png;base64,` + png + `"}}`, 1100},
		"a picture in capitals":        {`{"type":"image_url","image_url":{"url":"Data:Image/PNG;Base64,` + png + `"}}`, 1100},
		"a picture of Anthropic's":     {`{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + png + `"}}`, 1100},
		"a picture as Go escapes it":   {`{"type":"image_url","image_url":{"url":"data:image\/png;base64,` + strings.ReplaceAll(png, "/", `\/`) + `"}}`, 1100},
		"a film":                       {`{"type":"video_url","video_url":{"url":"data:video/mp4;base64,` + pcm + `"}}`, 11_000},
	} {
		z := &Size{Body: []byte(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"What is this?"},` + tt.part + `]}]}`)}
		if size, n := Media(z.Body); n > tt.most || n < 20 || len(z.Body)-size > 300 {
			t.Errorf("%s: %d tokens in %d of %d bytes, want at most %d", name, n, size, len(z.Body), tt.most)
		}
		if got := z.Input(); got > tt.most || got < 20 {
			t.Errorf("%s: %d tokens of a MiB, want at most %d", name, got, tt.most)
		}
	}
	// What is text stays text.
	for name, text := range map[string]string{
		"prose":       strings.Repeat("The quick brown fox jumps over the lazy dog. ", 200),
		"a long word": strings.Repeat("ha", 4000),
		"hex":         strings.Repeat("0123456789abcdef", 500),
		"data: words": "data: " + strings.Repeat("one two three four. ", 3),
	} {
		z := &Size{Body: []byte(`{"model":"m","messages":[{"role":"user","content":"` + text + `"}]}`)}
		if all, _ := encoding().Count(text); z.Input() < all*8/10 {
			t.Errorf("%s: %d tokens, the text has %d", name, z.Input(), all)
		}
	}
}

func BenchmarkEstimate(b *testing.B) {
	for _, length := range []int{100, 10_000, 100_000, 1_000_000} {
		body := []byte(`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("some words 123, ", length/16) + `"}]}`)
		b.Run(fmt.Sprint(length), func(b *testing.B) {
			for b.Loop() {
				(&Size{Body: body}).Estimate()
			}
		})
	}
}
