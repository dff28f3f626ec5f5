package schema

import (
	"reflect"
	"testing"
)

// The quick reading of results gives what encoding/json gives, or gives way.
func TestReadResultAgrees(t *testing.T) {
	agree := func(data []byte) bool {
		t.Helper()
		quick, quickIndex, ok := readResult(data)
		if !ok {
			return false
		}
		slow, slowIndex, err := unmarshalResult(data)
		if err != nil || quickIndex != slowIndex || !reflect.DeepEqual(quick, slow) {
			t.Errorf("%s:\n%+v\n%+v, %v", data, quick, slow, err)
		}
		return true
	}
	whole := `{"id":"j.3","job":"j","index":3,"custom_id":"c","status":"failed","request":{"a":[1]},
		"response":{"status_code":429,"request_id":"r","body":{"x": 1}},"error":{"class":"transient","code":"c","type":"t","message":"m","param":"p","status_code":429},
		"attempts":[{"deployment":"d","model":"m","started_at":"2030-01-31T18:00:30.5Z","latency_ms":1.25,"waited_ms":0,"status_code":0,"error":null,
		"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3},"cost":1e-7,"ttft_ms":2}],
		"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"details":{"a":1}},"cost":0.5,"ttft_ms":null,
		"queued_at":"2030-01-31T18:00:30+02:00","started_at":null,"finished_at":"2030-01-31T18:00:30Z","new":[1,2]}`
	if !agree([]byte(whole)) {
		t.Error("an ordinary result is not read quickly")
	}
	for _, odd := range []string{
		`{`, `[]`, `null`, `{"index":"1"}`, `{"index":1.5}`, `{"job":"a\u0041"}`, `{"Job":"x"}`, `{"job":"a","job":"b"}`,
		`{"attempts":{}}`, `{"attempts":null}`, `{"usage":[]}`, `{"queued_at":"yesterday"}`, `{"response":"x"}`, `{"cost":"1"}`, `{"id":null}`,
	} {
		if agree([]byte(odd)) {
			t.Errorf("%s is read quickly", odd)
		}
	}
	for _, plain := range []string{`{}`, ` {"index":0,"attempts":[],"response":{},"error":{},"cost":-0} `, `{"index":1,"request":null}`} {
		agree([]byte(plain))
	}
}
