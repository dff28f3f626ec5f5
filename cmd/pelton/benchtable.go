package main

import (
	"fmt"
	"strconv"
	"time"

	"pelton/internal/benchmark"
)

// benchTables are a report for people.
func benchTables(r *benchmark.Report) []table {
	var list []table
	if len(r.Cells) > 0 {
		list = append(list, benchCells(r.Cells))
	}
	if t := benchJobs(r.Cells); len(t) > 1 {
		list = append(list, t)
	}
	if len(r.Files) > 0 {
		list = append(list, benchFiles(r.Files))
	}
	if len(r.Idle) > 0 {
		list = append(list, benchIdle(r.Idle))
	}
	if len(r.Cancels) > 0 {
		list = append(list, benchCancels(r.Cancels))
	}
	if r.Startup != nil {
		list = append(list, benchStartup(r.Startup))
	}
	return list
}

func benchCells(cells []benchmark.Cell) table {
	t := table{{"IN FLIGHT", "LATENCY", "JOBS", "PROGRAM", "REQ/S", "RATIO", "LOW-HIGH", "OF TYPED", "CPU µs", "ALLOCS", "PEAK", "UPSTREAM"}}
	for _, c := range cells {
		for _, p := range c.Programs {
			cpu := decimals(p.CPU, 0)
			if p.NATS > 0 {
				cpu += " + " + decimals(p.NATS, 0)
			}
			t = append(t, []string{
				strconv.Itoa(c.InFlight), time.Duration(c.Latency).String(), strconv.Itoa(c.Jobs), p.Name,
				decimals(p.Rate.Median, 0), decimals(p.Ratio.Median, 3), decimals(p.Ratio.Low, 2) + "-" + decimals(p.Ratio.High, 2),
				decimals(p.RatioTyped.Median, 2), cpu, decimals(p.Allocs, 0), bytesText(p.Peak), decimals(p.Upstream, 2) + " cores",
			})
		}
	}
	return t
}

// benchJobs is when jobs ended, where several ran at once.
func benchJobs(cells []benchmark.Cell) table {
	t := table{{"IN FLIGHT", "LATENCY", "JOBS", "PROGRAM", "MEDIAN JOB", "SLOWEST JOB", "SLOWEST TO MEDIAN"}}
	for _, c := range cells {
		for _, p := range c.Programs {
			if p.JobMedian > 0 {
				t = append(t, []string{
					strconv.Itoa(c.InFlight), time.Duration(c.Latency).String(), strconv.Itoa(c.Jobs), p.Name,
					decimals(p.JobMedian, 2) + " s", decimals(p.JobSlowest, 2) + " s", decimals(p.JobSlowest/p.JobMedian, 2),
				})
			}
		}
	}
	return t
}

func benchFiles(list []benchmark.FileRuns) table {
	t := table{{"FILE TO FILE", "IN FLIGHT", "LATENCY", "PROGRAM", "SECONDS", "RATIO", "LOW-HIGH", "ABOVE PLAIN", "CPU µs", "PEAK"}}
	for _, c := range list {
		for _, p := range c.Programs {
			t = append(t, []string{
				strconv.Itoa(c.Requests), strconv.Itoa(c.InFlight), time.Duration(c.Latency).String(), p.Name,
				decimals(p.Seconds.Median, 3), decimals(p.Ratio.Median, 3), decimals(p.Ratio.Low, 2) + "-" + decimals(p.Ratio.High, 2),
				milliseconds(p.Above.Median), decimals(p.CPU, 0), bytesText(p.Peak),
			})
		}
	}
	return t
}

func benchIdle(list []benchmark.Idle) table {
	t := table{{"JOB OF ONE REQUEST", "JOB p50", "p99", "CALL p50", "p99", "ADDED p50", "p99"}}
	for _, one := range list {
		t = append(t, []string{
			one.Name, milliseconds(one.JobP50), milliseconds(one.JobP99), milliseconds(one.CallP50), milliseconds(one.CallP99),
			milliseconds(one.AddedP50), milliseconds(one.AddedP99),
		})
	}
	return t
}

func benchCancels(list []benchmark.Cancel) table {
	t := table{{"CANCEL", "IN FLIGHT", "WAITING", "LAST CALL ABORTED", "LOW-HIGH", "STATE CANCELLED", "LOW-HIGH"}}
	for _, one := range list {
		t = append(t, []string{
			one.Name, strconv.Itoa(one.InFlight), strconv.Itoa(one.Waiting),
			milliseconds(one.Aborted.Median), milliseconds(one.Aborted.Low) + " - " + milliseconds(one.Aborted.High),
			milliseconds(one.Ended.Median), milliseconds(one.Ended.Low) + " - " + milliseconds(one.Ended.High),
		})
	}
	return t
}

func benchStartup(s *benchmark.Startup) table {
	row := func(what string, x benchmark.Spread) []string {
		return []string{what, milliseconds(x.Median), milliseconds(x.Low), milliseconds(x.High)}
	}
	return table{
		{"FROM THE START OF THE PROCESS", "MEDIAN", "LOW", "HIGH"},
		row("pelton run, 10 requests: first call at the upstream", s.FirstCall),
		row("pelton run, 10 requests: end of the process", s.Whole),
		row("pelton --help: end of the process", s.Help),
	}
}

func decimals(x float64, n int) string { return strconv.FormatFloat(x, 'f', n, 64) }

func milliseconds(x float64) string { return fmt.Sprintf("%.2f ms", x) }
