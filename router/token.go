package router

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// token is a bearer token that changes while the program runs: from a file, or
// from what a command prints. It is read again after a time, or when an
// upstream has refused it.
type token struct {
	file    string
	command []string
	now     func() time.Time

	mu   sync.Mutex
	text string
	read time.Time
}

// How long a token is used before it is read again, and how long a command may
// take. Entra's live for an hour or so.
const (
	tokenAge     = 5 * time.Minute
	tokenTimeout = 30 * time.Second
	maxToken     = 64 << 10
)

// tokenError is that there is no token to send.
type tokenError struct{ err error }

func (e *tokenError) Error() string { return "no token: " + e.err.Error() }

func newToken(d Deployment) *token {
	if d.TokenFile == "" && len(d.TokenCommand) == 0 {
		return nil
	}
	return &token{file: d.TokenFile, command: d.TokenCommand, now: time.Now}
}

// get returns the token. Who comes while it is being read waits for that.
func (t *token) get(ctx context.Context) (string, error) {
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
	if err == nil && (!validHeaderValue(text) || len(text) > maxToken) {
		err = fmt.Errorf("what %s gives "+badHeaderValue, t.source())
	}
	if err != nil {
		return "", err
	}
	t.text, t.read = text, now
	return text, nil
}

func (t *token) source() string {
	if t.file != "" {
		return t.file
	}
	return t.command[0]
}

func (t *token) load(ctx context.Context) (string, error) {
	if t.file != "" {
		text, err := os.ReadFile(t.file)
		return strings.TrimSpace(string(text)), err
	}
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, t.command[0], t.command[1:]...)
	command.WaitDelay = time.Second
	var out bytes.Buffer
	command.Stdout = &out
	if err := command.Run(); err != nil { // what it prints may hold a secret
		return "", fmt.Errorf("%s: %w", t.command[0], err)
	}
	return strings.TrimSpace(out.String()), nil
}

// refused has the token read anew, unless somebody did since.
func (t *token) refused(began time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.read.Before(began) {
		t.text = ""
	}
}

// current is the token last read, to be kept out of messages.
func (t *token) current() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text
}
