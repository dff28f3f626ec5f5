package benchmark

import (
	"math"
	"slices"
	"time"
)

// Report is all that was measured.
type Report struct {
	At      time.Time `json:"at"`
	Machine Machine   `json:"machine"`
	Rounds  int       `json:"rounds"`
	Cells   []Cell    `json:"cells"`
	Idle    []Idle    `json:"idle,omitempty"`
	Cancels []Cancel  `json:"cancels,omitempty"`
	Startup *Startup  `json:"startup,omitempty"`

	Files []FileRuns `json:"files,omitempty"`
}

// Machine is where.
type Machine struct {
	OS    string `json:"os"`
	Arch  string `json:"arch"`
	CPU   string `json:"cpu,omitempty"` // its name, where the system tells
	Cores int    `json:"cores"`
	Go    string `json:"go"`
}

// Cell is one setting, in which each program was measured.
type Cell struct {
	InFlight int       `json:"in_flight"`
	Latency  Duration  `json:"latency"`
	Jobs     int       `json:"jobs"`     // at once
	Requests int       `json:"requests"` // of each program in each round, all jobs together
	Programs []Program `json:"programs"`
}

// Duration is a time that is JSON as people write it: "50ms".
type Duration time.Duration

// MarshalText writes it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads it.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// Spread is a figure over the rounds.
type Spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// Program is what one program did in a cell. CPU, memory and allocations are
// those of its own process; Pelton's holds its NATS server too, when that is
// embedded.
type Program struct {
	Name       string  `json:"name"`
	Rate       Spread  `json:"requests_per_second"`
	Ratio      Spread  `json:"ratio"`              // to net/http, in the same round
	RatioTyped Spread  `json:"ratio_to_go_openai"` // likewise
	CPU        float64 `json:"cpu_us_per_request"` // microseconds; medians, as all that follows
	CPURatio   float64 `json:"cpu_ratio"`          // to net/http
	Allocs     float64 `json:"allocs_per_request"`
	Bytes      float64 `json:"alloc_bytes_per_request"`
	Peak       int64   `json:"peak_memory_bytes"`            // the most in all rounds
	Upstream   float64 `json:"upstream_cores"`               // cores that the upstream kept busy
	NATS       float64 `json:"nats_cpu_us_per_request"`      // of a NATS server in a process of its own; 0: there is none of ours
	JobMedian  float64 `json:"job_seconds_median,omitempty"` // with several jobs at once: when their last answers came
	JobSlowest float64 `json:"job_seconds_slowest,omitempty"`
	Calls      int     `json:"upstream_calls"` // in all rounds
	Answers    int     `json:"answers"`        // likewise; each was checked to be its request's own
}

// Idle is a job of one request on a system that has nothing else to do, against
// the bare call. All times are milliseconds.
type Idle struct {
	Name     string  `json:"name"`
	Jobs     int     `json:"jobs"`
	JobP50   float64 `json:"job_p50_ms"`
	JobP99   float64 `json:"job_p99_ms"`
	CallP50  float64 `json:"call_p50_ms"`
	CallP99  float64 `json:"call_p99_ms"`
	AddedP50 float64 `json:"added_p50_ms"` // the difference of the two
	AddedP99 float64 `json:"added_p99_ms"`
}

// Cancel is how soon a cancel is felt, in milliseconds after it was asked for.
type Cancel struct {
	Name     string `json:"name"`
	Times    int    `json:"times"`
	InFlight int    `json:"in_flight"`
	Waiting  int    `json:"waiting"`
	Aborted  Spread `json:"last_call_aborted_ms"` // at the upstream
	Ended    Spread `json:"state_cancelled_ms"`
}

// Startup is how long the command takes from the start of its process, in
// milliseconds.
type Startup struct {
	Starts    int    `json:"starts"`
	FirstCall Spread `json:"first_call_ms"` // of pelton run, on a file of 10 lines, at the upstream
	Whole     Spread `json:"whole_run_ms"`  // to its end
	Help      Spread `json:"help_ms"`       // pelton --help, to its end
}

// sample is one program in one round.
type sample struct {
	seconds float64
	used    usage
	ends    []float64
	model   float64 // seconds of CPU of the upstream
	nats    float64 // and of the NATS server
	calls   int
}

// program sums up. The samples of all programs stand in the same order of rounds.
func (c *Cell) program(name string, own, plain, typed []sample) Program {
	n := float64(c.Requests)
	rate := func(s sample) float64 { return n / s.seconds }
	over := func(base []sample) Spread {
		ratios := make([]float64, len(own))
		for i := range own {
			ratios[i] = rate(own[i]) / rate(base[i])
		}
		return spread(ratios)
	}
	p := Program{
		Name: name, Rate: spread(each(own, rate)), Ratio: over(plain), RatioTyped: over(typed),
		CPU:      median(each(own, func(s sample) float64 { return s.used.CPU / n * 1e6 })),
		Allocs:   median(each(own, func(s sample) float64 { return s.used.Allocs / n })),
		Bytes:    median(each(own, func(s sample) float64 { return s.used.Bytes / n })),
		Upstream: median(each(own, func(s sample) float64 { return s.model / s.seconds })),
		NATS:     median(each(own, func(s sample) float64 { return s.nats / n * 1e6 })),
		Answers:  c.Requests * len(own),
	}
	ratios := make([]float64, len(own))
	for i, s := range own {
		p.Peak = max(p.Peak, s.used.Peak)
		p.Calls += s.calls
		if plain[i].used.CPU > 0 {
			ratios[i] = s.used.CPU / plain[i].used.CPU
		}
	}
	p.CPURatio = median(ratios)
	if c.Jobs > 1 {
		p.JobMedian = median(each(own, func(s sample) float64 { return median(s.ends) }))
		p.JobSlowest = median(each(own, func(s sample) float64 { return slices.Max(s.ends) }))
	}
	return p
}

func each(list []sample, f func(sample) float64) []float64 {
	out := make([]float64, len(list))
	for i, s := range list {
		out[i] = f(s)
	}
	return out
}

func spread(list []float64) Spread {
	return Spread{median(list), slices.Min(list), slices.Max(list)}
}

func median(list []float64) float64 { return quantile(list, 0.5) }

// quantile interpolates between the two nearest.
func quantile(list []float64, q float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}
