//go:build linux && slow

package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/schema"
)

// smallDisk is a disk of a few megabytes; making one takes the rights to mount.
func smallDisk(t *testing.T, bytes string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+bytes); err != nil {
		t.Skipf("a small disk cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk leaves no room on the disk, until the returned function is called.
func fillDisk(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	_ = f.Close()
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// await reads a log up to a line with a word in it.
func await(t *testing.T, log *bufio.Scanner, word string) string {
	t.Helper()
	for log.Scan() {
		if strings.Contains(log.Text(), word) {
			t.Log(log.Text())
			return log.Text()
		}
	}
	t.Fatalf("the log ended without %q: %v", word, log.Err())
	return ""
}

// The disk of a worker with a NATS server of its own is full for a while: it says so
// within seconds, and goes on by itself when there is room; no answer is lost.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, "64m")
	llm, err := faultyllm.New(faultyllm.Config{Latency: 50 * time.Millisecond})
	if err == nil {
		err = llm.Start("")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer llm.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Args = []string{"pelton", "worker"}
	cmd.Env = append(os.Environ(), asPelton+"=1", "NATS_URL=", "PELTON_HTTP_ADDR=off", "PELTON_STORE_DIR="+filepath.Join(dir, "store"), "OPENAI_BASE_URL="+llm.URL(), "OPENAI_API_KEY=k")
	said, out := io.Pipe()
	cmd.Stderr = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = out.Close()
	}()
	log := bufio.NewScanner(said)
	_, url, _ := strings.Cut(await(t, log, "ready: "), "ready: ")
	url, _, _ = strings.Cut(url, ",")
	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	client, err := jobs.NewClient(nc)
	if err != nil {
		t.Fatal(err)
	}
	const total = 1000
	h, err := client.Submit(t.Context(), schema.Job{Requests: testenv.Chats(total), Concurrency: 8})
	if err != nil {
		t.Fatal(err)
	}
	if err := llm.Wait(t.Context(), func(s faultyllm.Stats) bool { return s.Answered > 50 }); err != nil {
		t.Fatal(err)
	}
	free := fillDisk(t, dir)
	began := time.Now()
	await(t, log, "no space left on device")
	t.Logf("named after %v", time.Since(began).Round(time.Millisecond))
	await(t, log, "takes nothing more")
	t.Logf("the worker says so after %v", time.Since(began).Round(time.Millisecond))
	free()
	began = time.Now()
	await(t, log, "work goes on")
	t.Logf("on again after %v", time.Since(began).Round(time.Millisecond))
	go func() { // the rest of the log
		for log.Scan() {
			t.Log(log.Text())
		}
	}()
	answered := llm.Stats().Answered
	if err := llm.Wait(t.Context(), func(s faultyllm.Stats) bool { return s.Answered > answered }); err != nil {
		t.Fatal(err)
	}
	t.Logf("the next answer came after %v", time.Since(began).Round(time.Millisecond))
	state, err := h.Wait(t.Context())
	if err != nil || state.Counts.Succeeded != total {
		t.Fatalf("%+v, %v", state, err)
	}
	t.Logf("%d calls for %d requests", llm.Stats().Calls, total)
}
