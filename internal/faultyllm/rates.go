package faultyllm

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Rates gives faults the share of calls that meet them. Its text form, for
// flags, is "rate_limit=0.1,reset=0.01"; in JSON it is an object or that text.
type Rates map[Fault]float64

// UnmarshalText adds the rates of a text to r, so that a flag can be repeated.
func (r *Rates) UnmarshalText(text []byte) error {
	sum := maps.Clone(*r)
	if sum == nil {
		sum = Rates{}
	}
	for part := range strings.SplitSeq(string(text), ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return fmt.Errorf("fault rate %q: want name=share, such as reset=0.01", part)
		}
		f, err := ParseFault(strings.TrimSpace(name))
		if err != nil {
			return err
		}
		share, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return fmt.Errorf("fault rate %q: %q is no number", part, value)
		}
		sum[f] = share
	}
	*r = sum
	return nil
}

// MarshalText writes the rates in alphabetical order.
func (r Rates) MarshalText() ([]byte, error) {
	var out []byte
	for _, f := range slices.Sorted(maps.Keys(r)) {
		if len(out) > 0 {
			out = append(out, ',')
		}
		out = append(out, f...)
		out = append(out, '=')
		out = strconv.AppendFloat(out, r[f], 'g', -1, 64)
	}
	return out, nil
}

// MarshalJSON writes an object, in spite of MarshalText.
func (r Rates) MarshalJSON() ([]byte, error) {
	if r == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(map[Fault]float64(r))
}

// UnmarshalJSON replaces r by the rates of an object or a text.
func (r *Rates) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		fresh := Rates{}
		if err := fresh.UnmarshalText([]byte(text)); err != nil {
			return err
		}
		*r = fresh
		return nil
	}
	var fresh map[Fault]float64
	if err := json.Unmarshal(data, &fresh); err != nil {
		return err
	}
	*r = fresh
	return nil
}

func (r Rates) validate() []error {
	var errs []error
	var sum float64
	for _, f := range slices.Sorted(maps.Keys(r)) {
		if _, err := ParseFault(string(f)); err != nil {
			errs = append(errs, fmt.Errorf("faults: %w", err))
		}
		if !(r[f] >= 0 && r[f] <= 1) {
			errs = append(errs, fmt.Errorf("faults: the share of %s must be between 0 and 1, not %v", f, r[f]))
		}
		sum += r[f]
	}
	// The shares come from decimal text: ten times 0.1 is a hair off 1.
	if sum > 1+1e-9 {
		errs = append(errs, errors.New("faults: the shares add up to more than 1"))
	}
	return errs
}

// share is one step of the ladder a draw from [0,1) falls onto.
type share struct {
	fault Fault
	below float64
}

func (r Rates) shares() []share {
	var out []share
	var sum float64
	for _, f := range slices.Sorted(maps.Keys(r)) {
		if r[f] > 0 {
			sum += r[f]
			out = append(out, share{f, sum})
		}
	}
	// All calls fail if the shares say so, whatever was lost to rounding.
	if sum > 1-1e-9 && len(out) > 0 {
		out[len(out)-1].below = 1
	}
	return out
}
