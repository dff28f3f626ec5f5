package benchmark

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// process is a part in a process of its own, as the measuring process sees it.
type process struct {
	name    string
	url     string
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	tasks   *json.Encoder
	answers *json.Decoder
	cancel  context.CancelFunc
	end     sync.Once
}

// endTime is what a process gets to clean up after itself.
const endTime = 15 * time.Second

// start starts a part and returns when it is ready. It lives until it is closed:
// at the end of ctx, too, a server outlives those who use it.
func (o *Options) start(ctx context.Context, name string, s Setup) (*process, error) {
	return o.startBy(ctx, o.Command, name, s)
}

// startBy starts a part that command plays.
func (o *Options) startBy(ctx context.Context, command func(context.Context, ...string) *exec.Cmd, name string, s Setup) (*process, error) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &process{name: name, cmd: command(life), cancel: cancel}
	p.cmd.Stderr = o.Stderr
	// The end of standard input is the word to go; those that do not listen are
	// killed after a while.
	p.cmd.Cancel = func() error { return p.stdin.Close() }
	p.cmd.WaitDelay = endTime
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		p.stdin, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.tasks, p.answers = json.NewEncoder(p.stdin), json.NewDecoder(bufio.NewReader(stdout))
	a, err := p.ask(ctx, s)
	if err != nil {
		p.close()
		return nil, err
	}
	p.url = a.URL
	return p, nil
}

// ask hands over a line and returns the answer to it. The end of ctx closes the
// process.
func (p *process) ask(ctx context.Context, line any) (answer, error) {
	var a answer
	defer context.AfterFunc(ctx, p.close)()
	err := p.tasks.Encode(line)
	if err == nil {
		err = p.answers.Decode(&a)
	}
	switch {
	case ctx.Err() != nil:
		return a, context.Cause(ctx)
	case err != nil:
		return a, fmt.Errorf("the process of %s has ended: %w", p.name, err)
	case a.Error != "":
		return a, errors.New(p.name + ": " + a.Error)
	}
	return a, nil
}

// close ends the process and returns when it is gone. Closing again does nothing.
func (p *process) close() {
	p.end.Do(func() {
		p.cancel()
		_ = p.cmd.Wait()
	})
}
