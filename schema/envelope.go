package schema

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// envelope reads the fields around the requests into a job.
type envelope struct {
	*checker
	job *Job
}

// jobFields are the names an envelope can have, in the order people read them.
var jobFields = []string{
	"id", "requests", "input", "concurrency", "order", "fail_fast", "reply", "callback", "notify", "timeout", "deadline", "max_cost",
	"defaults", "tags", "include_request", "invalid", "metadata",
}

// member reads one field of the envelope.
func (p *envelope) member(seen map[string]json.RawMessage, key string, raw json.RawMessage, depth int) {
	if _, again := seen[key]; again {
		p.flag(ProblemDuplicateField, clip(key), "stands twice; keep one")
		p.flush()
		return
	}
	seen[key] = raw
	j := p.job
	var bad fault
	switch key {
	case "id":
		var id string
		if id, bad = readString(raw); bad.code == "" {
			if text := idFault(id); text != "" {
				bad = faulty(ProblemValue, "%s, not %q", text, clip(id))
			} else {
				j.ID = id
			}
		}
	case "requests":
		if raw[0] != '[' {
			bad = faulty(ProblemType, "must be an array of requests, not %s", kind(raw))
		}
	case "input":
		j.Input, bad = p.input(raw)
	case "concurrency":
		if string(raw) == `"auto"` {
			j.Concurrency = AutoConcurrency
			bad = checkConcurrency(j.Concurrency, p.limits.AutoConcurrency)
		} else {
			j.Concurrency, bad = readInt(raw, 1, MaxConcurrency)
		}
	case "order":
		var order string
		if order, bad = readString(raw); bad.code == "" {
			j.Order = Order(order)
			bad = checkOrder(j.Order, false)
		}
	case "fail_fast":
		j.FailFast, bad = p.failFast(raw)
	case "reply":
		var reply string
		if reply, bad = readString(raw); bad.code == "" {
			if bad = checkReply(reply, p.limits.Prefix); bad.code == "" {
				j.Reply = reply
			}
		}
	case "callback":
		var name string
		if name, bad = readString(raw); bad.code == "" {
			if bad = checkCallback(name); bad.code == "" {
				j.Callback = name
			}
		}
	case "notify":
		var subject string
		if subject, bad = readString(raw); bad.code == "" {
			if bad = checkReply(subject, p.limits.Prefix); bad.code == "" {
				j.Notify = subject
			}
		}
	case "timeout":
		j.Timeout, bad = readDuration(raw)
	case "deadline":
		j.Deadline, bad = readDeadline(raw)
	case "max_cost":
		cost, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			bad = faulty(ProblemType, "must be a number above 0, in USD")
		} else if bad = checkCost(cost); bad.code == "" {
			j.MaxCost = cost
		}
	case "tags":
		var tags []string
		if json.Unmarshal(raw, &tags) != nil || raw[0] != '[' {
			bad = faulty(ProblemType, "must be an array of strings, not %s", kind(raw))
		} else if bad = checkTags(tags); bad.code == "" {
			j.Tags = tags
		}
	case "defaults":
		j.Defaults, bad = readObject(raw)
	case "include_request":
		j.IncludeRequest, bad = readBool(raw)
	case "invalid":
		if string(raw) != `"skip"` {
			bad = faulty(ProblemValue, `must be "skip" or left out`)
		}
		j.SkipInvalid = bad.code == ""
	case "metadata":
		if j.Metadata, bad = readObject(raw); bad.code == "" {
			if bad = p.checkMetadata(raw, depth); bad.code != "" {
				j.Metadata = nil
			}
		}
	default:
		hint := ""
		if p.problems.Total < MaxProblems {
			hint = suggest(key)
		}
		bad = faulty(ProblemUnknownField, "is no field of a job%s", hint)
	}
	p.flagFault(bad, clip(key))
	p.flush()
}

func (p *envelope) checkMetadata(raw []byte, depth int) fault {
	if len(raw) > p.limits.MaxMetadata {
		return faulty(ProblemTooLarge, "is %d bytes long; at most %d is allowed, as every state message carries it", len(raw), p.limits.MaxMetadata)
	}
	if depth > p.limits.MaxDepth {
		return faulty(ProblemTooLarge, "nests %d deep; at most %d is allowed", depth, p.limits.MaxDepth)
	}
	return fault{}
}

func checkOrder(order Order, absent bool) fault {
	if order == OrderCompletion || order == OrderInput || absent && order == OrderDefault {
		return fault{}
	}
	return faulty(ProblemValue, `must be "completion" or "input", not %q`, clip(string(order)))
}

func (p *envelope) input(raw []byte) (*Input, fault) {
	if raw[0] != '{' {
		return nil, faulty(ProblemType, `must be an object {"object": NAME}, not %s`, kind(raw))
	}
	in := Input{}
	p.keys.reset()
	found := false
	_ = walkObject(raw, func(f field) {
		var bad fault
		switch key := string(f.key); {
		case !p.keys.add(f.key):
			bad = faulty(ProblemDuplicateField, "stands twice; keep one")
		case key == "object":
			found = true
			if in.Object, bad = readString(raw[f.start:f.end]); bad.code == "" {
				bad = checkText(in.Object, maxObject)
			}
		case key == "endpoint":
			in.Endpoint, bad = readEndpoint(raw[f.start:f.end])
		default:
			bad = faulty(ProblemUnknownField, `is no field of an input, which has "object" and "endpoint"`)
		}
		p.flagFault(bad, "input."+clip(string(f.key)))
	})
	if !found {
		p.flag(ProblemMissing, "input.object", "missing; it names the object that holds the requests")
	}
	return &in, fault{}
}

func (p *envelope) failFast(raw []byte) (FailFast, fault) {
	switch raw[0] {
	case 't':
		return FailFast{Failures: 1}, fault{}
	case 'f':
		return FailFast{}, fault{}
	case '{':
	default:
		return FailFast{}, faulty(ProblemType, `must be true, false, {"failures": N} or {"rate": 0.1, "after": N}, not %s`, kind(raw))
	}
	var ff FailFast
	var after bool
	p.keys.reset()
	before := len(p.found)
	_ = walkObject(raw, func(f field) {
		value := raw[f.start:f.end]
		var bad fault
		switch key := string(f.key); {
		case !p.keys.add(f.key):
			bad = faulty(ProblemDuplicateField, "stands twice; keep one")
		case key == "failures":
			ff.Failures, bad = readInt(value, 1, maxCount)
		case key == "rate":
			var err error
			if ff.Rate, err = strconv.ParseFloat(string(value), 64); err != nil {
				bad = faulty(ProblemType, "must be a number above 0 and at most 1, not %s", kind(value))
			} else {
				bad = checkRate(ff.Rate)
			}
		case key == "after":
			after = true
			ff.After, bad = readInt(value, 0, maxCount)
		default:
			bad = faulty(ProblemUnknownField, `is no field of fail_fast, which has "failures", "rate" and "after"`)
		}
		p.flagFault(bad, "fail_fast."+clip(string(f.key)))
	})
	switch {
	case len(p.found) > before:
	case after && ff.Rate == 0:
		return FailFast{}, faulty(ProblemMissing, `"after" needs "rate" beside it`)
	case ff == FailFast{}:
		return FailFast{}, faulty(ProblemMissing, `is empty; write true, {"failures": N} or {"rate": 0.1, "after": N}`)
	}
	return ff, fault{}
}

// suggest is the known field that key is most likely meant to be, as the end of
// a message.
func suggest(key string) string {
	plain := strings.NewReplacer("_", "", "-", "").Replace
	for _, known := range jobFields {
		if len(key) <= 2*len(known) && (strings.EqualFold(plain(known), plain(key)) || oneLetterOff(known, key)) {
			return fmt.Sprintf("; did you mean %q?", known)
		}
	}
	return "; it has " + strings.Join(jobFields, ", ")
}

// oneLetterOff reports whether a and b differ by one letter: too many, too few
// or another.
func oneLetterOff(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch {
	case i == len(b): // equal
		return false
	case len(a) == len(b):
		return a[i+1:] == b[i+1:]
	default:
		return a[i:] == b[i+1:]
	}
}
