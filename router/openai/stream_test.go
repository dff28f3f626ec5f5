package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"pelton/router/protocol"
	"pelton/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// streamed is what was read of one answer.
type streamed struct {
	protocol.Answer
	chunks   []string
	grew     bool
	document bool  // it was no stream, and read as a whole
	err      error // by which the reading ended; nil: by the answer's end
}

// readStream reads one answer as the router does, of somebody who did not ask
// for usage.
func readStream(t testing.TB, from io.Reader, endpoint schema.Endpoint) (got streamed) {
	t.Helper()
	const limit = 1 << 20
	p := &Protocol{}
	c := &protocol.Call{Endpoint: endpoint, Streamed: true, Note: usageAdded}
	reply := protocol.Reply{Status: 200}
	s, document := p.Stream(c, reply, from, limit)
	if s == nil {
		got.document = true
		reply.Body, got.err = io.ReadAll(document)
		got.Answer = p.Decode(c, reply)
		if got.grew = !got.Failed && got.Lacks == ""; got.grew {
			got.chunks = append(got.chunks, string(reply.Body))
		}
		return got
	}
	for {
		chunk, err := s.Next()
		if err != nil {
			if got.Answer = s.Answer(); err != io.EOF {
				got.err = err
			}
			return got
		}
		got.grew = got.grew || s.Grew()
		if len(chunk) > 0 {
			got.chunks = append(got.chunks, string(chunk))
		}
	}
}

func decoded(t testing.TB, raw []byte) any {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %.500s", err, raw)
	}
	return v
}

// The merged answer of each kind of server is the one it gives without
// streaming, field by field.
func TestMergeEqualsThePlainAnswer(t *testing.T) {
	for _, sample := range samples {
		t.Run(sample.name, func(t *testing.T) {
			got := readStream(t, strings.NewReader(sample.stream), sample.endpoint)
			checkMerged(t, sample, got)
			if len(got.chunks) != sample.chunks {
				t.Errorf("%d chunks were handed on, not %d", len(got.chunks), sample.chunks)
			}
			for i, chunk := range got.chunks {
				if !json.Valid([]byte(chunk)) {
					t.Errorf("chunk %d: %s", i, chunk)
				}
			}
			if !got.grew {
				t.Error("no first token was seen")
			}
		})
	}
}

func checkMerged(t testing.TB, sample sample, got streamed) {
	t.Helper()
	if got.err != nil || got.Failed || got.Lacks != "" || got.Cut != "" {
		t.Fatalf("error %v, %+v, %s, %s", got.err, got.Fault, got.Lacks, got.Cut)
	}
	if have, want := decoded(t, got.Body), decoded(t, []byte(sample.plain)); !reflect.DeepEqual(have, want) {
		t.Fatalf("merged\n%s\nwant\n%s", got.Body, sample.plain)
	}
	if b := parseBody([]byte(sample.plain)); got.Usage != parseUsage(b.usage) {
		t.Errorf("usage %+v, want %+v", got.Usage, parseUsage(b.usage))
	}
}

// However the network cuts a stream, the same comes of it.
func TestStreamsCutAtEveryByte(t *testing.T) {
	for _, sample := range samples {
		t.Run(sample.name, func(t *testing.T) {
			for at := range len(sample.stream) {
				got := readStream(t, io.MultiReader(strings.NewReader(sample.stream[:at]), strings.NewReader(sample.stream[at:])), sample.endpoint)
				checkMerged(t, sample, got)
				if len(got.chunks) != sample.chunks {
					t.Fatalf("cut at %d: %d chunks, not %d", at, len(got.chunks), sample.chunks)
				}
			}
			checkMerged(t, sample, readStream(t, iotest.OneByteReader(strings.NewReader(sample.stream)), sample.endpoint))
			checkMerged(t, sample, readStream(t, iotest.DataErrReader(strings.NewReader(sample.stream)), sample.endpoint))
		})
	}
}

// A stream that ends anywhere before its end is no success, but for its last
// mark, and what came of it is valid JSON.
func TestStreamsThatBreakOff(t *testing.T) {
	broken := errors.New("connection reset")
	for _, sample := range samples {
		t.Run(sample.name, func(t *testing.T) {
			for at := range len(sample.stream) {
				got := readStream(t, io.MultiReader(strings.NewReader(sample.stream[:at]), iotest.ErrReader(broken)), sample.endpoint)
				if got.document {
					if got.err == nil {
						t.Fatalf("broken at %d: no error", at)
					}
					continue
				}
				if got.err == nil && !strings.Contains(sample.stream[:at], protocol.EndMark) && got.Cut != "" {
					t.Fatalf("broken at %d: no error", at)
				}
				if len(got.Body) > 0 && !json.Valid(got.Body) {
					t.Fatalf("broken at %d: %s", at, got.Body)
				}
				got = readStream(t, strings.NewReader(sample.stream[:at]), sample.endpoint)
				failed := got.Failed || got.Lacks != "" || got.Cut != ""
				if !failed && !reflect.DeepEqual(content(t, got.Body), content(t, []byte(sample.plain))) {
					t.Fatalf("ended at %d: a success: %s", at, got.Body)
				}
				if class := protocol.ClassOf(200, &got.Fault); got.Failed && class != schema.ClassTransient {
					t.Fatalf("ended at %d: %s: %+v", at, class, got.Fault)
				}
			}
		})
	}
}

// content is what an answer says, without counts and the like that may follow.
func content(t testing.TB, raw []byte) any {
	t.Helper()
	object, ok := decoded(t, raw).(map[string]any)
	if !ok {
		t.Fatalf("no object: %s", raw)
	}
	choices, _ := object["choices"].([]any)
	var said []any
	for _, c := range choices {
		choice := c.(map[string]any)
		said = append(said, choice["message"], choice["text"])
	}
	return append(said, object["output"])
}

// A stream longer than the bound on answers ends as such.
func TestStreamBeyondTheLimit(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for name, event := range map[string]string{
		"many":  strings.Repeat(data(chunk(`{"index":0,"delta":{"content":"`+long+`"},"finish_reason":null}`, ``)), 2000),
		"one":   "data: " + strings.Repeat("x", 3<<20),
		"lines": strings.Repeat("data: "+long+"\n", 3000),
		"nodes": strings.Repeat(data(chunk(`{"index":9,"delta":{"content":"x"}},{"index":8}`, ``)), 10) + data(chunk(manyChoices(2000), ``)),
	} {
		if got := readStream(t, strings.NewReader(event), schema.ChatCompletions); !errors.Is(got.err, protocol.ErrTooLarge) {
			t.Errorf("%s: %v %d bytes", name, got.err, len(got.Body))
		}
	}
}

func manyChoices(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"index":%d,"delta":{"content":"x"}}`, i))
	}
	return strings.Join(list, ",")
}

// Whatever a server sends, what comes of it is valid JSON or nothing, however
// it is cut.
func FuzzStream(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s.stream), uint64(1))
	}
	f.Fuzz(func(t *testing.T, raw []byte, seed uint64) {
		for _, endpoint := range []schema.Endpoint{schema.ChatCompletions, schema.Completions, schema.Responses} {
			got := readStream(t, bytes.NewReader(raw), endpoint)
			if !got.document && !errors.Is(got.err, protocol.ErrFailed) && len(got.Body) > 0 && !json.Valid(got.Body) {
				t.Fatalf("%q became %s", raw, got.Body)
			}
			cut := readStream(t, &randomReader{raw, rand.New(rand.NewPCG(seed, 1))}, endpoint)
			if !bytes.Equal(cut.Body, got.Body) || !slices.Equal(got.chunks, cut.chunks) {
				t.Fatalf("%q became %s or %s, as it was cut", raw, got.Body, cut.Body)
			}
		}
	})
}

type randomReader struct {
	raw  []byte
	rand *rand.Rand
}

func (r *randomReader) Read(p []byte) (int, error) {
	if len(r.raw) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.raw[:min(len(r.raw), 1+r.rand.IntN(20))])
	r.raw = r.raw[n:]
	return n, nil
}

// BenchmarkStreamChunk is the cost of one chunk: read, looked at and merged.
func BenchmarkStreamChunk(b *testing.B) {
	var text strings.Builder
	for range 200 {
		text.WriteString("data: " + chunk(`{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}`, `,"system_fingerprint":"fp_1","usage":null`) + "\n\n")
	}
	text.WriteString(data(chunk(`{"index":0,"delta":{},"finish_reason":"stop"}`, ``), `[DONE]`))
	p, c := &Protocol{}, &protocol.Call{Endpoint: schema.ChatCompletions, Streamed: true}
	b.ReportAllocs()
	for b.Loop() {
		s, _ := p.Stream(c, protocol.Reply{Status: 200}, strings.NewReader(text.String()), 1<<20)
		for {
			if _, err := s.Next(); err != nil {
				break
			}
		}
		if a := s.Answer(); a.Failed || a.Cut != "" {
			b.Fatal(a.Cut)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/201, "ns/chunk")
}
