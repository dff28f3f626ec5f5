package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"pelton/internal/secret"

	"github.com/kelseyhightower/envconfig"
)

// variable is one field of [Config] as its tags describe it.
type variable struct {
	field              reflect.StructField
	name               string // of the environment variable
	value, shown, desc string
	inFile             bool
}

// variables are all fields of Config, in their order.
var variables = func() []variable {
	t := reflect.TypeFor[Config]()
	list := make([]variable, t.NumField())
	for i := range list {
		f := t.Field(i)
		list[i] = variable{
			field:  f,
			name:   f.Tag.Get("envconfig"),
			value:  f.Tag.Get("value"),
			shown:  f.Tag.Get("shown"),
			desc:   f.Tag.Get("desc"),
			inFile: f.Tag.Get("file") != "-",
		}
	}
	return list
}()

func lookup(name string) (variable, bool) {
	for _, v := range variables {
		if v.name == name {
			return v, true
		}
	}
	return variable{}, false
}

// names lists the variables; those of the file by their keys there.
func names(inFile bool) []string {
	var list []string
	for _, v := range variables {
		switch {
		case !inFile:
			list = append(list, v.name)
		case v.inFile:
			list = append(list, v.key())
		}
	}
	return list
}

// key is the variable's name in the settings file.
func (v variable) key() string { return strings.ToLower(strings.TrimPrefix(v.name, "PELTON_")) }

func (v variable) secret() bool { return v.field.Type == reflect.TypeFor[secret.Text]() }

// set parses text into the variable's field of c. Its errors do not name the
// variable, and do not show a secret.
func (v variable) set(c *Config, text string) error {
	target := reflect.ValueOf(c).Elem().FieldByIndex(v.field.Index)
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](target.Addr()); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch target.Interface().(type) {
	case string:
		target.SetString(text)
	case int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return notA("a whole number", text)
		}
		target.SetInt(int64(n))
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return notA("a duration like 72h or 90s", text)
		}
		target.SetInt(int64(d))
	default:
		return fmt.Errorf("fields of type %v are not supported", target.Type())
	}
	return nil
}

// setFromEnvironment lets envconfig parse the variable's field alone, so that
// one bad value does not hide the next. The names in the tags are whole, and
// Process gets no prefix: it would fall back to the name without one.
func (v variable) setFromEnvironment(c *Config) error {
	spec := reflect.New(reflect.StructOf([]reflect.StructField{v.field}))
	err := envconfig.Process("", spec.Interface())
	var parse *envconfig.ParseError
	if errors.As(err, &parse) { // its own text repeats the value, secret or not
		if v.secret() {
			return errors.New("cannot be read")
		}
		switch v.field.Type {
		case reflect.TypeFor[int]():
			return notA("a whole number", parse.Value)
		case reflect.TypeFor[time.Duration]():
			return notA("a duration like 72h or 90s", parse.Value)
		}
		return parse.Err
	}
	if err != nil {
		return err
	}
	reflect.ValueOf(c).Elem().FieldByIndex(v.field.Index).Set(spec.Elem().Field(0))
	return nil
}

func notA(what, text string) error { return fmt.Errorf("must be %s, not %q", what, text) }
