package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"
)

const root = "../.."

// A commit is built twice, in folders of different names and with a cache of its
// own each: every byte of archives, lists and checksums must be the same. Then the
// binary says what it was made of.
func TestReproducible(t *testing.T) {
	var dirs [2]string
	for i := range dirs {
		tree := filepath.Join(t.TempDir(), strings.Repeat("deeper/", i), fmt.Sprint("tree", i))
		copyTree(t, tree)
		r := release{
			root: tree, out: filepath.Join(t.TempDir(), "out"), version: "v1.2.3", commit: "0123456789abcdef", date: "2026-11-23T04:05:06Z",
			env: []string{"GOCACHE=" + t.TempDir()},
		}
		if err := r.run(t.Context(), runtime.GOOS+"_"+runtime.GOARCH); err != nil {
			t.Fatal(err)
		}
		dirs[i] = r.out
	}
	files, err := os.ReadDir(dirs[0])
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		var sums [2][32]byte
		for i, dir := range dirs {
			data, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			sums[i] = sha256.Sum256(data)
		}
		t.Logf("%x %x %s", sums[0][:8], sums[1][:8], f.Name())
		if sums[0] != sums[1] {
			t.Errorf("%s differs between two builds", f.Name())
		}
	}
	checkSums(t, dirs[0])
	checkBill(t, dirs[0])
	checkVersion(t, dirs[0])
}

// copyTree copies what Git has of the working tree, changes included.
func copyTree(t *testing.T, to string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // deleted, and not committed yet
		}
		path := filepath.Join(to, name)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(path), 0o755)
		}
		if err == nil {
			err = os.WriteFile(path, data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func checkSums(t *testing.T, dir string) {
	t.Helper()
	sums, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || fmt.Sprintf("%x", sha256.Sum256(data)) != sum {
			t.Errorf("%s: %v, or another sum", name, err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d sums", n)
	}
}

func checkBill(t *testing.T, dir string) {
	t.Helper()
	paths, _ := filepath.Glob(filepath.Join(dir, "*.cdx.json"))
	file, err := os.Open(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(file, cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	has := map[string]bool{}
	for _, c := range *bom.Components {
		has[c.Name] = c.Version != ""
	}
	for _, want := range []string{"std", "github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go", "github.com/sashabaranov/go-openai", "go.opentelemetry.io/otel/sdk"} {
		if !has[want] {
			t.Errorf("the list lacks %s", want)
		}
	}
	if has["pgregory.net/rapid"] {
		t.Error("the list has what only tests use")
	}
}

// checkVersion unpacks the binary and runs it.
func checkVersion(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pelton.exe")
	if err := os.WriteFile(path, unpack(t, dir), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), path, "version", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Version, Commit, Date, Go string }
	if err := json.Unmarshal(out, &v); err != nil || v.Version != "v1.2.3" || v.Commit != "0123456789abcdef" || v.Date != "2026-11-23T04:05:06Z" || v.Go != runtime.Version() {
		t.Errorf("%s, %v", out, err)
	}
}

func unpack(t *testing.T, dir string) []byte {
	t.Helper()
	paths, _ := filepath.Glob(filepath.Join(dir, "*.tar.gz"))
	if len(paths) == 0 {
		t.Skip("the archive of this platform is no tar")
	}
	file, err := os.Open(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	in, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(in)
	for {
		head, err := archive.Next()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(head.Name, "/pelton") {
			if head.Mode != 0o755 || head.Uid != 0 || head.Uname != "" {
				t.Errorf("%+v", head)
			}
			data, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
	}
}

func TestZip(t *testing.T) {
	r := release{root: root, out: t.TempDir(), version: "v1", date: "2026-11-23T04:05:06Z"}
	name, err := r.archive(target{"windows", "amd64"}, []byte("MZ"))
	if err != nil || name != "pelton_v1_windows_amd64.zip" {
		t.Fatal(name, err)
	}
	data, err := os.ReadFile(filepath.Join(r.out, name))
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil || archive.File[0].Name != "pelton_v1_windows_amd64/pelton.exe" || archive.File[0].Modified.UTC().Format("2006-01-02") != "2026-11-23" || len(archive.File) != 4 {
		t.Errorf("%+v, %v", archive.File, err)
	}
}

func TestUnknownPlatform(t *testing.T) {
	r := release{root: root, out: t.TempDir(), version: "v1"}
	if err := r.run(context.Background(), "plan9_mips"); err == nil || !strings.Contains(err.Error(), "plan9_mips is none of") {
		t.Error(err)
	}
}
