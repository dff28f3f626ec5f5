package chaos

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"

	"pelton/internal/nats/embednats"
)

// roleVar makes the harness's own executable play a part in a process of its own.
const roleVar = "PELTON_CHAOS_ROLE"

// role is such a part: a NATS server, or a process that keeps the disk busy.
type role struct {
	Server   string `json:",omitempty"` // a server on this directory
	Port     int
	MaxStore int64
	Sync     bool   // write every message through to the disk
	Disk     string `json:",omitempty"` // or: keep the disk of this directory busy
}

// Play plays the part that the environment asks for until standard input ends,
// and reports false when it asks for none. The harness's main and the TestMain
// of its tests call it first.
func Play(stdin io.Reader, stdout io.Writer) (played bool, err error) {
	text := os.Getenv(roleVar)
	if text == "" {
		return false, nil
	}
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return true, fmt.Errorf("%s: %w", roleVar, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = bufio.NewReader(stdin).ReadString(0)
	}()
	if r.Disk != "" {
		return true, hammer(r.Disk, stdout, ended)
	}
	server, err := embednats.Start(embednats.Options{
		StoreDir: r.Server, Port: r.Port, MaxStore: r.MaxStore, SyncAlways: r.Sync, Logger: zerolog.Nop(),
	})
	if err != nil {
		return true, err
	}
	defer server.Close()
	fmt.Fprintln(stdout, server.ClientURL())
	<-ended
	return true, nil
}

// hammer writes and syncs until it is told to end: whoever else writes to the
// same file system has to wait its turn.
func hammer(dir string, stdout io.Writer, ended <-chan struct{}) error {
	file, err := os.Create(filepath.Join(dir, "hammer"))
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	block := make([]byte, 4<<20)
	_, _ = rand.Read(block)
	fmt.Fprintln(stdout, "hammering")
	for n := int64(0); ; n++ {
		select {
		case <-ended:
			return nil
		default:
		}
		if _, err := file.WriteAt(block, n%16*int64(len(block))); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
	}
}
