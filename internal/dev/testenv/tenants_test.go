package testenv_test

import (
	"testing"

	"pelton/internal/dev/testenv"
)

// Servers of tests that run at once have each its own certificate and passwords.
func TestTenantsAtOnce(t *testing.T) {
	for range 8 {
		t.Run("server", func(t *testing.T) {
			t.Parallel()
			testenv.StartTenants(t, "../../../deploy/nats/tenants.conf").Conn("a", "admin")
		})
	}
}
