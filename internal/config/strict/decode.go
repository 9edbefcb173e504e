package strict

import (
	"reflect"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// A Checker is a struct with rules that no single field can show. Check is
// called once its fields are decoded, also when some of them are wrong: it asks
// at.Field(key).OK() before it builds on one.
type Checker interface{ Check(at At) }

// A Defaulter is a struct whose zero value is not its default. Default is called
// on the elements of lists and maps, and on structs behind a nil pointer,
// before they are decoded.
type Defaulter interface{ Default() }

// fresh returns a new value of type t with its defaults.
func fresh(t reflect.Type) reflect.Value {
	p := reflect.New(t)
	if d, ok := p.Interface().(Defaulter); ok {
		d.Default()
	}
	return p.Elem()
}

// Decoder decodes places into structs. It remembers what it learnt about their
// types; one goroutine at a time may use it.
type Decoder struct {
	types map[reflect.Type]*table
}

type table struct {
	fields []field
	self   []int
}

// NewDecoder returns a decoder.
func NewDecoder() *Decoder { return &Decoder{types: make(map[reflect.Type]*table)} }

func (d *Decoder) table(t reflect.Type) *table {
	if have := d.types[t]; have != nil {
		return have
	}
	fields, self := fieldsOf(t)
	d.types[t] = &table{fields, self}
	return d.types[t]
}

// Decode reads the mapping at into the structs that the pointers point to. A
// key belongs to the first struct that has it; what is not written keeps its
// value. Problems are reported at their places.
func (d *Decoder) Decode(at At, into ...any) {
	structs := make([]reflect.Value, len(into))
	for i, p := range into {
		structs[i] = reflect.ValueOf(p).Elem()
	}
	d.mapping(at, structs...)
}

func (d *Decoder) mapping(at At, structs ...reflect.Value) {
	type target struct {
		field
		value reflect.Value
	}
	keys := make(map[string]target)
	var allowed []string
	for _, s := range structs {
		t := d.table(s.Type())
		if t.self != nil {
			s.FieldByIndex(t.self).Set(reflect.ValueOf(at))
		}
		for _, f := range t.fields {
			if _, taken := keys[f.key]; !taken {
				keys[f.key] = target{f, s.FieldByIndex(f.index)}
				allowed = append(allowed, f.key)
			}
		}
	}
	if at.node != nil && !at.IsMapping() {
		at.Report("must be a mapping, not %s", kind(at.node))
		return
	}
	for _, key := range at.Keys() {
		t, ok := keys[key]
		if !ok {
			at.key(key).Report("%s", unknown("is not a known setting", key, allowed))
			continue
		}
		d.value(at.Field(key), t.value, t.rule)
	}
	for _, key := range allowed {
		if t := keys[key]; t.required && !at.Refused() && !at.Field(key).Exists() {
			at.Field(key).Report("is required")
		}
	}
	for _, s := range structs {
		if s.Addr().Type().Implements(checkerType) {
			s.Addr().Interface().(Checker).Check(at)
		}
	}
}

func (d *Decoder) value(at At, v reflect.Value, r rule) {
	t := v.Type()
	if t == atType {
		v.Set(reflect.ValueOf(at))
		return
	}
	if at.node.Kind == yaml.AliasNode {
		return // reported when the file was parsed
	}
	if at.node.Kind == yaml.ScalarNode && at.node.Tag == "!!null" {
		at.Report("has no value; give it one or remove it")
		return
	}
	if t == durationType || reflect.PointerTo(t).Implements(textType) {
		d.scalar(at, v, r)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		d.mapping(at, v)
	case reflect.Pointer:
		to := fresh(t.Elem())
		if !v.IsNil() {
			to.Set(v.Elem()) // never write through a default that others share
		}
		v.Set(to.Addr())
		d.value(at, to, r)
	case reflect.Slice:
		d.list(at, v, r)
	case reflect.Map:
		d.dictionary(at, v, r)
	default:
		d.scalar(at, v, r)
	}
}

// list replaces the whole list: an element is never appended to a default.
func (d *Decoder) list(at At, v reflect.Value, r rule) {
	if !at.IsList() {
		at.Report("must be a list, not %s", kind(at.node))
		return
	}
	items := at.Items()
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		out.Index(i).Set(fresh(v.Type().Elem()))
		d.value(item, out.Index(i), rule{oneof: r.oneof})
	}
	v.Set(out)
	length(at, len(items), r)
}

func (d *Decoder) dictionary(at At, v reflect.Value, r rule) {
	if !at.IsMapping() {
		at.Report("must be a mapping, not %s", kind(at.node))
		return
	}
	keys := at.Keys()
	out := reflect.MakeMapWithSize(v.Type(), len(keys))
	for _, key := range keys {
		value := fresh(v.Type().Elem())
		d.value(at.Field(key), value, rule{oneof: r.oneof})
		out.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), value)
	}
	v.Set(out)
	length(at, len(keys), r)
}

func length(at At, n int, r rule) {
	low, err := strconv.Atoi(r.min)
	switch {
	case err != nil || n >= low:
	case n == 0:
		at.Report("is empty; write at least %d, or remove it", low)
	default:
		at.Report("has %d entries; at least %d are needed", n, low)
	}
	if high, err := strconv.Atoi(r.max); err == nil && n > high {
		at.Report("has %d entries; at most %d are allowed", n, high)
	}
}

// kind names what a node is in words of the configuration.
func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.Tag {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "nothing"
	}
	return "text"
}
