package schema_test

import (
	"errors"
	"strings"
	"testing"

	"pelton/schema"
)

func TestField(t *testing.T) {
	for name, c := range map[string]struct{ body, key, want string }{
		"a string":                  {`{"a":"x"}`, "a", `"x"`},
		"a big integer stays":       {`{"a":18446744073709551616}`, "a", `18446744073709551616`},
		"an object with its spaces": {`{"a" : { "b" : [ 1 ] } }`, "a", `{ "b" : [ 1 ] }`},
		"the last of two":           {`{"a":1,"a":2}`, "a", `2`},
		"an escaped key":            {`{"\u0061":1}`, "a", `1`},
		"quotes in a value":         {`{"x":"\"a\":1","a":2}`, "a", `2`},
		"backslashes before quotes": {`{"x":"\\","a":2}`, "a", `2`},
		"more of them":              {`{"x":"\\\\\\\"","a":2}`, "a", `2`},
		"brackets in a string":      {`{"x":["]}"],"a":2}`, "a", `2`},
		"not one level down":        {`{"x":{"a":1}}`, "a", ""},
		"not there":                 {`{}`, "a", ""},
		"no object":                 {`[1]`, "a", ""},
		"no JSON":                   {`{"a":1`, "a", ""},
		"an empty key":              {`{"":1}`, "", `1`},
		"a key with umlaut":         {`{"ä":1}`, "ä", `1`},
		"behind other values":       {`{"b":true,"c":null,"d":-1.5e3,"a":[]}`, "a", `[]`},
		"spaces all over":           {" {\n\t\"a\"\r\n: 1 \n} ", "a", `1`},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := schema.Field([]byte(c.body), c.key)
			if string(got) != c.want || ok != (c.want != "") {
				t.Errorf("got %q, %v; want %q", got, ok, c.want)
			}
		})
	}
}

func TestStringField(t *testing.T) {
	if got, ok := schema.StringField([]byte(`{"model":"a\u002fb"}`), "model"); got != "a/b" || !ok {
		t.Errorf("got %q, %v", got, ok)
	}
	for _, body := range []string{`{}`, `{"model":1}`, `{"model":null}`, `{"model":["x"]}`, `"model"`} {
		if got, ok := schema.StringField([]byte(body), "model"); ok {
			t.Errorf("%s: got %q", body, got)
		}
	}
}

func TestSetField(t *testing.T) {
	for name, c := range map[string]struct{ body, key, value, want string }{
		"replaced in its place":       {`{ "a" : 1 , "b":2}`, "a", `"x"`, `{ "a" : "x" , "b":2}`},
		"every occurrence":            {`{"a":1,"b":0,"a":2}`, "a", `3`, `{"a":3,"b":0,"a":3}`},
		"appended":                    {`{"b":2}`, "a", `1`, `{"b":2,"a":1}`},
		"appended before odd spaces":  {"{\"b\":2 \n}\n", "a", `1`, "{\"b\":2,\"a\":1 \n}\n"},
		"into an empty object":        {`{ }`, "a", `1`, `{"a":1 }`},
		"an escaped key is that key":  {`{"\u0061":1}`, "a", `2`, `{"\u0061":2}`},
		"an object grows":             {`{"a":1}`, "a", `{"b":[1, 2]}`, `{"a":{"b":[1, 2]}}`},
		"a key that needs escapes":    {`{}`, `q"`, `1`, `{"q\"":1}`},
		"big numbers around it stay":  {`{"n":18446744073709551616.10,"a":1}`, "a", `2`, `{"n":18446744073709551616.10,"a":2}`},
		"a value that ends in braces": {`{"x":{"y":{}}}`, "a", `1`, `{"x":{"y":{}},"a":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			body := []byte(c.body)
			got, err := schema.SetField(body, c.key, []byte(c.value))
			if err != nil || string(got) != c.want {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
			if string(body) != c.body {
				t.Errorf("the argument became %s", body)
			}
		})
	}
}

func TestSetFieldRefuses(t *testing.T) {
	if _, err := schema.SetField([]byte(`[]`), "a", []byte(`1`)); !errors.Is(err, schema.ErrNotObject) {
		t.Errorf("an array: %v", err)
	}
	if _, err := schema.SetField([]byte(`{"a":`), "a", []byte(`1`)); err == nil || !strings.Contains(err.Error(), "not valid JSON") {
		t.Errorf("half an object: %v", err)
	}
	for _, value := range []string{``, `1,"b":2`, `nope`} {
		if _, err := schema.SetField([]byte(`{}`), "a", []byte(value)); err == nil {
			t.Errorf("value %q was spliced in", value)
		}
	}
}

func TestMerge(t *testing.T) {
	for name, c := range map[string]struct{ body, defaults, want string }{
		"fills in what lacks":              {`{"a":1}`, `{"b":2,"c":[3]}`, `{"a":1,"b":2,"c":[3]}`},
		"leaves what is there":             {`{"a":1}`, `{"a":2}`, `{"a":1}`},
		"null is there":                    {`{"a":null}`, `{"a":2}`, `{"a":null}`},
		"no deeper than the top":           {`{"a":{}}`, `{"a":{"b":1}}`, `{"a":{}}`},
		"no defaults":                      {`{"a":1}`, ``, `{"a":1}`},
		"keys are the same though escaped": {`{"\u0061":1}`, `{"a":2}`, `{"\u0061":1}`},
		"bytes of the defaults stay":       {`{}`, `{"<\u0061>" : 1.0}`, `{"<\u0061>":1.0}`},
		"of two defaults the last":         {`{}`, `{"a":1,"b":0,"a":2}`, `{"a":2,"b":0}`},
		"into spaces":                      {"{\n}", `{"a":1}`, "{\"a\":1\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := schema.Merge([]byte(c.body), []byte(c.defaults))
			if err != nil || string(got) != c.want {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
		})
	}
	if _, err := schema.Merge([]byte(`{}`), []byte(`[]`)); !errors.Is(err, schema.ErrNotObject) || !strings.Contains(err.Error(), "defaults") {
		t.Errorf("an array as defaults: %v", err)
	}
	if _, err := schema.Merge([]byte(`1`), []byte(`{}`)); !errors.Is(err, schema.ErrNotObject) {
		t.Errorf("a number as body: %v", err)
	}
}
