// Package progress shows a job's progress on standard error: a bar on a
// terminal, a plain line every few seconds elsewhere, JSON lines for programs.
//
// What it shows comes from the job's state, so the bar library only draws. Of
// the two in question schollz/progressbar draws when told to; vbauerster/mpb
// runs goroutines and a clock of its own.
package progress

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"pelton/internal/human"
	"pelton/schema"
)

// Mode is how progress is shown.
type Mode string

// The modes. The zero value is Auto.
const (
	Auto  Mode = "auto"  // Bar on a terminal, else Plain
	Bar   Mode = "bar"   // one line that is drawn again
	Plain Mode = "plain" // a line every few seconds
	JSON  Mode = "json"  // the job's state as a JSON line, once a second
	None  Mode = "none"  // nothing, not even the summary
)

// ParseMode reads the value of --progress.
func ParseMode(text string) (Mode, error) {
	switch m := Mode(text); m {
	case "":
		return Auto, nil
	case Auto, Bar, Plain, JSON, None:
		return m, nil
	}
	return "", fmt.Errorf("--progress: must be one of auto, bar, plain, json, none, not %q", text)
}

// How often each mode writes.
const (
	barEvery   = 100 * time.Millisecond
	plainEvery = 5 * time.Second
	jsonEvery  = time.Second
)

// Options say how to show progress. The zero value of each field but Out means
// its default.
type Options struct {
	Out    io.Writer // standard error
	Mode   Mode
	Before int // requests that an earlier run has done and the state does not count

	Width   func() int       // of the terminal in columns; nil: asks it each time
	Now     func() time.Time // nil: time.Now
	NoColor bool             // on top of the variable NO_COLOR
}

// Printer shows the progress of one job. Its methods may be called
// concurrently. As an [io.Writer] it writes lines, of a log say, above the bar.
type Printer struct {
	o     Options
	every time.Duration
	stop  chan struct{}
	done  chan struct{}

	mu     sync.Mutex
	state  *schema.State // the latest; nil before the first
	at     time.Time     // when it came
	start  time.Time
	drawn  time.Time // when something was last written
	onLine bool      // the bar stands in the current line
	closed bool
	told   map[string]bool // the models of which it was said why they are waited for
}

// New starts showing progress. The caller ends it with Finish or Close.
func New(o Options) *Printer {
	file, isFile := o.Out.(*os.File)
	terminal := isFile && term.IsTerminal(int(file.Fd()))
	if o.Mode == "" || o.Mode == Auto {
		o.Mode = Plain
		if terminal && os.Getenv("TERM") != "dumb" {
			o.Mode = Bar
		}
	}
	if o.Width == nil {
		o.Width = func() int {
			if isFile {
				if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
					return width
				}
			}
			return 80
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.NoColor = o.NoColor || os.Getenv("NO_COLOR") != "" || o.Mode != Bar
	p := &Printer{o: o, stop: make(chan struct{}), done: make(chan struct{}), start: o.Now()}
	p.every = map[Mode]time.Duration{Bar: barEvery, Plain: plainEvery, JSON: jsonEvery}[o.Mode]
	p.drawn = p.start
	if o.Mode == Bar || o.Mode == JSON {
		p.drawn = time.Time{} // these begin at once
	}
	if p.every == 0 {
		close(p.done)
		return p
	}
	go p.tick()
	return p
}

// tick draws while no update comes: time goes on all the same.
func (p *Printer) tick() {
	defer close(p.done)
	ticker := time.NewTicker(max(p.every, time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
			p.mu.Lock()
			p.draw()
			p.mu.Unlock()
		}
	}
}

// Update takes the job's latest state. It is cheap, however often it is called.
func (p *Printer) Update(s schema.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state, p.at = &s, p.o.Now()
	p.tellWaits()
	p.draw()
}

// tellWaits says in the upstream's own words why requests wait, once for each model
// and cause.
func (p *Printer) tellWaits() {
	if p.closed || p.o.Mode != Bar && p.o.Mode != Plain {
		return
	}
	for _, w := range p.state.Waiting {
		key := w.Model + " " + w.Cause
		if p.told[key] || w.Reason == "" || len(p.told) >= mostTold {
			continue
		}
		if p.told == nil {
			p.told = map[string]bool{}
		}
		p.told[key] = true
		_, _ = p.write([]byte("progress: " + human.Waiting(w, p.at, number) + ": " + w.Reason + "\n"))
	}
}

// mostTold bounds the lines that say why requests wait.
const mostTold = 20

// draw writes the latest state if it is time to.
func (p *Printer) draw() {
	now := p.o.Now()
	if p.closed || p.state == nil || p.o.Mode == None || now.Sub(p.drawn) < p.every {
		return
	}
	p.drawn = now
	p.show()
}

func (p *Printer) show() {
	switch p.o.Mode {
	case Bar:
		_, _ = io.WriteString(p.o.Out, p.barLine())
		p.onLine = true
	case Plain:
		_, _ = io.WriteString(p.o.Out, p.plainLine()+"\n")
	case JSON:
		if line, err := json.Marshal(p.state); err == nil {
			_, _ = p.o.Out.Write(append(line, '\n'))
		}
	}
}

// clearLine makes the terminal's line empty.
const clearLine = "\r\033[K"

// Write writes text that is whole lines, above the bar.
func (p *Printer) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.write(text)
}

func (p *Printer) write(text []byte) (int, error) {
	if !p.onLine {
		return p.o.Out.Write(text)
	}
	_, _ = io.WriteString(p.o.Out, clearLine)
	n, err := p.o.Out.Write(text)
	_, _ = io.WriteString(p.o.Out, p.barLine())
	return n, err
}

// Finish shows the final state and the summary, and ends the printer.
func (p *Printer) Finish(s schema.State) {
	if !p.end() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state, p.at = &s, p.o.Now()
	switch p.o.Mode {
	case None:
	case JSON:
		p.show()
	default:
		if p.o.Mode == Bar {
			p.show()
			p.onLine = false
			_, _ = io.WriteString(p.o.Out, "\n")
		}
		_, _ = io.WriteString(p.o.Out, p.summary())
	}
}

// Close ends the printer without a summary. Calling it again, or after Finish,
// does nothing.
func (p *Printer) Close() {
	if !p.end() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.onLine {
		p.onLine = false
		_, _ = io.WriteString(p.o.Out, clearLine)
	}
}

// end stops the clock and reports whether it was this call that did.
func (p *Printer) end() bool {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.mu.Unlock()
	if first {
		close(p.stop)
	}
	<-p.done
	return first
}
