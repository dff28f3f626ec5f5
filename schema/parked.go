package schema

import (
	"encoding/json"
	"time"
)

// StatusParked stands in the place of a status where a request waits for its
// ready time. No result has it.
const StatusParked Status = "parked"

// Parked is what whoever runs a request next must know of it: because it has to
// wait longer than a worker's slot should be held for it, or because a worker
// that had begun it was not heard of again.
type Parked struct {
	ReadyAt  time.Time `json:"ready_at"`           // not before
	LeftMs   int64     `json:"left_ms"`            // of its time, as seen when it was parked
	Until    time.Time `json:"until,omitzero"`     // when its time is over, waits included; zero: LeftMs from its return on
	Reason   string    `json:"reason"`             // for people
	Model    string    `json:"model,omitempty"`    // that it waits for
	Cause    string    `json:"cause,omitempty"`    // as [Waiting] has it
	Attempts []Attempt `json:"attempts,omitempty"` // made so far

	// Heard says that a word came of every start before this record was made: it was
	// parked. Otherwise nobody knows how its first start went, which is not counted.
	Heard bool `json:"heard,omitempty"`

	// Starts is how often it was begun after its first delivery without a word of
	// how that went, and Begun says when, the first first. Records of older
	// versions have the number alone.
	Starts int     `json:"starts,omitempty"`
	Begun  []Start `json:"begun,omitempty"`

	// HeldSince is since when it waits for a time in which it can be begun apart
	// from others; nil: it does not.
	HeldSince *time.Time `json:"held_since,omitempty"`
}

// Start is one time that a request was begun, by a worker that was not heard of
// again while it ran.
type Start struct {
	At      time.Time `json:"at"`
	Worker  string    `json:"worker"`             // its name
	AliveMs int64     `json:"alive_ms,omitempty"` // for so long after the start the worker is known to have lived
	ApartMs int64     `json:"apart_ms,omitempty"` // for so long the worker was to begin no other that is suspected; 0: it was not begun apart
}

// Lost lists the starts of which no word came, as attempts of which nobody knows the
// usage: each may have come to a call, or to several. began is when the first may have
// been; with running the last start is under way, and not among them. A nil p is that
// of a request which was begun once.
func (p *Parked) Lost(began time.Time, running bool) []Attempt {
	if p == nil {
		return []Attempt{LostAttempt(began)}
	}
	var list []Attempt
	if !p.Heard {
		list = append(list, LostAttempt(began))
	}
	for _, s := range p.Begun {
		at := s.At
		if at.IsZero() {
			at = began
		}
		list = append(list, LostAttempt(at))
		list[len(list)-1].LatencyMs = float64(s.AliveMs)
	}
	if running && len(list) > 0 {
		list = list[:len(list)-1]
	}
	return list
}

// LostAttempt is a start of which no word came.
func LostAttempt(began time.Time) Attempt {
	return Attempt{StartedAt: began.UTC(), UsageUnknown: true, Error: &Error{Class: ClassInternal, Code: CodeWorkerDied,
		Message: "the worker that had begun it was not heard of again: it may have been called and billed"}}
}

// Lost reports whether an attempt is a start of which no word came, see [Parked.Lost].
func (a *Attempt) Lost() bool {
	return a.UsageUnknown && a.Deployment == "" && a.Error != nil && a.Error.Code == CodeWorkerDied
}

// ParseParked reads a message of the parked stream.
func ParseParked(data []byte) (*Parked, error) {
	p := new(Parked)
	if err := json.Unmarshal(data, p); err != nil {
		return nil, err
	}
	if missing := p.Starts - len(p.Begun); missing > 0 && missing < maxStarts {
		p.Begun = append(make([]Start, missing), p.Begun...)
	}
	p.Starts = len(p.Begun)
	return p, nil
}

// maxStarts bounds what a number in a message can have its reader hold.
const maxStarts = 1000
