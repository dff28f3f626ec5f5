package chaos

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"pelton/schema"
)

// order is one job to submit, and what is to become of it.
type order struct {
	job      schema.Job
	total    int
	cancel   time.Duration // after its submit; 0: never
	bulk     bool          // by a reader of lines, through the object store
	readers  []schema.Order
	commands []bool // for each reader: a `pelton results` process, not the Go client
}

// orderOf draws the k-th job of a round.
func orderOf(seed uint64, round, k int) order {
	rng := rand.New(rand.NewPCG(seed, uint64(round)<<32|uint64(k)))
	o := order{job: schema.Job{
		ID: fmt.Sprintf("r%d-j%d", round, k), Concurrency: pick(rng, 1, 4, 8, 16, 16, 32, 48, 64),
	}}
	switch n := rng.IntN(10); {
	case n == 0:
		o.total = 1
	case n < 3:
		o.total = 10 + rng.IntN(40)
	case n < 7:
		o.total = 200 + rng.IntN(400)
	default:
		o.total = 1000 + rng.IntN(1500)
	}
	o.total = min(o.total, 60*o.job.Concurrency) // else the round waits for it
	failing := -1
	switch rng.IntN(10) {
	case 0:
		o.job.FailFast.Failures = 1
		failing = rng.IntN(o.total)
	case 1:
		o.cancel = time.Duration(300+rng.IntN(3000)) * time.Millisecond
	}
	o.bulk = rng.IntN(4) == 0
	o.job.Requests = make([]schema.Request, o.total)
	for i := range o.job.Requests {
		o.job.Requests[i] = request(rng, o.job.ID, i, i == failing)
	}
	for range 1 + rng.IntN(2) {
		o.readers = append(o.readers, pick(rng, schema.OrderInput, schema.OrderCompletion))
		o.commands = append(o.commands, rng.IntN(3) == 0)
	}
	return o
}

// request makes one request: its text says whose it is, its length varies, and
// one in forty fails once or twice before it succeeds.
func request(rng *rand.Rand, job string, index int, fails bool) schema.Request {
	body := map[string]any{
		"model": "m",
		"messages": []any{map[string]string{
			"role": "user", "content": label(job, index) + strings.Repeat("x", rng.IntN(1500)),
		}},
	}
	switch n := rng.IntN(400); {
	case fails:
		body["mock"] = map[string]any{"status": 400}
	case n < 4:
		body["mock"] = map[string]any{"status": 500, "times": 1 + rng.IntN(2)}
	case n < 8:
		body["mock"] = map[string]any{"fault": "reset", "times": 1}
	case n < 9:
		body["mock"] = map[string]any{"status": 429, "times": 1}
	}
	data, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return schema.Request{Body: data, CustomID: customID(job, index)}
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }
