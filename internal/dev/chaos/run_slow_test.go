//go:build slow

package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"pelton/internal/faultyllm"
	"pelton/schema"
)

// `pelton run` is killed four times over and gone on with, and then audited like
// any job: its output is what is stored.
func TestChaosRun(t *testing.T) {
	const total, concurrency, kills = 4000, 64, 4
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	dir := t.TempDir()
	binary, err := Build(ctx, "../../..", dir)
	if err != nil {
		t.Fatal(err)
	}
	llm, err := newUpstream(1)
	if err != nil {
		t.Fatal(err)
	}
	defer llm.Close()
	e := &Evidence{Cap: total, Slots: concurrency, Jobs: []Job{{ID: "run", Total: total, Concurrency: concurrency}}}
	input, output := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
	writeInput(t, input, total)

	for life := 1; ; life++ {
		name := "w0-" + strconv.Itoa(life)
		args := []string{"run", input, "-o", output, "-c", strconv.Itoa(concurrency), "--progress", "none"}
		if life > 1 {
			args = append(args, "--resume")
		}
		var said bytes.Buffer
		p, err := start(&said, exec.CommandContext(ctx, binary, args...), "OPENAI_API_KEY="+name, "OPENAI_BASE_URL="+llm.URL())
		if err != nil {
			t.Fatal(err)
		}
		if life > kills {
			<-p.Gone()
			if p.Code() != 0 {
				t.Fatalf("the last run ended with %d: %s", p.Code(), said.String())
			}
			break
		}
		if err := llm.Wait(ctx, func(s faultyllm.Stats) bool { return s.Answered >= life*total/(kills+1) }); err != nil {
			t.Fatalf("life %d: %v: %s", life, err, said.String())
		}
		f := Fault{Kind: KillWorker, Worker: name, Start: time.Now()}
		p.Kill()
		f.End = time.Now()
		e.Faults = append(e.Faults, f)
	}
	job := &e.Jobs[0]
	job.Results = readOutput(t, output)
	job.Ends = []End{{Seq: total, At: time.Now(), State: schema.Succeeded, Total: total, Counts: schema.Counts{Succeeded: total}}}
	for _, r := range job.Results { // a run has no end of its own that says what all of it cost
		job.Ends[0].Bill.AddBill(r.Bill)
	}
	e.Calls = callsOf(llm)
	v := Audit(e)
	// A run that is killed leaves no word of the calls that it had in flight, and of
	// those whose answers were on their way to the store: no result lists them.
	unlisted := 0
	for _, found := range v.Violations {
		if found.Breach == BillUnlisted {
			unlisted++
			continue
		}
		t.Errorf("%s: %s: %s", found.Breach, found.Where, found.Text)
	}
	if most := 2 * concurrency * kills; unlisted > most {
		t.Errorf("%d requests have calls that no result lists, more than the %d that can have been on their way at %d kills", unlisted, most, kills)
	}
	for i, r := range job.Results {
		if r.Index != i {
			t.Fatalf("line %d of the output is index %d", i, r.Index)
		}
	}
	t.Logf("%d requests, %d kills: %d calls, %d counted retries, %d beyond", total, kills, v.Calls, v.Retries, sum(v.Extra))
}

func writeInput(t *testing.T, path string, total int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	var lines []byte
	for i := range total {
		lines = append(schema.AppendRequest(lines, request(rng, "run", i, false)), '\n')
	}
	if err := os.WriteFile(path, lines, 0o600); err != nil {
		t.Fatal(err)
	}
}

func readOutput(t *testing.T, path string) []Stored {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []Stored
	for line := range bytes.Lines(data) {
		var r schema.Result
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(fmt.Errorf("line %d: %w", len(list), err))
		}
		list = append(list, Stored{
			Index: r.Index, Seq: uint64(len(list)), At: *r.FinishedAt, Finished: *r.FinishedAt, Status: r.Status,
			CustomID: r.CustomID, Answer: answerOf(&r), Attempts: r.Attempts, Bill: r.Bill(),
		})
	}
	return list
}
