package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nuid"

	"pelton/internal/outfile"
)

// beside is what lies beside an output file for as long as a run can be gone on
// with: FILE.pelton/run.json says what the run was, FILE.pelton/store is the
// store of a run that had its own server, and FILE.pelton/subset.json says which
// requests of the input its job has, where it was not all.
type beside struct{ out string }

func (b beside) dir() string        { return outfile.SidecarDir(b.out) }
func (b beside) store() string      { return filepath.Join(b.dir(), "store") }
func (b beside) subsetFile() string { return filepath.Join(b.dir(), "subset.json") }

// removeStore erases the store; what it held is in the output, or given up.
func (b beside) removeStore() error {
	return errors.Join(os.RemoveAll(b.store()), removeIfThere(b.subsetFile()))
}

// remove erases all of it, but nothing that is not ours.
func (b beside) remove() error {
	err := errors.Join(b.removeStore(), removeIfThere(filepath.Join(b.dir(), "run.json")), outfile.RemoveUnfinished(b.out))
	_ = os.Remove(b.dir()) // stays when there is something else in it
	return err
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// there reports whether a run left a store.
func (b beside) there() bool {
	info, err := os.Stat(b.store())
	return err == nil && info.IsDir()
}

// newJobID makes the id of a run's job. It begins with the input's hash, so that
// every line of the output says which input it answers, also when nothing is
// left beside the file.
func newJobID(hash string) string { return inputMark(hash) + "-" + nuid.Next() }

func inputMark(hash string) string { return "r" + hash[:12] }

// lineIsOf reports whether the first result in the output file is of the input;
// true as well for a file without one.
func lineIsOf(path string, in *input) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	line, err := bufio.NewReader(file).ReadBytes('\n')
	if err != nil {
		return true, nil // not one whole line
	}
	var head struct {
		Job string `json:"job"`
	}
	if json.Unmarshal(line, &head) != nil {
		return false, nil
	}
	if in.job != nil && in.job.ID != "" && head.Job == in.job.ID {
		return true, nil
	}
	return strings.HasPrefix(head.Job, inputMark(in.hash)+"-"), nil
}

// subsetRecord is the content of subset.json: ranges of indexes, ends included.
type subsetRecord struct {
	Job    string      `json:"job"`
	Ranges [][2]uint32 `json:"ranges"`
}

func (b beside) saveSubset(job string, s subset) error {
	if s == nil {
		return removeIfThere(b.subsetFile())
	}
	rec := subsetRecord{Job: job}
	for _, index := range s {
		if n := len(rec.Ranges); n > 0 && rec.Ranges[n-1][1]+1 == index {
			rec.Ranges[n-1][1] = index
		} else {
			rec.Ranges = append(rec.Ranges, [2]uint32{index, index})
		}
	}
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.dir(), 0o700); err != nil {
		return err
	}
	temporary := b.subsetFile() + ".tmp"
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, b.subsetFile())
}

// loadSubset returns which indexes of an input of total requests a job has.
func (b beside) loadSubset(job string, total int) (subset, error) {
	data, err := os.ReadFile(b.subsetFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var rec subsetRecord
	if err := json.Unmarshal(data, &rec); err != nil {
		return nil, fmt.Errorf("%s: is damaged: %w", b.subsetFile(), err)
	}
	if rec.Job != job { // of a run that came no further
		return nil, nil
	}
	s := subset{}
	for _, r := range rec.Ranges {
		if r[0] > r[1] || int(r[1]) >= total {
			return nil, fmt.Errorf("%s: is damaged", b.subsetFile())
		}
		for index := r[0]; index <= r[1]; index++ {
			s = append(s, index)
		}
	}
	return s, nil
}

// describe is what run.json says of a run that begins now.
func describe(in *input, id, queue, server string, mock bool) *outfile.Sidecar {
	s := &outfile.Sidecar{Input: in.hash, Total: in.total(), Job: id, Queue: queue, Server: server, StartedAt: time.Now().UTC()}
	if mock {
		s.Options = "mock" // its answers do not mix with real ones
	}
	return s
}
