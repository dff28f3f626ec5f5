package gemini

import (
	"slices"
	"strings"
	"time"

	"pelton/router/protocol"
	"pelton/schema"
)

// faultOf reads Google's description of an error, wherever it stands in raw.
func faultOf(status int, raw []byte, now time.Time) (f protocol.Fault, valid bool) {
	f, valid = protocol.ReadFault(raw)
	named := func(name string) bool { return slices.Contains(f.Names, name) }
	switch {
	case named("api_key_invalid"), named("failed_precondition"): // such as a country, or billing that is off
		f.Class, f.Scope = schema.ClassUpstreamFatal, protocol.WholeAccount
	case named("cancelled"), status == 499:
		f.Class = schema.ClassTransient
	case status == 403 && strings.Contains(f.Message, " the File "): // of one request
		f.Class = schema.ClassRequestFatal
	case named("resource_exhausted"): // a quota of the day is not free again before, whatever RetryInfo says
		if f.After = max(f.After, f.Day(now)); f.Nothing {
			f.Class, f.Scope = schema.ClassUpstreamFatal, protocol.OneModel
		}
	}
	return f, valid
}
