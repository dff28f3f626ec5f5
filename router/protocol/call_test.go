package protocol

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestCallKeepsSharedHeaders(t *testing.T) {
	shared := http.Header{"User-Agent": {"pelton"}}
	c := &Call{Req: &http.Request{Header: shared}}
	c.OwnHeader().Set("Accept", "text/event-stream")
	c.OwnHeader().Set("X-Other", "1")
	if len(shared) != 1 || len(c.Req.Header) != 3 {
		t.Errorf("shared %v, own %v", shared, c.Req.Header)
	}
}

// A body can be read again from its start while the first reading goes on.
func TestCallBody(t *testing.T) {
	c := &Call{Req: &http.Request{}}
	c.SetBody([]byte(`{"a":1}`))
	head := make([]byte, 3)
	_, _ = io.ReadFull(c.Req.Body, head)
	again, err := c.Req.GetBody()
	if err != nil {
		t.Fatal(err)
	}
	whole, _ := io.ReadAll(again)
	rest, _ := io.ReadAll(c.Req.Body)
	if string(whole) != `{"a":1}` || string(head)+string(rest) != string(whole) || c.Req.ContentLength != 7 {
		t.Errorf("%q, %q, %q, length %d", head, rest, whole, c.Req.ContentLength)
	}
}

func TestUpstreamPrintsNoSecret(t *testing.T) {
	u := Upstream{ID: "a-1", Key: "sk-secret", Headers: map[string]string{"X": "sk-secret"}, Settings: map[string]string{"k": "sk-secret"}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, u) + fmt.Sprintf(verb, &u) + fmt.Sprintf(verb, struct{ U Upstream }{u}); strings.Contains(text, "secret") {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}
