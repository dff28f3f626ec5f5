package schema

import (
	"encoding/json"
	"time"
)

// StatusParked stands in the place of a status where a request waits for its
// ready time. No result has it.
const StatusParked Status = "parked"

// Parked is a request that has to wait longer than a worker's slot should be
// held for it: what whoever runs it next must know.
type Parked struct {
	ReadyAt  time.Time `json:"ready_at"`           // not before
	LeftMs   int64     `json:"left_ms"`            // of its timeout; the wait does not count
	Reason   string    `json:"reason"`             // for people
	Attempts []Attempt `json:"attempts,omitempty"` // made so far
}

// ParseParked reads a message of the parked stream.
func ParseParked(data []byte) (*Parked, error) {
	p := new(Parked)
	if err := json.Unmarshal(data, p); err != nil {
		return nil, err
	}
	return p, nil
}
