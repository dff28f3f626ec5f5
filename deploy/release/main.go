// Command release builds Pelton for every platform it is published for: an
// archive each, their checksums, and a list of what is in them (CycloneDX). The
// same commit gives the same bytes:
//
//	make release
package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// target is a platform.
type target struct{ os, arch string }

func (t target) String() string { return t.os + "_" + t.arch }

var targets = []target{
	{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"}, {"windows", "arm64"},
}

// release is what is built, and from what.
type release struct {
	root, out             string
	version, commit, date string
	env                   []string // on top of the process's own
}

func main() {
	var r release
	flag.StringVar(&r.root, "root", "../..", "the repository")
	flag.StringVar(&r.out, "out", "dist", "where to write, from the repository")
	flag.StringVar(&r.version, "version", "dev", "version")
	flag.StringVar(&r.commit, "commit", "", "commit")
	flag.StringVar(&r.date, "date", "", "date of the commit, RFC 3339")
	only := flag.String("only", "", "a platform alone, like linux_amd64")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := r.run(ctx, *only); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run builds all targets, or one of them.
func (r *release) run(ctx context.Context, only string) error {
	list := slices.DeleteFunc(slices.Clone(targets), func(t target) bool { return only != "" && t.String() != only })
	if len(list) == 0 {
		return fmt.Errorf("%s is none of %v", only, targets)
	}
	if !filepath.IsAbs(r.out) {
		r.out = filepath.Join(r.root, r.out)
	}
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, t := range list {
		binary, err := r.build(ctx, t)
		if err != nil {
			return err
		}
		name, err := r.archive(t, binary)
		if err != nil {
			return err
		}
		list, err := r.bill(t, binary)
		if err != nil {
			return err
		}
		for _, name := range []string{name, list} {
			data, err := os.ReadFile(filepath.Join(r.out, name))
			if err != nil {
				return err
			}
			fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name)
		}
		fmt.Fprintln(os.Stderr, name)
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), sums.Bytes(), 0o644)
}

// build returns the binary for a platform. Nothing of the machine goes into it:
// no path, no time, no state of the working tree.
func (r *release) build(ctx context.Context, t target) ([]byte, error) {
	dir, err := os.MkdirTemp("", "pelton-release-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "pelton")
	flags := fmt.Sprintf("-s -w -buildid= -X main.version=%s -X main.commit=%s -X main.date=%s", r.version, r.commit, r.date)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", path, "./cmd/pelton")
	cmd.Dir = r.root
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch, "GOFLAGS=-mod=readonly", "GOAMD64=v1", "GOARM64=v8.0"), r.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", t, err, out)
	}
	return os.ReadFile(path)
}

// file is one of an archive.
type file struct {
	name string
	mode int64
	data []byte
}

// archive writes the binary with what goes along with it: a zip for Windows, a
// tar for the others.
func (r *release) archive(t target, binary []byte) (string, error) {
	base := "pelton_" + r.version + "_" + t.String()
	program := "pelton"
	if t.os == "windows" {
		program += ".exe"
	}
	files := []file{{base + "/" + program, 0o755, binary}}
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md", "deploy/systemd/pelton.service", "deploy/systemd/pelton.env"} {
		if strings.HasPrefix(name, "deploy/systemd") && t.os != "linux" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(r.root, name))
		if err != nil {
			return "", err
		}
		files = append(files, file{base + "/" + filepath.Base(name), 0o644, data})
	}
	made, err := time.Parse(time.RFC3339, cmp.Or(r.date, "1980-01-01T00:00:00Z"))
	if err != nil {
		return "", fmt.Errorf("-date: %w", err)
	}
	name, write := base+".tar.gz", tarball
	if t.os == "windows" {
		name, write = base+".zip", zipped
	}
	var out bytes.Buffer
	if err := write(&out, files, made.UTC()); err != nil {
		return "", err
	}
	return name, os.WriteFile(filepath.Join(r.out, name), out.Bytes(), 0o644)
}

func tarball(w io.Writer, files []file, made time.Time) error {
	compressed := gzip.NewWriter(w)
	archive := tar.NewWriter(compressed)
	for _, f := range files {
		if err := archive.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: made, Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		if _, err := archive.Write(f.data); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return compressed.Close()
}

func zipped(w io.Writer, files []file, made time.Time) error {
	archive := zip.NewWriter(w)
	for _, f := range files {
		head := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: made}
		head.SetMode(os.FileMode(f.mode))
		in, err := archive.CreateHeader(head)
		if err != nil {
			return err
		}
		if _, err := in.Write(f.data); err != nil {
			return err
		}
	}
	return archive.Close()
}
