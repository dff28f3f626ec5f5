//go:build !unix

package docs

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(cleaned{m}.Run()) }
