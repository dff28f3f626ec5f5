package faultyllm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

var durationType = reflect.TypeFor[time.Duration]()

// MarshalJSON writes all fields, durations as strings.
func (c Config) MarshalJSON() ([]byte, error) {
	v := reflect.ValueOf(c)
	out := []byte{'{'}
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("json")
		if name == "-" {
			continue
		}
		value := v.Field(i).Interface()
		if d, ok := value.(time.Duration); ok {
			value = d.String()
		}
		enc, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("failed to encode %s: %w", name, err)
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = appendString(out, []byte(name))
		out = append(out, ':')
		out = append(out, enc...)
	}
	return append(out, '}'), nil
}

// UnmarshalJSON changes the fields that data names and reports all names that
// are unknown and all values that do not fit. It does not call Validate.
func (c *Config) UnmarshalJSON(data []byte) error {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(data, &given); err != nil {
		return err
	}
	var errs []error
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("json")
		raw, ok := given[name]
		if !ok || name == "-" {
			continue
		}
		delete(given, name)
		if err := decodeField(v.Field(i), raw); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		errs = append(errs, fmt.Errorf("unknown field %q", name))
	}
	return errors.Join(errs...)
}

// decodeField decodes into a fresh value first: decoding into a slice or map
// in place would write through to a Config that shares it.
func decodeField(field reflect.Value, raw []byte) error {
	fresh := reflect.New(field.Type())
	if field.Type() != durationType {
		if err := json.Unmarshal(raw, fresh.Interface()); err != nil {
			return err
		}
		field.Set(fresh.Elem())
		return nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		// The one number that needs no unit.
		if bytes.Equal(bytes.TrimSpace(raw), []byte("0")) {
			field.SetInt(0)
			return nil
		}
		return errors.New(`want a duration such as "50ms"`)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	field.SetInt(int64(d))
	return nil
}
