package schema

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"
)

// FromCloudEvent takes the job out of a CloudEvent 1.0: binary mode, with the
// attributes in headers ce-id, ce-type and ce-specversion, or structured mode,
// with Content-Type application/cloudevents+json, or told by the member specversion.
// Header names match whatever their case, values are percent-decoded.
//
// ok reports whether the message is a CloudEvent. If it is none, job is data
// itself and id is empty. The id is the event's, as it came: see [NormalizeID].
// The job shares data's memory, but for data_base64. An error says what is
// missing or wrong in the event; the job in it is not looked at.
func FromCloudEvent(header map[string][]string, data []byte) (job []byte, id string, ok bool, err error) {
	media := strings.ToLower(strings.TrimSpace(get(header, "content-type")))
	if parsed, _, err := mime.ParseMediaType(media); err == nil {
		media = parsed
	}
	switch {
	case media == "application/cloudevents+json":
		job, id, err = structuredEvent(data)
	case strings.HasPrefix(media, "application/cloudevents"):
		err = fmt.Errorf("content type %q is not supported; send application/cloudevents+json or binary mode", clip(media))
	case has(header, "ce-specversion"), has(header, "ce-id"):
		job, id, err = binaryEvent(header, data)
	case saysSpecVersion(data):
		job, id, err = structuredEvent(data)
	default:
		return data, "", false, nil
	}
	if err != nil {
		return nil, id, true, fmt.Errorf("CloudEvent: %w", err)
	}
	return job, id, true, nil
}

// saysSpecVersion reports whether data is an object with the member specversion,
// which no job has. The binding for NATS sends events in structured mode without a
// header: there is nothing else to know them by
// (CloudEvents NATS protocol binding 1.0.2, section 3.2).
func saysSpecVersion(data []byte) (found bool) {
	const name = "specversion"
	if !bytes.Contains(data, []byte(`"`+name+`"`)) {
		return false
	}
	err := scanObject(data, func(f field) { found = found || string(f.key) == name })
	return found && err == nil
}

func binaryEvent(header map[string][]string, data []byte) (job []byte, id string, err error) {
	id = percentDecode(get(header, "ce-id"))
	err = checkEvent(func(attribute string) string { return percentDecode(get(header, "ce-"+attribute)) })
	return data, id, err
}

func structuredEvent(data []byte) (job []byte, id string, err error) {
	text := map[string]string{}
	var body, encoded []byte
	err = scanObject(data, func(f field) {
		value := data[f.start:f.end]
		switch key := string(f.key); key {
		case "data":
			body = value
		case "data_base64":
			encoded = value
		case "id", "type", "specversion":
			text[key], _ = readString(value)
		}
	})
	if err != nil {
		return nil, "", err
	}
	if err = checkEvent(func(attribute string) string { return text[attribute] }); err != nil {
		return nil, text["id"], err
	}
	switch {
	case body != nil && encoded != nil:
		return nil, text["id"], errors.New("has data and data_base64; keep one")
	case body != nil:
		return body, text["id"], nil
	case encoded == nil:
		return nil, text["id"], errors.New("data: missing; it holds the job")
	}
	var s string
	if err = json.Unmarshal(encoded, &s); err == nil {
		job, err = base64.StdEncoding.DecodeString(s)
	}
	if err != nil {
		return nil, text["id"], fmt.Errorf("data_base64: must be a string in base64: %w", err)
	}
	return job, text["id"], nil
}

// checkEvent checks the attributes that Pelton needs or goes by.
func checkEvent(attribute func(string) string) error {
	for _, name := range []string{"specversion", "id", "type"} {
		if attribute(name) == "" {
			return fmt.Errorf("%s: missing, empty or no string; every event has one", name)
		}
	}
	if version := attribute("specversion"); version != "1.0" {
		return fmt.Errorf(`specversion: must be "1.0", not %q`, clip(version))
	}
	return nil
}

func has(header map[string][]string, name string) bool {
	_, ok := lookup(header, name)
	return ok
}

func get(header map[string][]string, name string) string {
	value, _ := lookup(header, name)
	return value
}

func lookup(header map[string][]string, name string) (string, bool) {
	found, spelled := "", ""
	for key, values := range header {
		// Of several spellings the first in the alphabet, not in the map, counts.
		if strings.EqualFold(key, name) && len(values) > 0 && (spelled == "" || key < spelled) {
			found, spelled = values[0], key
		}
	}
	return found, spelled != ""
}

// percentDecode undoes %XX; what is no such thing stays as it is.
func percentDecode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
