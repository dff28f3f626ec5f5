package gateway

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pelton/schema"
)

func TestSettings(t *testing.T) {
	var job schema.Job
	given := map[string]string{
		"team": "search", "pelton_concurrency": "64", "pelton_fail_fast": "10", "pelton_include_request": "true", "pelton_invalid": "skip",
		"pelton_max_cost": "2.50", "pelton_tags": "free, eu", "pelton_timeout": "2d",
	}
	if err := setMetadata(&job, given, origin{}); err != nil {
		t.Fatal(err)
	}
	metadata := job.Metadata
	job.Metadata = nil
	want := schema.Job{Concurrency: 64, FailFast: schema.FailFast{Failures: 10}, IncludeRequest: true, SkipInvalid: true, MaxCost: 2.5,
		Tags: []string{"free", "eu"}, Timeout: 48 * time.Hour}
	if diff := cmp.Diff(want, job); diff != "" {
		t.Error(diff)
	}
	for name, value := range given {
		if got, _ := schema.StringField(metadata, name); got != value {
			t.Errorf("metadata has %s = %q", name, got)
		}
	}
	for name, value := range map[string]string{
		"pelton_concurrency": "10001", "pelton_fail_fast": "0", "pelton_include_request": "yes", "pelton_invalid": "keep", "pelton_max_cost": "-1",
		"pelton_timeout": "soon", "pelton_id": "x", "pelton_": "",
	} {
		if err := setMetadata(&schema.Job{}, map[string]string{name: value}, origin{}); err == nil {
			t.Errorf("%s %q was taken", name, value)
		}
	}
}
