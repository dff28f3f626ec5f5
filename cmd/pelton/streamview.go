package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"pelton/jobs"
	"pelton/schema"
)

// streamView shows streamed answers as they come: lines that begin with the
// request's index, since many answers grow at once. It writes whole lines only.
type streamView struct {
	out      io.Writer
	original func(index int) int // in terms of the input
	lines    map[int]string      // begun and not written
}

// viewWidth is how long a line of an answer gets before it is broken.
const viewWidth = 96

// startStreams shows a job's streamed answers behind the caller's back. The
// returned function ends that; with true it first gives what is left of a job
// that has ended a moment to come.
func startStreams(h *jobs.Handle, out io.Writer, original func(int) int) (end func(ended bool)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		showStreams(ctx, h, out, original)
	}()
	return func(ended bool) {
		if ended {
			timer := time.AfterFunc(lastWords, cancel)
			defer timer.Stop()
		} else {
			cancel()
		}
		<-done
	}
}

const lastWords = time.Second

// showStreams follows a job's streamed answers to its end, or to that of ctx.
func showStreams(ctx context.Context, h *jobs.Handle, out io.Writer, original func(int) int) {
	v := &streamView{out: out, original: original, lines: map[int]string{}}
	for d, err := range h.Deltas(ctx) {
		if err != nil {
			if ctx.Err() == nil {
				fmt.Fprintf(out, "cannot show streams: %v\n", err)
			}
			return
		}
		v.take(d)
	}
}

func (v *streamView) take(d *jobs.Delta) {
	if d.Index < 0 {
		if d.Missed > 0 {
			fmt.Fprintf(v.out, "%d pieces came too fast to be shown; the results have them\n", d.Missed)
		}
		return
	}
	if d.Again {
		delete(v.lines, d.Index)
		v.say(d.Index, "(begins again)")
	}
	if d.Missed > 0 && d.Status == "" {
		v.flush(d.Index)
		v.say(d.Index, "(…)")
	}
	v.grow(d.Index, d.Text())
	if d.Status != "" {
		v.flush(d.Index)
		delete(v.lines, d.Index)
		if d.Status != schema.StatusSucceeded {
			v.say(d.Index, "("+string(d.Status)+")")
		}
	}
}

// grow adds text to the answer of an index and writes what are whole lines.
func (v *streamView) grow(index int, text string) {
	line := v.lines[index] + text
	for {
		if at := strings.IndexByte(line, '\n'); at >= 0 {
			v.say(index, line[:at])
			line = line[at+1:]
			continue
		}
		if utf8.RuneCountInString(line) <= viewWidth {
			v.lines[index] = line
			return
		}
		at := byteOf(line, viewWidth)
		if space := strings.LastIndexByte(line[:at], ' '); space > 0 {
			at = space
		}
		v.say(index, line[:at])
		line = strings.TrimPrefix(line[at:], " ")
	}
}

// byteOf is where the n-th character of a text begins.
func byteOf(text string, n int) int {
	for at := range text {
		if n == 0 {
			return at
		}
		n--
	}
	return len(text)
}

func (v *streamView) flush(index int) {
	if line := v.lines[index]; line != "" {
		v.say(index, line)
		v.lines[index] = ""
	}
}

// say writes one line. What a terminal would take for a command is left out: a
// model may say anything.
func (v *streamView) say(index int, text string) {
	text = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, text)
	fmt.Fprintf(v.out, "#%d  %s\n", v.original(index), text)
}

// asStreams makes the job's requests stream unless they say otherwise.
func asStreams(job *schema.Job) error {
	defaults := job.Defaults
	if defaults == nil {
		defaults = []byte("{}")
	}
	if value, _ := schema.Field(defaults, "stream"); value != nil {
		return nil
	}
	with, err := schema.SetField(defaults, "stream", []byte("true"))
	if err != nil {
		return fmt.Errorf("defaults: %w", err)
	}
	job.Defaults = with
	return nil
}
