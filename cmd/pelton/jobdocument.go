package main

import (
	"bytes"
	"encoding/json"
	"io"

	"pelton/internal/dataset"
	"pelton/schema"
)

// isJobDocument looks at the first JSON value of a file, and rewinds it.
func isJobDocument(file io.ReadSeeker) (is bool, err error) {
	defer func() {
		if _, back := file.Seek(0, io.SeekStart); err == nil {
			err = back
		}
	}()
	in := json.NewDecoder(io.LimitReader(file, 64<<20))
	if first, err := in.Token(); err != nil || first != json.Delim('{') {
		return false, nil
	}
	for in.More() {
		key, err := in.Token()
		if err != nil {
			return false, nil
		}
		switch key {
		case "requests":
			return true, nil
		case "messages", "body", "model", "prompt":
			return false, nil // a request
		}
		var value json.RawMessage
		if in.Decode(&value) != nil {
			return false, nil
		}
		if _, object := schema.Field(value, "object"); object && key == "input" {
			return true, nil
		}
	}
	return false, nil
}

// readJob reads a job document. Flags that make requests of rows have no
// meaning for it; those that change every request do.
func (f *inputFlags) readJob(in *input, file io.Reader) error {
	data, err := io.ReadAll(file)
	if err != nil {
		return usagef("%s: %w", in.name, err)
	}
	job, err := schema.ParseJob(data, schema.Limits{})
	if err != nil {
		return usagef("%s: %w", in.name, err)
	}
	if job.Input != nil {
		return usagef("%s: names its requests by an object of the service (input.object); publish it with a NATS client, or list the requests", in.name)
	}
	var lines []byte
	for _, r := range job.Requests {
		if r.Problem == nil { // what the defaults bring, the rest of us need not know
			if r.Body, err = schema.Merge(r.Body, job.Defaults); err != nil {
				return usagef("%s: %w", in.name, err)
			}
		}
		lines = append(schema.AppendRequest(lines, r), '\n')
	}
	options := f.options()
	options.Format, options.Skip = dataset.OpenAI, options.Skip || job.SkipInvalid
	reader, err := dataset.New(bytes.NewReader(lines), in.name, options)
	if err != nil {
		return usage(err)
	}
	for reader.Next() {
		in.lines = append(append(in.lines, reader.Bytes()...), '\n')
	}
	if err := reader.Err(); err != nil {
		return usage(err)
	}
	in.stats, in.hash, in.problems = reader.Stats(), reader.Hash(), reader.Problems()
	job.Defaults, job.SkipInvalid = nil, options.Skip
	job.Requests = nil
	in.job = job
	return nil
}
