package jet

import (
	"fmt"
	"strconv"
	"strings"
)

// HeaderText makes any text fit a header: control characters and the percent
// sign are percent-encoded.
func HeaderText(s string) string {
	if !strings.ContainsFunc(s, percent) {
		return s
	}
	var out strings.Builder
	for i := range len(s) {
		if percent(rune(s[i])) {
			fmt.Fprintf(&out, "%%%02X", s[i])
		} else {
			out.WriteByte(s[i])
		}
	}
	return out.String()
}

func percent(c rune) bool { return c < ' ' || c == 0x7f || c == '%' }

// HeaderValue undoes [HeaderText].
func HeaderValue(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(c))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// TraceText returns a W3C traceparent, and nothing of what is none: it becomes a
// header of the call.
func TraceText(s string) string {
	if len(s) > 128 || strings.Trim(s, "0123456789abcdef-") != "" {
		return ""
	}
	return s
}
