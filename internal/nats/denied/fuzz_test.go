package denied

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
)

// Whatever a server writes into its refusal, a subject is read from it or not.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`Permissions Violation for Publish to "pelton.jobs.default"`, `Permissions Violation for Subscription to "pelton.>"`,
		`Permissions Violation for Subscription to "a" using queue "q"`, `permissions violation for publish with reply of "x"`,
		`Permissions Violation for Publish to "a\"b"`, `Permissions Violation for Publish to "`, `Permissions Violation for Publish to "\`, ``,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if e := Parse(errors.New(text)); e != nil {
			t.Errorf("%q is no refusal: %v", text, e)
		}
		e := Parse(fmt.Errorf("%w: %s", nats.ErrPermissionViolation, text))
		if e != nil && (e.Error() == "" || !errors.Is(e, nats.ErrPermissionViolation)) {
			t.Errorf("%q: %+v", text, e)
		}
	})
}
