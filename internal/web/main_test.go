package web

import (
	"testing"

	"go.uber.org/goleak"

	"pelton/internal/dev/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.Leaks()...) }
