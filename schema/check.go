package schema

import "fmt"

// scan finds the members that the checks look at, and flags keys that come
// twice. Keys that are no batch line's are left in c.others.
func (c *checker) scan(object []byte, path string) members {
	var m members
	c.keys.reset()
	c.others = c.others[:0]
	_ = walkObject(object, func(f field) {
		value := object[f.start:f.end]
		m.depth = max(m.depth, f.depth)
		if !c.keys.add(f.key) {
			c.flag(ProblemDuplicateField, join(path, clip(string(f.key))), "stands twice; keep one")
		}
		switch string(f.key) {
		case "custom_id":
			m.customID = value
			return
		case "method":
			m.method = value
			return
		case "url":
			m.url = value
			return
		case "body":
			m.body, m.bodyDepth = value, f.depth
			return
		case "timeout":
			m.timeout = value
			return
		case "model":
			m.model = value
		case "messages":
			m.messages = value
		case "input":
			m.input = value
		case "prompt":
			m.prompt = value
		case "params":
			m.param = value
		}
		c.others = append(c.others, f.key)
	})
	m.depth++
	return m
}

// checkBody judges a body by its own members and the job's defaults: no more
// than that it can be routed and is no request its endpoint cannot understand,
// where the endpoint is known.
func (c *checker) checkBody(m members, url Endpoint, size int, path string) {
	if size > c.limits.MaxBody {
		c.flag(ProblemTooLarge, path, "is %d bytes long; at most %d is allowed", size, c.limits.MaxBody)
	}
	if m.depth > c.limits.MaxDepth {
		c.flag(ProblemTooLarge, path, "nests %d deep; at most %d is allowed", m.depth, c.limits.MaxDepth)
	}
	model := orElse(m.model, c.defaults.model)
	switch {
	case model == nil && url != Moderations:
		c.flag(ProblemMissing, join(path, "model"), `missing; name one here or in the job's "defaults"`)
	case model != nil && !isName(model):
		c.flag(ProblemType, join(path, "model"), "must be a non-empty string, not %s", emptyOr(model))
	}
	switch url {
	case "":
	case ChatCompletions:
		c.need(orElse(m.messages, c.defaults.messages), url, path, "messages", m)
	case Completions:
		c.need(orElse(m.prompt, c.defaults.prompt), url, path, "prompt", m)
	default:
		c.need(orElse(m.input, c.defaults.input), url, path, "input", m)
	}
}

func (c *checker) need(value []byte, url Endpoint, path, field string, m members) {
	if value != nil && value[0] != 'n' {
		return
	}
	what := "missing"
	if value != nil {
		what = "is null"
	}
	hint := ""
	if url == ChatCompletions {
		switch {
		case m.input != nil:
			hint = `; for another endpoint write a line {"url":"/v1/responses","body":{…}}`
		case m.prompt != nil:
			hint = `; for another endpoint write a line {"url":"/v1/completions","body":{…}}`
		}
	}
	c.flag(ProblemMissing, join(path, field), "%s; %s needs it%s", what, url, hint)
}

// looksLikeLine flags, and reports, what must have been meant as a batch line
// but has no body.
func (c *checker) looksLikeLine(m members) bool {
	switch {
	case m.customID != nil && m.param != nil:
		c.flag(ProblemMissing, "body", `missing; "custom_id" with "params" is Anthropic's batch format: write {"custom_id":…,"body":{…}} with an OpenAI body`)
	case m.customID != nil && orElse(m.messages, c.defaults.messages) == nil:
		c.flag(ProblemMissing, "body", `missing; a batch line is {"custom_id":…,"body":{…}}`)
	default:
		return false
	}
	return true
}

// isName reports whether raw is a string that is not empty.
func isName(raw []byte) bool { return raw[0] == '"' && len(raw) > 2 }

func emptyOr(raw []byte) string {
	if string(raw) == `""` {
		return `""`
	}
	return kind(raw)
}

func orElse(a, b []byte) []byte {
	if a != nil {
		return a
	}
	return b
}

func join(path, field string) string {
	if path == "" {
		return field
	}
	return fmt.Sprintf("%s.%s", path, field)
}

// keySet finds keys that come twice, without allocating for objects of usual size.
type keySet struct {
	few  [32][]byte
	n    int
	many map[string]struct{}
}

func (s *keySet) reset() { s.n, s.many = 0, nil }

// add reports false for a key that is there already.
func (s *keySet) add(key []byte) bool {
	if s.many == nil {
		for _, k := range s.few[:s.n] {
			if string(k) == string(key) {
				return false
			}
		}
		if s.n < len(s.few) {
			s.few[s.n] = key
			s.n++
			return true
		}
		s.many = make(map[string]struct{}, 2*s.n)
		for _, k := range s.few[:s.n] {
			s.many[string(k)] = struct{}{}
		}
	}
	if _, again := s.many[string(key)]; again {
		return false
	}
	s.many[string(key)] = struct{}{}
	return true
}
