package outfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Sidecar is what a run leaves beside its output so that a later one can go on
// with it: FILE.pelton/run.json.
type Sidecar struct {
	Input     string    `json:"input_sha256"` // of the request lines
	Total     int       `json:"total"`        // requests
	Job       string    `json:"job"`
	Queue     string    `json:"queue"`
	Server    string    `json:"server"`         // without credentials; empty: a server of the run's own
	Options   string    `json:"options_sha256"` // of what the answers depend on besides the input; empty: nothing
	StartedAt time.Time `json:"started_at"`
}

// SidecarDir is the directory of what belongs to the output file out.
func SidecarDir(out string) string { return out + ".pelton" }

// ErrNoSidecar is returned for an output that no run left a description of.
var ErrNoSidecar = errors.New("there is no description of the run that wrote it")

// LoadSidecar reads the sidecar of the output file out. Without one the error
// wraps [ErrNoSidecar].
func LoadSidecar(out string) (*Sidecar, error) {
	path := filepath.Join(SidecarDir(out), "run.json")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: cannot be resumed: %w (%s)", out, ErrNoSidecar, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, reason(err))
	}
	s := &Sidecar{}
	if err := json.Unmarshal(content, s); err != nil {
		return nil, fmt.Errorf("%s: is no description of a run: %w", path, err)
	}
	return s, nil
}

// Save writes the sidecar of the output file out, at once or not at all.
func (s *Sidecar) Save(out string) error {
	dir := SidecarDir(out)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("%s: cannot be made: %w", dir, reason(err))
	}
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "run.json")
	err = replace(path, 0o600, func(w io.Writer) error {
		_, err := w.Write(append(content, '\n'))
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: cannot be written: %w", path, reason(err))
	}
	return nil
}

// Check returns why a run of the input now cannot go on with the output file
// out, which s describes; nil if it can.
func (s *Sidecar) Check(out string, now Sidecar) error {
	switch {
	case s.Input != now.Input && s.Total != now.Total:
		return fmt.Errorf("%s: was made from another input: that had %d requests, this one has %d; give the same input and templates, or write to another file", out, s.Total, now.Total)
	case s.Input != now.Input:
		return fmt.Errorf("%s: was made from another input, or with other templates, model or parameters; give the same, or write to another file", out)
	case s.Options != now.Options:
		return fmt.Errorf("%s: was made with other options; give the same, or write to another file", out)
	}
	return nil
}
