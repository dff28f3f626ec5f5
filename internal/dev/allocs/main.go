// Command allocs compares what the stages of a request allocate with what is
// written down in a file: allocations are the same on every machine, as times
// are not. It fails when a stage allocates more than that, and some.
//
//	go run ./internal/dev/allocs .ci/allocs
//	go run ./internal/dev/allocs -update .ci/allocs
//
// It runs in the root of the module.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// suites are the benchmarks that are compared: enough operations that what is
// made once does not count, few enough to be quick.
var suites = []struct{ dir, bench, times string }{
	{"./schema", "^Benchmark(ParseJob|LineReader|ParseResult|ResultAppendJSON)$", "200x"},
	{"./router", "^Benchmark(Do|DoLimited|DoHTTP)$", "5000x"},
	{"./router/anthropic", "^Benchmark(Encode|Decode)$", "5000x"},
	{"./internal/outfile", "^BenchmarkWrite$", "5000x"},
	{"./internal/nats/pull", "^BenchmarkPull$", "5000x"},
	{"./jobs", "^Benchmark(Store|Collect|CollectShuffled)$", "5000x"},
	{"./jobs/owner", "^Benchmark(Feed|Relay)$", "5000x"},
	{"./jobs/queue", "^BenchmarkDecode$", "5000x"},
	{"./worker", "^BenchmarkJob$/^in-flight-64$", "5000x"},
}

// repeats of each benchmark, of which the least counts: chance only adds.
const repeats = "3"

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "allocs:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("allocs", flag.ContinueOnError)
	update := flags.Bool("update", false, "write the file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("usage: allocs [-update] FILE")
	}
	got := figures{}
	for _, s := range suites {
		text, err := bench(s.dir, s.bench, s.times)
		if err == nil {
			err = got.read(text)
		}
		if err != nil {
			return err
		}
	}
	file := flags.Arg(0)
	if *update {
		return os.WriteFile(file, got.text(), 0o644)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	want := figures{}
	if err := want.parse(text); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	report, err := compare(got, want)
	if _, failed := io.WriteString(out, report); failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("%w; if that is meant, run make bench-allocs UPDATE=1 and say why in the commit", err)
	}
	return nil
}

// bench runs benchmarks of one package and returns what they print.
func bench(dir, pattern, times string) ([]byte, error) {
	cmd := exec.CommandContext(context.Background(), "go", "test", "-run", "^$",
		"-bench", pattern, "-benchtime", times, "-count", repeats, "-benchmem", "-cpu", "2", dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", dir, err, out.Bytes())
	}
	return out.Bytes(), nil
}
