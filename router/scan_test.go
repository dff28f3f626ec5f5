package router

import (
	"encoding/json"
	"strings"
	"testing"
)

// What the scanner takes for JSON is what encoding/json does, and it finds the
// same members.
func FuzzScan(f *testing.F) {
	for _, a := range answers {
		f.Add(a.body)
	}
	for _, text := range []string{
		"", " ", "1", "-", "-0", "01", "1.", "1.5e+3", "1e", ".5", "+1", "tru", "true ", "nul", `"`, `"\u12"`, `"\u12aF"`, `"\x"`, "\"\t\"", "\"\x7f\xff\"",
		"[]", "[1,]", "[,1]", "[1 2]", "{}", `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1}x`, `{"a" : [ {"b":null} ] , "A":2}`, `{1:2}`, `{"a":1 "b":2}`, "\ufeff{}", `{"a\u0062":1}`,
		oddBody, oddAnswer, strings.Repeat("[", 10001), strings.Repeat("[", 9999) + strings.Repeat("]", 9999), strings.Repeat(`{"a":`, 20),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := map[string]json.RawMessage{}
		object, valid := scanObject([]byte(text), func(key, value []byte) {
			if !json.Valid(value) {
				t.Fatalf("%q has the value %q", text, value)
			}
			got[string(plainKey(key))] = value
		})
		if valid != json.Valid([]byte(text)) {
			t.Fatalf("%q: valid %v", text, valid)
		}
		var want map[string]json.RawMessage
		isObject := json.Unmarshal([]byte(text), &want) == nil && want != nil
		if object != isObject {
			t.Fatalf("%q: object %v", text, object)
		}
		for key, value := range want {
			if string(got[key]) != string(value) && strings.ToValidUTF8(key, "") == key && !strings.Contains(key, "\ufffd") {
				t.Fatalf("%q: %q is %q, want %q", text, key, got[key], value)
			}
		}
	})
}
