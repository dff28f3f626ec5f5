package schema_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pelton/schema"
)

func TestBill(t *testing.T) {
	cost := func(usd float64) *float64 { return &usd }
	used := func(n int64) *schema.Usage {
		return &schema.Usage{PromptTokens: n, CompletionTokens: 2 * n, TotalTokens: 3 * n}
	}
	answered := schema.Attempt{Usage: used(1), Cost: cost(0.25)}
	dropped := schema.Attempt{UsageUnknown: true}
	refused := schema.Attempt{Error: &schema.Error{}}
	unpriced := schema.Attempt{Usage: used(10)}
	for name, tt := range map[string]struct {
		attempts []schema.Attempt
		want     schema.Bill
	}{
		"none":                   {nil, schema.Bill{}},
		"refused":                {[]schema.Attempt{refused, refused}, schema.Bill{}},
		"answered":               {[]schema.Attempt{refused, answered}, schema.Bill{Usage: used(1), Cost: cost(0.25)}},
		"dropped":                {[]schema.Attempt{dropped, dropped}, schema.Bill{UnknownAttempts: 2}},
		"dropped, then answered": {[]schema.Attempt{dropped, answered}, schema.Bill{Usage: used(1), Cost: cost(0.25), UnknownAttempts: 1}},
		"unpriced":               {[]schema.Attempt{unpriced}, schema.Bill{Usage: used(10), UnpricedAttempts: 1}},
		"all": {[]schema.Attempt{answered, dropped, unpriced, refused, answered},
			schema.Bill{Usage: used(12), Cost: cost(0.5), UnknownAttempts: 1, UnpricedAttempts: 1}},
	} {
		got := schema.BillOf(tt.attempts)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if got.UsageAtLeast() != (tt.want.UnknownAttempts > 0) || got.CostAtLeast() != (tt.want.UnknownAttempts+tt.want.UnpricedAttempts > 0) {
			t.Errorf("%s: at least: %t, %t", name, got.UsageAtLeast(), got.CostAtLeast())
		}
		var r schema.Result
		var s schema.State
		r.SetBill(got)
		s.SetBill(got)
		if !reflect.DeepEqual(r.Bill(), got) || !reflect.DeepEqual(s.Bill(), got) {
			t.Errorf("%s: %+v, %+v", name, r.Bill(), s.Bill())
		}
	}
	if answered.Usage.PromptTokens != 1 || *answered.Cost != 0.25 {
		t.Error("the sum has changed what it summed")
	}
}

// What earlier builds stored says nothing of unknown attempts, and what this one
// stores is read back by both readers of results.
func TestBillOfStoredResults(t *testing.T) {
	old := `{"id":"j.0","job":"j","index":0,"status":"failed","response":null,"error":{"class":"transient","message":"m"},` +
		`"attempts":[{"deployment":"d","model":"m","started_at":"2030-01-31T18:00:00Z","latency_ms":1,"waited_ms":0,"status_code":0,"error":{"class":"transient","message":"m"}}]}`
	r, err := schema.ParseResult([]byte(old))
	if err != nil || r.UnknownAttempts != 0 || r.UnpricedAttempts != 0 || r.Attempts[0].UsageUnknown {
		t.Fatalf("%+v %v", r, err)
	}
	r.Attempts[0].UsageUnknown = true
	r.SetBill(schema.Bill{UnknownAttempts: 1, UnpricedAttempts: 3})
	data, err := r.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := schema.ParseResult(data)
	if diff := cmp.Diff(r, again); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	var plain schema.Result
	if err := json.Unmarshal(data, &plain); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, &plain); diff != "" {
		t.Error(diff)
	}
}
