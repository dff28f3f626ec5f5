package schema_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"pelton/schema"
)

// chatBody is a request of usual size.
var chatBody = `{"model":"gpt-4o-mini","temperature":0,"messages":[{"role":"system","content":"You are a helpful assistant."},{"role":"user","content":"` +
	strings.Repeat("What is the capital of France? ", 20) + `"}]}`

func benchJob(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"id":"bench","requests":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"custom_id":"request-%d","method":"POST","url":"/v1/chat/completions","body":%s}`, i, chatBody)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func BenchmarkParseJob(b *testing.B) {
	for _, n := range []int{1, 1000} {
		data := benchJob(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := schema.ParseJob(data, schema.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkJobAppendJSON(b *testing.B) {
	j, err := schema.ParseJob(benchJob(1000), schema.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		if dst, err = j.AppendJSON(dst[:0]); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(dst)))
}

func BenchmarkLineReader(b *testing.B) {
	var input bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(&input, `{"custom_id":"request-%d","method":"POST","url":"/v1/chat/completions","body":%s}`+"\n", i, chatBody)
	}
	data := input.Bytes()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		l := schema.NewLineReader(bytes.NewReader(data), schema.Limits{}, nil)
		for l.Next() {
		}
		if l.Problems() != nil {
			b.Fatal(l.Problems())
		}
	}
}

// BenchmarkLineReaderMillion reads 1,000,000 lines with a custom_id each.
func BenchmarkLineReaderMillion(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		l := schema.NewLineReader(io.Reader(&lineSource{n: 1_000_000}), schema.Limits{}, nil)
		for l.Next() {
		}
		if l.Problems() != nil {
			b.Fatal(l.Problems())
		}
	}
}

func BenchmarkSetField(b *testing.B) {
	body := []byte(chatBody)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := schema.SetField(body, "model", []byte(`"other"`)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResultAppendJSON(b *testing.B) {
	r := schema.Result{ID: "j.0", Job: "j", Status: schema.StatusSucceeded, Response: &schema.Response{StatusCode: 200, Body: []byte(chatBody)}, Attempts: []schema.Attempt{{}}}
	b.ReportAllocs()
	var dst []byte
	var err error
	for b.Loop() {
		if dst, err = r.AppendJSON(dst[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseResult(b *testing.B) {
	r := schema.Result{ID: "j.0", Job: "j", Status: schema.StatusSucceeded, Response: &schema.Response{StatusCode: 200, Body: []byte(chatBody)}, Attempts: []schema.Attempt{{}}}
	data, err := r.AppendJSON(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := schema.ParseResult(data); err != nil {
			b.Fatal(err)
		}
	}
}
