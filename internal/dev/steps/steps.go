package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// rule gives a name to the frames that it matches: "package/file.go function",
// with the package's import path.
type rule struct {
	frame *regexp.Regexp
	step  string
}

func on(step, pattern string) rule { return rule{regexp.MustCompile(pattern), step} }

// own are the rules for our own rooms. The innermost frame that one matches
// decides, so that what a library does on behalf of a step counts for the step.
// A frame of ours that none matches is a step of its own, named after its file.
var own = []rule{
	on("HTTP, under the call", `^net/http/|^pelton/router/internal/http1/`),
	on("call: router", `^pelton/router/`),
	on("call: worker", `^pelton/worker/(call|group)\.go `),
	on("look-up of a stored result", `^pelton/worker/.*findResult|^pelton/jobs/store/results\.go .*Meta$|^pelton/jobs/store/internal/jet/direct\.go .*(LastMsg|leaderMsg)`),
	on("store: encode and publish", `^pelton/worker/store\.go |^pelton/jobs/store/results\.go .*(Put|put|pack|free|tored)|^pelton/jobs/store/meta\.go .*(writeTo|Headers|Set|reset)|^pelton/jobs/store/internal/jet/publisher\.go `),
	on("word to the owner", `^pelton/jobs/owner/owner\.go .*Stored$|^pelton/jobs/store/live\.go .*PublishStored$`),
	on("hand-over in memory", `^pelton/jobs/queue/memory\.go `),
	on("acknowledgement of the work", `^pelton/internal/nats/pull/delivery\.go .*(settle|Ack)$`),
	on("pull", `^pelton/internal/nats/pull/`),
	on("work message: decode", `^pelton/jobs/queue/(codec|item)\.go .*(Decode|Result)$|^pelton/jobs/store/internal/jet/text\.go `),
	on("worker: the loop", `^pelton/worker/(worker|serve)\.go |^pelton/jobs/queue/stream\.go .*(streamLease|Lease)`),
	on("feed: encode and publish", `^pelton/jobs/owner/(feed|shares|concurrency)\.go |^pelton/jobs/queue/(codec|stream)\.go |^pelton/jobs/store/workstream\.go `),
	on("owner: read the input", `^pelton/jobs/owner/(accept|input)\.go |^pelton/jobs/store/jobcheck\.go `),
	on("relay", `^pelton/jobs/owner/relay\.go `),
	on("owner: count and keep", `^pelton/jobs/owner/|^pelton/jobs/store/(records|cancels|queues|meta)\.go `),
	on("collector", `^pelton/jobs/(collector|wait)\.go |^pelton/jobs/store/(sequence|hub)\.go |^pelton/jobs/store/internal/jet/reader\.go |^pelton/jobs/store/results\.go .*(ecode|Get|JSON)$|^main/benchload\.go .*Run`),
	on("submit", `^pelton/jobs/client\.go |^main/benchload\.go .*submit`),
	on("fleet", `^pelton/internal/fleet/`),
	on("server: connections and routing", `^pelton/internal/nats/embednats/gather\.go `),
}

// helpers serve several steps: they count for what calls them.
var helpers = regexp.MustCompile(`^pelton/(schema|internal/(benchmark|denied))/|^pelton/jobs/store/internal/jet/conn\.go |^pelton/internal/retry/|^main/(app|main|bench)\.go `)

// others are the rules for stacks without a frame of ours: what libraries and
// the runtime do in goroutines of their own.
var others = []rule{
	on("server: storing", `nats-server/v2/server/(filestore|memstore|dirstore)\.go `),
	on("server: streams", `nats-server/v2/server/(stream|jetstream\w*|ipqueue)\.go `),
	on("server: consumers", `nats-server/v2/server/consumer\.go `),
	on("server: connections and routing", `nats-server/v2/`),
	on("nats.go", `^github\.com/nats-io/nats(%2e|\.)go`),
	on("garbage collection", `^runtime/.* (runtime\.)?(gcBgMarkWorker|bgsweep|bgscavenge|gcStart|gcMarkDone|gcDrain|scavenge|GC)`),
	on("scheduler", `^runtime/`),
}

const rest = "other"

// sample is one stack of a profile, the innermost frame first.
type sample struct {
	value  float64
	frames []string
}

// step decides what a stack counts for.
func (s sample) step() string {
	for _, frame := range s.frames {
		for _, r := range own {
			if r.frame.MatchString(frame) {
				return r.step
			}
		}
		if !helpers.MatchString(frame) && strings.HasPrefix(frame, "pelton/") {
			file, _, _ := strings.Cut(frame, " ")
			return strings.TrimPrefix(file, "pelton/")
		}
	}
	for _, r := range others {
		if slices.ContainsFunc(s.frames, r.frame.MatchString) {
			return r.step
		}
	}
	return rest
}

// table is the sums.
type table struct {
	unit  string // us or count
	steps map[string]float64
	total float64
}

// tally reads what pprof -traces -lines prints.
func tally(traces io.Reader) (*table, error) {
	t := &table{steps: map[string]float64{}}
	var s sample
	begun := false // the stack of s
	add := func() {
		if s.value > 0 {
			t.steps[s.step()] += s.value
			t.total += s.value
		}
		s, begun = sample{}, false
	}
	lines := bufio.NewScanner(traces)
	lines.Buffer(nil, 1<<20)
	inside := false
	for lines.Scan() {
		line := lines.Text()
		if kind, ok := strings.CutPrefix(line, "Type: "); ok {
			t.unit = map[string]string{"cpu": "µs"}[kind]
			t.unit = cmp.Or(t.unit, "objects")
		}
		if strings.HasPrefix(line, "-----------+") {
			add()
			inside = true
			continue
		}
		if !inside {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) > 0 && fields[len(fields)-1] == "(inline)" {
			fields = fields[:len(fields)-1]
		}
		if !begun && len(fields) == 3 {
			value, err := strconv.ParseFloat(strings.TrimSuffix(fields[0], "us"), 64)
			if err != nil {
				continue // a label of the goroutine
			}
			s.value, begun, fields = value, true, fields[1:]
		}
		if begun && len(fields) == 2 {
			s.frames = append(s.frames, frame(fields[0], fields[1]))
		}
	}
	add()
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if t.total == 0 {
		return nil, fmt.Errorf("the profile has no samples")
	}
	return t, nil
}

var number = regexp.MustCompile(`:\d+$`)

// frame is "package/file.go function".
func frame(function, file string) string {
	slash := strings.LastIndex(function, "/")
	dot := strings.Index(function[slash+1:], ".")
	pkg, name := function, ""
	if dot >= 0 {
		pkg, name = function[:slash+1+dot], function[slash+2+dot:]
	}
	return pkg + "/" + path.Base(number.ReplaceAllString(file, "")) + " " + name
}

// negligible is the share below which a step has no row of its own.
const negligible = 0.0005

// write prints the table, the most expensive first.
func (t *table) write(out io.Writer, n int) error {
	for name, value := range t.steps {
		if name != rest && value < negligible*t.total {
			t.steps[rest] += value
			delete(t.steps, name)
		}
	}
	var names []string
	for name := range t.steps {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(t.steps[b], t.steps[a]), cmp.Compare(a, b)) })
	row := func(name string, value float64) string {
		text := fmt.Sprintf("| %s | %.1f %% |", name, 100*value/t.total)
		if n > 0 {
			text += fmt.Sprintf(" %.1f |", value/float64(n))
		}
		return text + "\n"
	}
	var b strings.Builder
	if n > 0 {
		fmt.Fprintf(&b, "| Step | Share | %s per request |\n|---|---|---|\n", t.unit)
	} else {
		b.WriteString("| Step | Share |\n|---|---|\n")
	}
	for _, name := range names {
		b.WriteString(row(name, t.steps[name]))
	}
	b.WriteString(row("all", t.total))
	_, err := io.WriteString(out, b.String())
	return err
}
