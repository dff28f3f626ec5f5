package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"pelton/jobs/store/internal/jet"
	"pelton/schema"
)

func TestHeaderText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		encoded := HeaderText(s)
		for _, c := range []byte(encoded) {
			if c < ' ' || c == 0x7f {
				t.Fatalf("%q holds a control character", encoded)
			}
		}
		if got := HeaderValue(encoded); got != s {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}

func TestOutcomeHeaders(t *testing.T) {
	cost := 0.25
	for _, want := range []ResultMeta{
		{Index: 3, Status: schema.StatusSucceeded},
		{Index: 0, Status: schema.StatusFailed, Code: "odd\ncode", Bill: schema.Bill{
			Usage: &schema.Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3}, Cost: &cost, UnknownAttempts: 2, UnpricedAttempts: 1}},
	} {
		h := nats.Header{}
		want.writeTo(h, "job")
		got, ok := parseMeta(h)
		if !ok || got.Index != want.Index || got.Status != want.Status || got.Code != want.Code {
			t.Errorf("%+v came back as %+v", want, got)
		}
		if got.UnknownAttempts != want.UnknownAttempts || got.UnpricedAttempts != want.UnpricedAttempts {
			t.Errorf("%+v came back as %+v", want.Bill, got.Bill)
		}
		if want.Usage != nil && (*got.Usage != *want.Usage || *got.Cost != *want.Cost) {
			t.Errorf("%+v, %v", got.Usage, got.Cost)
		}
	}
	if _, ok := parseMeta(nats.Header{schema.HeaderIndex: {"end"}}); ok {
		t.Error("an end was taken for a result")
	}
}

func TestSubjectMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, subject string
		want             bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a.c", false}, {"a.*", "a.b", true}, {"a.*", "a", false},
		{"a.*", "a.b.c", false}, {"a.>", "a.b.c", true}, {"a.>", "a", false}, {">", "a", true}, {"*.b", "a.b", true},
	} {
		if got := jet.Matches(c.pattern, c.subject); got != c.want {
			t.Errorf("%s matches %s: %v", c.pattern, c.subject, got)
		}
	}
}

// scripted is a sequence that is given.
type scripted []Entry

func (s *scripted) Next(context.Context) (Entry, error) {
	it := (*s)[0]
	*s = (*s)[1:]
	return it, nil
}
func (s *scripted) Close() {}

func TestInOrderHoldsItsPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 60).Draw(t, "results")
		from := rapid.IntRange(0, 10).Draw(t, "from")
		var come scripted
		var want []int
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for _, i := range rng.Perm(100)[:n] { // the other indexes never started
			come = append(come, Entry{Index: i, Data: fmt.Append(nil, i)})
			if i >= from {
				want = append(want, i)
			}
		}
		slices.Sort(want)
		come = append(come, Entry{Index: -1})
		o := &inputOrder{from: &come, turn: from, held: map[int]Entry{}, highest: -1}
		var got []int
		for {
			it, err := o.Next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if it.End() {
				break
			}
			if string(it.Data) != strconv.Itoa(it.Index) {
				t.Fatalf("index %d with the data of %s", it.Index, it.Data)
			}
			got = append(got, it.Index)
		}
		if !slices.Equal(got, want) || len(o.held) != 0 || o.heldBytes != 0 {
			t.Fatalf("got %v, want %v; %d held", got, want, len(o.held))
		}
	})
}
