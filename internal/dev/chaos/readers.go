package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"pelton/jobs"
	"pelton/schema"
)

// reader reads one job's results to their end, through being killed and cut off.
type reader struct {
	Reading
	command bool // a process, else the Go client
	file    string

	mu   sync.Mutex
	stop func() // kills its present life; nil when there is none to kill
	done chan struct{}
}

// read starts a reader.
func (r *round) read(ctx context.Context, job string, i int, order schema.Order, command bool) {
	by := fmt.Sprintf("Go collector %d, %s", i, order)
	if command {
		by = fmt.Sprintf("pelton results %d, %s", i, order)
	}
	d := &reader{
		Reading: Reading{Job: job, By: by, Order: order}, command: command, done: make(chan struct{}),
		file: filepath.Join(r.dir, fmt.Sprintf("%s.%d.jsonl", job, i)),
	}
	r.mu.Lock()
	r.live = append(r.live, d)
	r.mu.Unlock()
	go func() {
		defer close(d.done)
		_ = persist(ctx, func(ctx context.Context) error {
			d.Lives++
			if command {
				return r.readByCommand(ctx, d)
			}
			return r.readByClient(ctx, d)
		})
	}()
}

// errAgain has a reader go on in a further life.
var errAgain = errors.New("not at the end yet")

// readByClient reads on with the Go client from where the reader was.
func (r *round) readByClient(ctx context.Context, d *reader) error {
	client, err := jobs.NewClient(r.readers)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.setStop(cancel)
	defer d.setStop(nil)
	var from []jobs.CollectOption
	if n := len(d.Items); n > 0 && d.Order == schema.OrderInput {
		from = append(from, jobs.FromIndex(d.Items[n-1].Index+1))
	} else if n > 0 {
		from = append(from, jobs.After(d.Items[n-1].seq))
	}
	for result, err := range client.Job(schema.DefaultQueue, d.Job).Collect(ctx, d.Order, from...) {
		var early *jobs.StateError
		var failed *jobs.ResultError
		if errors.As(err, &early) || errors.As(err, &failed) {
			break
		}
		if err != nil {
			return err
		}
		d.Items = append(d.Items, Item{Index: result.Index, Finished: *result.FinishedAt, seq: result.Seq})
	}
	d.Ended = true
	return nil
}

// readByCommand reads on with a process that appends to the reader's file.
func (r *round) readByCommand(ctx context.Context, d *reader) error {
	if err := d.load(); err != nil {
		return err
	}
	from := len(d.Items)
	if from > 0 && d.Order == schema.OrderInput {
		from = d.Items[from-1].Index + 1
	}
	file, err := os.OpenFile(d.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	cmd := exec.CommandContext(ctx, r.binary, "results", d.Job, "-s", "nats://"+r.reading.Addr(),
		"--order", string(d.Order), "--from", strconv.Itoa(from))
	cmd.Stdout = file
	p, err := start(r.log, cmd)
	if err != nil {
		return err
	}
	d.setStop(func() { p.Kill() })
	<-p.Gone()
	d.setStop(nil)
	if p.Code() < 0 || p.Code() == 3 { // killed, or the server was away when it began
		return errAgain
	}
	d.Ended = true
	return d.load()
}

// load reads the file's whole lines, and cuts off what a killed process left of
// another.
func (d *reader) load() error {
	data, err := os.ReadFile(d.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(data, '\n') + 1
	if whole < len(data) {
		if err := os.Truncate(d.file, int64(whole)); err != nil {
			return err
		}
	}
	d.Items = nil
	for line := range bytes.Lines(data[:whole]) {
		var item struct {
			Index    int
			Finished time.Time `json:"finished_at"`
		}
		if err := json.Unmarshal(line, &item); err != nil {
			return fmt.Errorf("%s: %w", d.file, err)
		}
		d.Items = append(d.Items, Item{Index: item.Index, Finished: item.Finished})
	}
	return nil
}

func (d *reader) setStop(stop func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop = stop
}

// interrupt ends the reader's present life, and reports whether it had one.
func (d *reader) interrupt() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stop == nil {
		return false
	}
	d.stop()
	d.stop = nil
	return true
}
