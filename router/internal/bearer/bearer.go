// Package bearer gives bearer tokens that change while the program runs.
package bearer

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"pelton/router/internal/file"
)

// Source gives a bearer token: from a file, or from what a command prints. It is
// read again after some minutes, or when an upstream has refused it. Its methods
// are safe for concurrent use.
type Source struct {
	file    string
	command []string

	// Clock tells the time. nil: [time.Now]. Set it before the first use.
	Clock func() time.Time

	mu   sync.Mutex
	text string
	old  string // the one before, which calls under way still use
	read time.Time
}

// How long a token is used before it is read again, and how long a command may
// take. Entra's live for an hour or so.
const (
	tokenAge     = 5 * time.Minute
	tokenTimeout = 30 * time.Second
	maxToken     = 64 << 10
)

// New returns a source that reads file, or runs command; nil where both are empty.
func New(file string, command []string) *Source {
	if file == "" && len(command) == 0 {
		return nil
	}
	return &Source{file: file, command: command}
}

func (t *Source) now() time.Time {
	if t.Clock != nil {
		return t.Clock()
	}
	return time.Now()
}

// Get returns the token. Who comes while it is being read waits for that.
func (t *Source) Get(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if t.text != "" && now.Sub(t.read) < tokenAge {
		return t.text, nil
	}
	text, err := t.load(ctx)
	if err == nil && text == "" {
		err = fmt.Errorf("%s gives nothing", t.source())
	}
	if err == nil && (!httpguts.ValidHeaderFieldValue(text) || len(text) > maxToken) {
		err = fmt.Errorf("what %s gives holds characters that no header can carry (a line break?)", t.source())
	}
	if err != nil {
		return "", err
	}
	if text != t.text {
		t.old = t.text
	}
	t.text, t.read = text, now
	return text, nil
}

func (t *Source) source() string {
	if t.file != "" {
		return t.file
	}
	return t.command[0]
}

func (t *Source) load(ctx context.Context) (string, error) {
	if t.file != "" {
		text, err := file.Read(t.file, maxToken)
		return strings.TrimSpace(string(text)), err
	}
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, t.command[0], t.command[1:]...)
	command.WaitDelay = time.Second
	var out tokenText
	command.Stdout = &out
	if err := command.Run(); err != nil { // what it prints may hold a secret
		return "", fmt.Errorf("%s: %w", t.command[0], err)
	}
	return strings.TrimSpace(out.String()), nil
}

// tokenText keeps what a command prints, up to more than a token can be.
type tokenText struct{ bytes.Buffer }

func (t *tokenText) Write(p []byte) (int, error) {
	if room := maxToken + 1 - t.Len(); room < len(p) {
		_, _ = t.Buffer.Write(p[:room])
		return len(p), nil
	}
	return t.Buffer.Write(p)
}

// Refused has the token read anew, if an upstream refused it in a call that
// began a while after it was read. It reports whether that is so: then another
// try is worth it.
func (t *Source) Refused(began time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if began.Sub(t.read) < tokenFresh {
		return false
	}
	t.read = time.Time{}
	return true
}

// tokenFresh is for how long after it was read a token is as good as any other.
const tokenFresh = 5 * time.Second

// Known are the tokens that answers may repeat.
func (t *Source) Known() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return []string{t.text, t.old}
}
