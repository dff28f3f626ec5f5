package protocol

import (
	"html"
	"strings"

	"pelton/router/internal/lazyregexp"
)

// MaxMessage bounds an error's message, in bytes.
const MaxMessage = 2 << 10

// OneLine cuts text to at most limit bytes of valid UTF-8 on one line.
func OneLine(text string, limit int) string {
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit-len("…")], "") + "…"
	}
	text = strings.ToValidUTF8(text, "�")
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return ' '
		}
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text)
}

var (
	titleTag = lazyregexp.New(`(?is)<title[^>]*>(.*?)</title>`)
	anyTag   = lazyregexp.New(`(?s)<(script|style)\b.*?</(script|style)>|<[^>]*>`)
)

// Plain makes one line of an answer that is no JSON: a page's title, or its text.
func Plain(raw []byte) string {
	raw = raw[:min(len(raw), 16<<10)]
	text := string(raw)
	if m := titleTag.Get().FindStringSubmatch(text); m != nil {
		text = m[1]
	} else if strings.HasPrefix(strings.TrimSpace(text), "<") {
		text = anyTag.Get().ReplaceAllString(text, " ")
	}
	return OneLine(strings.Join(strings.Fields(html.UnescapeString(text)), " "), MaxMessage)
}
