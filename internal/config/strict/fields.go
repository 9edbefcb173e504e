package strict

import (
	"encoding"
	"reflect"
	"strings"
	"time"
)

// rule is what a field's tags demand of its value.
type rule struct {
	oneof    []string
	min, max string
	required bool
}

// field is one key of a struct.
type field struct {
	key     string
	index   []int
	doc     string
	restart bool
	rule
}

var (
	atType       = reflect.TypeFor[At]()
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	checkerType  = reflect.TypeFor[Checker]()
)

// fieldsOf returns the keys of struct type t in order of declaration, and the
// index of the field that takes the struct's own place, if there is one.
func fieldsOf(t reflect.Type) (fields []field, self []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if option == "inline" {
			inner, _ := fieldsOf(f.Type)
			for _, one := range inner {
				one.index = append([]int{i}, one.index...)
				fields = append(fields, one)
			}
			continue
		}
		if name == "-" || name == "" || !f.IsExported() {
			if f.Type == atType && f.IsExported() {
				self = f.Index
			}
			continue
		}
		one := field{key: name, index: f.Index, doc: f.Tag.Get("doc"), restart: f.Tag.Get("restart") == "true"}
		one.min, one.max, one.required = f.Tag.Get("min"), f.Tag.Get("max"), f.Tag.Get("required") == "true"
		if s := f.Tag.Get("oneof"); s != "" {
			one.oneof = strings.Split(s, "|")
		}
		fields = append(fields, one)
	}
	return fields, self
}
