package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pelton/schema"
)

// Bounds of a batch's metadata.
const (
	maxPairs = 16
	maxName  = 64
	maxValue = 512
)

// settings are the fields of a job that metadata can set, each under its name
// behind "pelton_". The pairs stay in the metadata as well.
var settings = []string{"concurrency", "fail_fast", "include_request", "invalid", "max_cost", "request_timeout", "tags", "timeout"}

// set sets the field from what the metadata says, by the rules of the job's
// document. A timeout may be in days as well, as completion_window.
func set(job *schema.Job, field, value string) error {
	if field == "timeout" || field == "request_timeout" {
		if d, err := parseWindow(value); err == nil {
			value = d.String()
		}
	}
	// Whether "auto" is switched on is for the workers to say.
	return job.SetText(field, value, schema.Limits{AutoConcurrency: true})
}

// setMetadata takes a client's metadata into the job, beside what the gateway
// itself has to say of it.
func setMetadata(job *schema.Job, own map[string]string, o origin) error {
	if len(own) > maxPairs {
		return invalid("metadata", "invalid_value", "metadata has %d pairs; at most %d are allowed.", len(own), maxPairs)
	}
	all := map[string]any{originKey: o}
	for name, value := range own {
		param := "metadata." + clip(name)
		if name == "" || len([]rune(name)) > maxName || len([]rune(value)) > maxValue {
			return invalid(param, "invalid_value", "A key of metadata has 1 to %d characters, a value at most %d.", maxName, maxValue)
		}
		if field, ours := strings.CutPrefix(name, "pelton_"); ours {
			if !slices.Contains(settings, field) {
				return invalid(param, "invalid_value", "There is no setting %q; there are pelton_%s.", clip(name), strings.Join(settings, ", pelton_"))
			}
			if err := set(job, field, value); err != nil {
				return invalid(param, "invalid_value", "%s %v.", name, err)
			}
		}
		all[name] = value
	}
	var err error
	job.Metadata, err = json.Marshal(all)
	return err
}

// parseWindow reads a duration: Go's, and days.
func parseWindow(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 365 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("must be a duration like 24h, 90m or 2d")
	}
	return d, nil
}
