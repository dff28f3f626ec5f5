package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"pelton/schema"
)

// maker makes a request line of a row, appended to dst.
type maker interface {
	line(dst []byte, r row) ([]byte, error)
}

// newMaker reads the options; its errors name the flag.
func newMaker(o Options) (maker, error) {
	var problems []error
	note := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	prompt, err := newTemplate("--prompt", o.Prompt)
	note(err)
	system, err := newTemplate("--system", o.System)
	note(err)
	id, err := newTemplate("--id", o.ID)
	note(err)
	format, err := readSchema(o.Schema)
	note(err)
	params, err := readParams(o)
	note(err)
	if o.System != "" && o.Prompt == "" {
		note(errors.New("--system: needs --prompt: without it each row is a whole request"))
	}
	if o.Limit < 0 {
		note(errors.New("--limit: must not be negative"))
	}
	if o.Prompt != "" {
		if _, ok := params.get("model"); !ok {
			note(errors.New("--model: is missing: requests made with --prompt need one"))
		}
		if _, ok := params.get("messages"); ok {
			note(errors.New("--param messages: cannot be set together with --prompt, which makes them"))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if prompt == nil {
		return &splicer{params: params, format: format, id: id}, nil
	}
	if format != nil {
		params = append(params, param{"response_format", chatFormat(format)})
	}
	m := &prompter{prompt: prompt, system: system, id: id}
	model, _ := params.get("model")
	m.head = append(append([]byte(`{"model":`), model...), `,"messages":[`...)
	for _, p := range params {
		if p.key == "model" {
			continue
		}
		m.rest = append(append(appendJSON(append(m.rest, ','), p.key), ':'), p.value...)
	}
	m.rest = append(m.rest, '}')
	return m, nil
}

// prompter makes bodies from templates.
type prompter struct {
	prompt, system, id *rowTemplate
	head, rest         []byte // of each body, around the messages
	body               []byte
}

func (m *prompter) line(dst []byte, r row) ([]byte, error) {
	body := append(m.body[:0], m.head...)
	if m.system != nil {
		text, err := m.system.execute(r.value)
		if err != nil {
			return dst, err
		}
		body = append(appendJSON(append(body, `{"role":"system","content":`...), text), "},"...)
	}
	text, err := m.prompt.execute(r.value)
	if err != nil {
		return dst, err
	}
	body = appendJSON(append(body, `{"role":"user","content":`...), text)
	body = append(append(body, "}]"...), m.rest...)
	m.body = body
	request := schema.Request{Body: body}
	if m.id != nil {
		if request.CustomID, err = m.id.executeID(r.value); err != nil {
			return dst, err
		}
	}
	return schema.AppendRequest(dst, request), nil
}

// splicer changes what it was told to in requests, and no other byte. What is
// no request it leaves for the schema to judge.
type splicer struct {
	params params
	format *answerFormat
	id     *rowTemplate
}

func (m *splicer) line(dst []byte, r row) ([]byte, error) {
	if len(m.params) == 0 && m.format == nil && m.id == nil {
		return append(dst, r.raw...), nil
	}
	line := r.raw
	body, isLine := schema.Field(line, "body")
	if !isLine {
		body = line
	}
	changed, err := m.change(body, line)
	if err != nil {
		return append(dst, line...), nil // no object: the schema says so
	}
	if isLine {
		if line, err = schema.SetField(line, "body", changed); err != nil {
			return append(dst, r.raw...), nil
		}
	} else {
		line = changed
	}
	if m.id == nil {
		return append(dst, line...), nil
	}
	value, err := decodeObject(r.raw)
	if err != nil {
		return dst, err
	}
	id, err := m.id.executeID(value)
	if err != nil {
		return dst, err
	}
	if !isLine {
		return schema.AppendRequest(dst, schema.Request{Body: line, CustomID: id}), nil
	}
	line, err = schema.SetField(line, "custom_id", appendJSON(nil, id))
	return append(dst, line...), err
}

func (m *splicer) change(body, line []byte) ([]byte, error) {
	var err error
	for _, p := range m.params {
		if body, err = schema.SetField(body, p.key, p.value); err != nil {
			return nil, err
		}
	}
	if m.format == nil {
		return body, nil
	}
	if url, _ := schema.StringField(line, "url"); url != string(schema.Responses) {
		return schema.SetField(body, "response_format", chatFormat(m.format))
	}
	settings, ok := schema.Field(body, "text")
	if !ok {
		settings = []byte("{}")
	}
	if settings, err = schema.SetField(settings, "format", responsesFormat(m.format)); err != nil {
		return nil, err
	}
	return schema.SetField(body, "text", settings)
}

func decodeObject(raw []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value map[string]any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("not valid JSON: %w", err)
	}
	return forTemplate(value), nil
}
