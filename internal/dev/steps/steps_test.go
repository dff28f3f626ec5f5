package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// traces is what pprof prints, with one stack for each way to decide.
const traces = `File: pelton
Type: cpu
Duration: 23.91s, Total samples = 100us (66.85%)
-----------+-------------------------------------------------------
      10us   runtime.memmove /usr/local/go/src/runtime/memmove.s:1 (inline)
             pelton/schema.(*Result).AppendJSON /src/pelton/schema/append.go:10
             pelton/jobs/store.(*Results).Put /src/pelton/jobs/store/results.go:33
             pelton/jobs/store.(*Results).PutOrFind /src/pelton/jobs/store/results.go:80
             pelton/worker.(*worker).insist /src/pelton/worker/answer.go:160
             pelton/worker.(*worker).store /src/pelton/worker/answer.go:120
             pelton/worker.(*worker).handle /src/pelton/worker/worker.go:160
-----------+-------------------------------------------------------
      20us   net/http.(*Transport).RoundTrip /usr/local/go/src/net/http/transport.go:1
             pelton/router.(*deployment).call /src/pelton/router/upstream.go:3
-----------+-------------------------------------------------------
       5us   pelton/router.(*deployment).call /src/pelton/router/upstream.go:3
             pelton/worker.(*worker).answer /src/pelton/worker/answer.go:60
-----------+-------------------------------------------------------
      type:  consumer
    stream:  X_RESULTS
      30us   github.com/nats-io/nats-server/v2/server.(*msgBlock).writeAt /m/nats-server/v2@v2.15.2/server/filestore.go:9
             github.com/nats-io/nats-server/v2/server.(*stream).internalLoop /m/nats-server/v2@v2.15.2/server/stream.go:9
-----------+-------------------------------------------------------
      15us   github.com/nats-io/nats%2ego.(*Conn).readLoop /m/nats.go@v1.55.0/nats.go:9
-----------+-------------------------------------------------------
      10us   runtime.scanblock /usr/local/go/src/runtime/mgcmark.go:1
             runtime.gcBgMarkWorker /usr/local/go/src/runtime/mgc.go:1
-----------+-------------------------------------------------------
       9us   pelton/jobs.(*odd).one /src/pelton/jobs/unheardof.go:1
-----------+-------------------------------------------------------
       1us   strings.Cut /usr/local/go/src/strings/strings.go:1
-----------+-------------------------------------------------------
`

func TestTally(t *testing.T) {
	table, err := tally(strings.NewReader(traces))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := table.write(&out, 10); err != nil {
		t.Fatal(err)
	}
	const want = `| Step | Share | µs per request |
|---|---|---|
| server: storing | 30.0 % | 3.0 |
| HTTP, under the call | 20.0 % | 2.0 |
| nats.go | 15.0 % | 1.5 |
| garbage collection | 10.0 % | 1.0 |
| store: encode and publish | 10.0 % | 1.0 |
| jobs/unheardof.go | 9.0 % | 0.9 |
| call: router | 5.0 % | 0.5 |
| other | 1.0 % | 0.1 |
| all | 100.0 % | 10.0 |
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if _, err := tally(strings.NewReader("Type: cpu\n")); err == nil {
		t.Error("a profile without samples is taken for one")
	}
}

// Rules that name files which are gone would leave their step without its share.
func TestRulesNameFiles(t *testing.T) {
	files := regexp.MustCompile(`pelton/(jobs/store/internal/jet|jobs/store|jobs|worker|router|internal/nats/pull)/(?:\((\w+(?:\|\w+)*)\)|(\w+))\\\.go`)
	n := 0
	for _, r := range own {
		for _, m := range files.FindAllStringSubmatch(r.frame.String(), -1) {
			for name := range strings.SplitSeq(m[2]+m[3], "|") {
				n++
				if _, err := os.Stat(filepath.Join("..", "..", "..", filepath.FromSlash(m[1]), name+".go")); err != nil {
					t.Errorf("step %q: %v", r.step, err)
				}
			}
		}
	}
	if n < 10 {
		t.Errorf("%d files in the rules", n)
	}
}
