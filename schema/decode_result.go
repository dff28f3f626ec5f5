package schema

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// readResult is encoding/json's reading of a result, for what results look like
// as a rule: collectors read them by the million. It reports false for anything
// out of the ordinary (an escaped string, a field twice or in another case or
// of another type): then encoding/json decides.
func readResult(data []byte) (r *Result, hasIndex, ok bool) {
	if !json.Valid(data) {
		return nil, false, false
	}
	d := &decoder{}
	r = new(Result)
	d.object(data, func(key, v []byte) {
		switch string(key) {
		case "id":
			r.ID = d.text(v)
		case "job":
			r.Job = d.text(v)
		case "index":
			r.Index, hasIndex = int(d.int(v)), true
		case "custom_id":
			r.CustomID = d.text(v)
		case "status":
			r.Status = Status(d.text(v))
		case "request":
			r.Request = bytes.Clone(v)
		case "response":
			r.Response = d.response(v)
		case "error":
			r.Error = d.error(v)
		case "attempts":
			r.Attempts = d.attempts(v)
		case "usage":
			r.Usage = d.usage(v)
		case "cost":
			r.Cost = d.optional(v)
		case "unknown_attempts":
			r.UnknownAttempts = int(d.int(v))
		case "unpriced_attempts":
			r.UnpricedAttempts = int(d.int(v))
		case "ttft_ms":
			r.TTFTMs = d.optional(v)
		case "incomplete":
			r.Incomplete = d.text(v)
		case "queued_at":
			r.QueuedAt = d.moment(v)
		case "started_at":
			r.StartedAt = d.moment(v)
		case "finished_at":
			r.FinishedAt = d.moment(v)
		default:
			d.unknown(key)
		}
	})
	return r, hasIndex, !d.odd
}

// decoder reads values of known types and notes when one is not what it should be.
type decoder struct{ odd bool }

func (d *decoder) object(v []byte, member func(key, value []byte)) {
	if len(v) == 0 || v[skipSpace(v, 0)] != '{' {
		d.odd = true
		return
	}
	var seen [24][]byte
	n := 0
	_ = walkObject(v, func(f field) {
		for _, other := range seen[:n] {
			d.odd = d.odd || bytes.Equal(other, f.key)
		}
		if n < len(seen) {
			seen[n] = f.key
			n++
		} else {
			d.odd = true
		}
		if !d.odd {
			member(f.key, v[f.start:f.end])
		}
	})
}

// unknown notes a field that encoding/json might take for a known one.
func (d *decoder) unknown(key []byte) {
	for _, c := range key {
		if c < ' ' || c >= 0x7f || 'A' <= c && c <= 'Z' {
			d.odd = true
		}
	}
}

func (d *decoder) text(v []byte) string {
	if len(v) < 2 || v[0] != '"' {
		d.odd = true
		return ""
	}
	inner := v[1 : len(v)-1]
	for _, c := range inner {
		if c == '\\' || c >= 0x80 {
			d.odd = true
			return ""
		}
	}
	return string(inner)
}

func (d *decoder) int(v []byte) int64 {
	n, err := strconv.ParseInt(string(v), 10, 64)
	d.odd = d.odd || err != nil
	return n
}

func (d *decoder) number(v []byte) float64 {
	x, err := strconv.ParseFloat(string(v), 64)
	d.odd = d.odd || err != nil
	return x
}

func (d *decoder) bool(v []byte) bool {
	d.odd = d.odd || string(v) != "true" && string(v) != "false"
	return string(v) == "true"
}

func (d *decoder) optional(v []byte) *float64 {
	if string(v) == "null" {
		return nil
	}
	x := d.number(v)
	return &x
}

func (d *decoder) time(v []byte) (t time.Time) {
	if len(v) < 2 || v[0] != '"' || t.UnmarshalText(v[1:len(v)-1]) != nil {
		d.odd = true
	}
	return t
}

func (d *decoder) moment(v []byte) *time.Time {
	if string(v) == "null" {
		return nil
	}
	t := d.time(v)
	return &t
}

func (d *decoder) response(v []byte) *Response {
	if string(v) == "null" {
		return nil
	}
	r := new(Response)
	d.object(v, func(key, v []byte) {
		switch string(key) {
		case "status_code":
			r.StatusCode = int(d.int(v))
		case "request_id":
			r.RequestID = d.text(v)
		case "body":
			r.Body = bytes.Clone(v)
		case "body_base64":
			d.odd = true // so rare that encoding/json reads it
		default:
			d.unknown(key)
		}
	})
	return r
}

func (d *decoder) error(v []byte) *Error {
	if string(v) == "null" {
		return nil
	}
	e := new(Error)
	d.object(v, func(key, v []byte) {
		switch string(key) {
		case "class":
			e.Class = Class(d.text(v))
		case "code":
			e.Code = d.text(v)
		case "type":
			e.Type = d.text(v)
		case "message":
			e.Message = d.text(v)
		case "param":
			e.Param = d.text(v)
		case "status_code":
			e.StatusCode = int(d.int(v))
		default:
			d.unknown(key)
		}
	})
	return e
}

func (d *decoder) attempts(v []byte) []Attempt {
	if v[0] != '[' {
		d.odd = true
		return nil
	}
	list := make([]Attempt, 0, 1)
	walkArray(v, func(element []byte, _ int) bool {
		var a Attempt
		d.object(element, func(key, v []byte) {
			switch string(key) {
			case "deployment":
				a.Deployment = d.text(v)
			case "model":
				a.Model = d.text(v)
			case "started_at":
				a.StartedAt = d.time(v)
			case "latency_ms":
				a.LatencyMs = d.number(v)
			case "waited_ms":
				a.WaitedMs = d.number(v)
			case "status_code":
				a.StatusCode = int(d.int(v))
			case "error":
				a.Error = d.error(v)
			case "usage":
				a.Usage = d.usage(v)
			case "cost":
				a.Cost = d.optional(v)
			case "usage_unknown":
				a.UsageUnknown = d.bool(v)
			case "ttft_ms":
				a.TTFTMs = d.optional(v)
			default:
				d.unknown(key)
			}
		})
		list = append(list, a)
		return !d.odd
	})
	return list
}

func (d *decoder) usage(v []byte) *Usage {
	if string(v) == "null" {
		return nil
	}
	u := new(Usage)
	d.object(v, func(key, v []byte) {
		switch string(key) {
		case "prompt_tokens":
			u.PromptTokens = d.int(v)
		case "completion_tokens":
			u.CompletionTokens = d.int(v)
		case "total_tokens":
			u.TotalTokens = d.int(v)
		default:
			d.unknown(key)
		}
	})
	return u
}
