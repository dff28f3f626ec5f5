package gemini

import (
	"encoding/json"
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
	case named("resource_exhausted"):
		readQuota(&f, raw, now)
	}
	return f, valid
}

// readQuota reads which quota is used up. One per day is not free again before
// the day ends, whatever RetryInfo says; one of zero never is.
func readQuota(f *protocol.Fault, raw []byte, now time.Time) {
	type quotaError struct {
		Error struct {
			Details []struct {
				Violations []struct{ QuotaID, QuotaValue string }
			}
		}
	}
	var e quotaError
	if json.Unmarshal(raw, &e) != nil {
		var all []quotaError
		if json.Unmarshal(raw, &all) != nil || len(all) == 0 {
			return
		}
		e = all[0]
	}
	for _, d := range e.Error.Details {
		for _, v := range d.Violations {
			switch {
			case v.QuotaValue == "0":
				f.Class, f.Scope = schema.ClassUpstreamFatal, protocol.OneModel
			case strings.Contains(v.QuotaID, "PerDay"):
				f.After = max(f.After, dayEnd(now).Sub(now))
			}
		}
	}
}

// dayEnd is when Google's daily quotas begin anew: at midnight in California, in
// summer an hour before what this says.
func dayEnd(now time.Time) time.Time {
	return now.UTC().Add(-8 * time.Hour).Truncate(24 * time.Hour).Add(32 * time.Hour)
}
