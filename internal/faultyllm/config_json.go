package faultyllm

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// span is a duration as it stands in JSON: "50ms", or 0, which needs no unit.
type span time.Duration

// MarshalText writes what [time.Duration.String] returns.
func (s span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

// UnmarshalJSON reads a text with a unit, or 0.
func (s *span) UnmarshalJSON(data []byte) error {
	var text string
	if string(data) == "0" {
		text = "0"
	} else if json.Unmarshal(data, &text) != nil {
		return errors.New(`want a duration such as "50ms"`)
	}
	d, err := time.ParseDuration(text)
	*s = span(d)
	return err
}

// wireType is how a field's value stands in JSON.
func wireType(field reflect.Type) reflect.Type {
	if field == reflect.TypeFor[time.Duration]() {
		return reflect.TypeFor[span]()
	}
	return field
}

// MarshalJSON writes all fields, durations as strings.
func (c Config) MarshalJSON() ([]byte, error) {
	fields := map[string]any{}
	for field, value := range reflect.ValueOf(c).Fields() {
		if name := field.Tag.Get("json"); name != "-" {
			fields[name] = value.Convert(wireType(field.Type)).Interface()
		}
	}
	return json.Marshal(fields)
}

// UnmarshalJSON changes the fields that data names and reports all names that
// are unknown and all values that do not fit. It does not call Validate.
func (c *Config) UnmarshalJSON(data []byte) error {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(data, &given); err != nil {
		return err
	}
	var errs []error
	for field, value := range reflect.ValueOf(c).Elem().Fields() {
		name := field.Tag.Get("json")
		raw, ok := given[name]
		if !ok || name == "-" {
			continue
		}
		delete(given, name)
		// A fresh value: a slice or map may be shared with another Config.
		fresh := reflect.New(wireType(field.Type))
		if err := json.Unmarshal(raw, fresh.Interface()); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		value.Set(fresh.Elem().Convert(field.Type))
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		errs = append(errs, fmt.Errorf("unknown field %q", name))
	}
	return errors.Join(errs...)
}
