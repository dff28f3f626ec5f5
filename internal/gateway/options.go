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

// extensions are the metadata that set something of the job. They stay in the
// metadata as well.
var extensions = map[string]func(job *schema.Job, value string) error{
	"pelton_concurrency": func(job *schema.Job, value string) error {
		if value == "auto" {
			job.Concurrency = schema.AutoConcurrency
			return nil
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > schema.MaxConcurrency {
			return fmt.Errorf("must be a number from 1 to %d", schema.MaxConcurrency)
		}
		job.Concurrency = n
		return nil
	},
	"pelton_timeout": func(job *schema.Job, value string) (err error) {
		job.Timeout, err = parseWindow(value)
		return err
	},
	"pelton_max_cost": func(job *schema.Job, value string) (err error) {
		job.MaxCost, err = strconv.ParseFloat(value, 64)
		if err != nil || !(job.MaxCost > 0 && job.MaxCost <= 1e9) {
			return fmt.Errorf("must be an amount in USD above 0")
		}
		return nil
	},
	"pelton_tags": func(job *schema.Job, value string) error {
		for tag := range strings.SplitSeq(value, ",") {
			if tag = strings.TrimSpace(tag); tag != "" {
				job.Tags = append(job.Tags, tag)
			}
		}
		return nil
	},
	"pelton_fail_fast": func(job *schema.Job, value string) error {
		n, err := strconv.Atoi(value)
		switch {
		case value == "true":
			n = 1
		case value == "false":
			n = 0
		case err != nil || n < 1:
			return fmt.Errorf("must be true, false, or after how many failures the batch ends")
		}
		job.FailFast.Failures = n
		return nil
	},
	"pelton_invalid": func(job *schema.Job, value string) error {
		if value != "skip" {
			return fmt.Errorf(`must be "skip"`)
		}
		job.SkipInvalid = true
		return nil
	},
	"pelton_include_request": func(job *schema.Job, value string) (err error) {
		if job.IncludeRequest, err = strconv.ParseBool(value); err != nil {
			return fmt.Errorf("must be true or false")
		}
		return nil
	},
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
		if strings.HasPrefix(name, "pelton_") {
			set, ok := extensions[name]
			if !ok {
				return invalid(param, "invalid_value", "There is no setting %q; there are %s.", clip(name), strings.Join(settingNames(), ", "))
			}
			if err := set(job, value); err != nil {
				return invalid(param, "invalid_value", "%s %v, not %q.", name, err, clip(value))
			}
		}
		all[name] = value
	}
	var err error
	job.Metadata, err = json.Marshal(all)
	return err
}

func settingNames() []string {
	var names []string
	for name := range extensions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
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
