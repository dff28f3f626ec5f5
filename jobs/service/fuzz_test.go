package service

import (
	"testing"

	"pelton/schema"
)

// Whatever a call of the service names, it is one job or none.
func FuzzServiceCall(f *testing.F) {
	f.Add([]byte(`{"id":"a","reason":"enough"}`))
	f.Add([]byte("nightly-42"))
	f.Add([]byte(`{"id":"*"}`))
	f.Add([]byte(`[">"]`))
	names := schema.Names{}
	f.Fuzz(func(t *testing.T, data []byte) {
		id := named(data).ID
		if !schema.ValidQueue(id) {
			return
		}
		if at, ok := names.Parse("cancel", names.Cancel("default", id)); !ok || at.Job != id || at.Queue != "default" {
			t.Fatalf("%q names %+v", id, at)
		}
	})
}
