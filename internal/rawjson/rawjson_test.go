package rawjson

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// What the scanner takes for JSON is what encoding/json does, and it finds the
// same members.
func FuzzScan(f *testing.F) {
	for _, text := range []string{
		"", " ", "1", "-", "-0", "01", "1.", "1.5e+3", "1e", ".5", "+1", "tru", "true ", "nul", `"`, `"\u12"`, `"\u12aF"`, `"\x"`, "\"\t\"", "\"\x7f\xff\"",
		"[]", "[1,]", "[,1]", "[1 2]", "{}", `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1}x`, `{"a" : [ {"b":null} ] , "A":2}`, `{1:2}`, `{"a":1 "b":2}`, "\ufeff{}", `{"a\u0062":1}`,
		`{"model":"a","n":1,"messages":[{"role":"user","content":"Zw\u00f6lf \"Boxk\u00e4mpfer\""}],"x":[1,2.5e3,null,true,{}]}`, strings.Repeat("[", 10001), strings.Repeat("[", 9999) + strings.Repeat("]", 9999), strings.Repeat(`{"a":`, 20),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := map[string]json.RawMessage{}
		object, valid := Object([]byte(text), func(key, value []byte) {
			if !json.Valid(value) {
				t.Fatalf("%q has the value %q", text, value)
			}
			got[string(Key(key))] = value
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

// The elements of an array are those that encoding/json finds.
func FuzzArray(f *testing.F) {
	for _, text := range []string{"", "[]", "[ ]", "[1]", `[1, "a,]" ,{"b":[2]},[],null ]`, "[1,]", "[1]x", "{}", "3", "[[[]]]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got, want []json.RawMessage
		array, valid := Array([]byte(text), func(value []byte) { got = append(got, value) })
		if valid != json.Valid([]byte(text)) {
			t.Fatalf("%q: valid %v", text, valid)
		}
		if isArray := json.Unmarshal([]byte(text), &want) == nil && want != nil; array != isArray {
			t.Fatalf("%q: array %v", text, array)
		}
		if !array {
			return
		}
		if len(got) != len(want) {
			t.Fatalf("%q: %d elements, want %d", text, len(got), len(want))
		}
		for i := range want {
			if string(got[i]) != string(want[i]) {
				t.Fatalf("%q: element %d is %q, want %q", text, i, got[i], want[i])
			}
		}
	})
}

// A text that was appended reads as itself, but for what is no UTF-8.
func FuzzAppendString(f *testing.F) {
	for _, text := range []string{"", "a", "\"\\\n\r\t\x00\x1f\x7f", "Zwölf \u2028 \U0001F600", "\xff\xc3(\xed\xa0\x80", "\xe2\x82"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		raw := AppendString([]byte("x"), text)[1:]
		if string(raw) != string(AppendString(nil, []byte(text))) {
			t.Fatalf("%q: bytes and text differ", text)
		}
		var got string
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatalf("%q: %s: %v", text, raw, err)
		}
		want, _ := json.Marshal(text)
		var again string
		if _ = json.Unmarshal(want, &again); got != again {
			t.Fatalf("%q reads %q, want %q", text, got, again)
		}
		if Text(raw) != got {
			t.Fatalf("Text of %s is %q", raw, Text(raw))
		}
	})
}

// A string's text is what encoding/json makes of it, and strings of every length
// and alignment are checked alike.
func FuzzAppendText(f *testing.F) {
	for _, text := range []string{
		`""`, `"a"`, `"12345678"`, `"1234567\n9"`, `"12345678\u00e9\ud83d\ude00x"`, `"\ud83d"`, `"\ud83d\u0041"`, `"\ude00\ud83d"`, `"\"\\\/\b\f\n\r\t"`,
		"\"\xff\xe4\xbd\xa0\"", `"1234567` + "\x1f" + `"`, `"12345678`, `1`, `"\uFFFD"`, "\"\x7f\x80\"", `"\ud83d\ud83d\ude00"`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !Valid([]byte(text)) || text == "" || text[0] != '"' || text[len(text)-1] != '"' {
			return
		}
		var want string
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		if got := string(AppendText([]byte("x"), []byte(text))); got != "x"+want {
			t.Fatalf("%q: %q, want %q", text, got, want)
		}
		if n := TextLen([]byte(text[1 : len(text)-1])); utf8.ValidString(text) && n != len(want) {
			t.Fatalf("%q: %d bytes, want %d", text, n, len(want))
		}
	})
}

func BenchmarkValid(b *testing.B) {
	raw := []byte(`{"messages":[{"role":"user","content":"` + strings.Repeat("What is the capital of Norway? ", 64) + `"}]}`)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if !Valid(raw) {
			b.Fatal()
		}
	}
}

func TestDeeper(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, tt := range []struct {
		raw  string
		want bool
	}{
		{nested(3), false},
		{nested(4), true},
		{`{"a":{"b":[` + nested(1) + `]}}`, true},
		{`[[],[],[],[],[]]`, false},
		{`["[[[[[[", "\"[[[[", "\\", []]`, false},
		{`["\\", ` + nested(3) + `]`, true},
	} {
		if got := Deeper([]byte(tt.raw), 3); got != tt.want {
			t.Errorf("%s: %v", tt.raw, got)
		}
	}
}
