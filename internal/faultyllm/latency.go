package faultyllm

import (
	"fmt"
	"math"
	"time"
)

// LatencyDist is how latencies spread around [Config.Latency].
type LatencyDist string

const (
	// Fixed: always Latency. Takes no Jitter.
	Fixed LatencyDist = "fixed"
	// Uniform: evenly between Latency-Jitter and Latency+Jitter, never below 0.
	Uniform LatencyDist = "uniform"
	// Exponential: a mean of Latency, often short, now and then very long.
	// Takes no Jitter.
	Exponential LatencyDist = "exp"
	// LogNormal: a median of Latency with a long tail; about one call in six
	// takes longer than Latency+Jitter. Jitter 0 stands for half of Latency.
	LogNormal LatencyDist = "lognormal"
)

func (d LatencyDist) validate(jitter time.Duration) error {
	switch d {
	case "", Uniform, LogNormal:
		return nil
	case Fixed, Exponential:
		if jitter != 0 {
			return fmt.Errorf("latency_dist %q takes no jitter", d)
		}
		return nil
	}
	return fmt.Errorf("latency_dist %q is none of %s, %s, %s, %s", d, Fixed, Uniform, Exponential, LogNormal)
}

func (d LatencyDist) orDefault(jitter time.Duration) LatencyDist {
	switch {
	case d != "":
		return d
	case jitter > 0:
		return Uniform
	}
	return Fixed
}

// pick turns two even draws from [0,1) into a latency.
func (d LatencyDist) pick(latency, jitter time.Duration, u, v float64) time.Duration {
	mean, spread := float64(latency), float64(jitter)
	var t float64
	switch d {
	case Uniform:
		t = mean + (2*u-1)*spread
	case Exponential:
		t = -mean * math.Log(1-u)
	case LogNormal:
		if mean == 0 {
			return 0
		}
		if spread == 0 {
			spread = mean / 2
		}
		// Box-Muller. One standard deviation up is Latency+Jitter.
		normal := math.Sqrt(-2*math.Log(1-u)) * math.Cos(2*math.Pi*v)
		t = mean * math.Exp(normal*math.Log1p(spread/mean))
	default:
		t = mean
	}
	// A day is more than any test waits, and keeps the conversion in range.
	return time.Duration(min(max(t, 0), float64(24*time.Hour)))
}
