package strict

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport/sallyport/internal/config/notation"
)

// notated is a scalar type that describes how it is written.
type notated interface{ Notation() notation.Notation }

func (d *Decoder) scalar(at At, v reflect.Value, r rule) {
	if at.node.Kind != yaml.ScalarNode {
		at.Report("must be %s, not %s", expected(v.Type()), kind(at.node))
		return
	}
	if len(r.oneof) > 0 {
		if !among(at.node.Value, r.oneof) {
			at.Report("%s", unknown(fmt.Sprintf("%q is not a known value", clip(at.node.Value)), at.node.Value, r.oneof))
			return
		}
	}
	if err := set(v, at.node.Value, at.node.Tag); err != nil {
		at.Report("%v", err)
		return
	}
	if err := bounds(v, r); err != nil {
		at.Report("%v", err)
	}
}

func among(s string, list []string) bool {
	for _, one := range list {
		if s == one {
			return true
		}
	}
	return false
}

// set reads text, which YAML takes to have the given tag, into v.
func set(v reflect.Value, text, tag string) error {
	if v.Type() == durationType {
		n, err := notation.ParseDuration(text)
		if err != nil {
			return err
		}
		v.SetInt(int64(n))
		return isText(tag)
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return err
		}
		if n, ok := v.Interface().(notated); ok && n.Notation().Number && tag == "!!int" {
			return nil
		}
		return isText(tag)
	}
	wrong := fmt.Errorf("must be %s, not %q", expected(v.Type()), clip(text))
	switch v.Kind() {
	case reflect.String:
		if err := isText(tag); err != nil {
			return err
		}
		if strings.ContainsRune(text, 0) {
			return fmt.Errorf("must not contain a NUL character")
		}
		v.SetString(text)
	case reflect.Bool:
		if tag != "!!bool" || text != "true" && text != "false" {
			return wrong
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil || tag != "!!int" {
			return wrong
		}
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil || tag != "!!int" {
			return wrong
		}
		v.SetUint(n)
	case reflect.Float32, reflect.Float64:
		n, err := strconv.ParseFloat(text, v.Type().Bits())
		if err != nil || tag != "!!int" && tag != "!!float" || strings.ContainsAny(text, "xXnN_") {
			return wrong
		}
		v.SetFloat(n)
	default:
		return fmt.Errorf("strict: settings of type %s cannot be decoded", v.Type())
	}
	return nil
}

// isText refuses what other YAML readers would take for a number or a truth
// value: an owner called 007 or a version 1.10 must not depend on the reader.
// A date, such as a protocol revision, reads the same everywhere.
func isText(tag string) error {
	switch tag {
	case "!!str", "!!timestamp":
		return nil
	}
	return fmt.Errorf("must be text; write it in quotes")
}

// bounds compares a decoded value with its limits, which are written in the
// value's own notation.
func bounds(v reflect.Value, r rule) error {
	low, high := limit(v.Type(), r.min), limit(v.Type(), r.max)
	switch {
	case low.IsValid() && less(v, low), high.IsValid() && less(high, v):
		return fmt.Errorf("must be %s, not %s", between(r), show(v))
	}
	return nil
}

func between(r rule) string {
	switch {
	case r.max == "":
		return "at least " + r.min
	case r.min == "":
		return "at most " + r.max
	}
	return "from " + r.min + " to " + r.max
}

func limit(t reflect.Type, text string) reflect.Value {
	if text == "" {
		return reflect.Value{}
	}
	v := reflect.New(t).Elem()
	if t.Kind() == reflect.String {
		return reflect.Value{}
	}
	for _, tag := range []string{"!!int", "!!str"} {
		if set(v, text, tag) == nil {
			return v
		}
	}
	return reflect.Value{}
}

func less(a, b reflect.Value) bool {
	switch {
	case a.CanInt():
		return a.Int() < b.Int()
	case a.CanUint():
		return a.Uint() < b.Uint()
	case a.CanFloat():
		return a.Float() < b.Float()
	}
	return false
}

// show writes a value in its notation.
func show(v reflect.Value) string {
	if v.Type() == durationType {
		return notation.FormatDuration(time.Duration(v.Int()))
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if b, err := m.MarshalText(); err == nil {
			return string(b)
		}
	}
	return fmt.Sprint(v.Interface())
}

// expected says in words what type t is written as.
func expected(t reflect.Type) string {
	if t == durationType {
		return "a " + notation.Durations().Name
	}
	if n, ok := reflect.Zero(t).Interface().(notated); ok {
		return "a " + n.Notation().Name
	}
	switch {
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "a whole number"
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		return "a number"
	}
	return "text"
}

func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "..."
	}
	return s
}
