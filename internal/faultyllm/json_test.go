package faultyllm

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// FuzzScanner holds the scanner against encoding/json.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `""`, `0`, `-0`, `01`, `1.`, `1.5e+3`, `1e`, `-`, `true`, `tru`, `null`, `nul`, `{"a":1,}`, `[1,]`, `[1 2]`,
		`{"a" : [1, {"b":"\u00e4\n"}], "c":false}`, `"\x"`, `"\u12"`, "\"\n\"", `{"a"}`, `{a:1}`, ` 1 `, `1 1`, "", `"`, `"\`, "\"\xff\"",
		`{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		i := jsonSpace(data, 0)
		end := jsonValue(data, i, 0)
		got := end >= 0 && jsonSpace(data, end) == len(data)
		if want := json.Valid(data); got != want {
			t.Fatalf("%q: valid %v, want %v", data, got, want)
		}
		var q request
		if q.parse(data, "messages") {
			q.lastUser(nil)
			q.items(nil)
			q.modelName()
		}
	})
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\n\r\t\x00\x1f\x7f", "äöü😀\u2028", "a\xffb\xc3"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		var back string
		if err := json.Unmarshal(appendString(nil, s), &back); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if utf8.Valid(s) && back != string(s) {
			t.Fatalf("%q became %q", s, back)
		}
	})
}

func TestScannerDepth(t *testing.T) {
	deep := bytes.Repeat([]byte("["), maxDepth*2)
	if jsonValue(deep, 0, 0) >= 0 {
		t.Error("no end to it")
	}
}
