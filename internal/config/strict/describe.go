package strict

import (
	"reflect"

	"github.com/sallyport/sallyport/internal/config/notation"
)

// Kind is what a setting is written as.
type Kind string

// The kinds.
const (
	Mapping    Kind = "mapping"    // fixed keys: Children
	Dictionary Kind = "dictionary" // free keys: Elem
	List       Kind = "list"       // Elem
	Text       Kind = "text"
	Bool       Kind = "bool"
	Integer    Kind = "integer"
	Number     Kind = "number"
	Notated    Kind = "notated" // text in the notation of Notation
	Opaque     Kind = "opaque"  // decoded elsewhere
)

// Setting describes one key: everything that a JSON Schema or a reference page
// says about it.
type Setting struct {
	Key      string
	Path     string // from the top; "[]" stands for any element and "<name>" for any free key
	Doc      string
	Kind     Kind
	Required bool
	Restart  bool
	OneOf    []string
	Min, Max string
	Default  string // in the value's own notation; empty for none
	Unsigned bool   // of an Integer
	Notation notation.Notation
	Children []Setting
	Elem     *Setting
}

// Describe returns the settings of the structs that the pointers point to, with
// the structs' values as defaults. Like [Decoder.Decode], it gives a key to the
// first struct that has it.
func Describe(path string, defaults ...any) Setting {
	s := Setting{Path: path, Kind: Mapping}
	seen := make(map[string]bool)
	for _, p := range defaults {
		for _, child := range children(path, reflect.ValueOf(p).Elem()) {
			if !seen[child.Key] {
				seen[child.Key] = true
				s.Children = append(s.Children, child)
			}
		}
	}
	return s
}

func children(path string, v reflect.Value) []Setting {
	fields, _ := fieldsOf(v.Type())
	out := make([]Setting, len(fields))
	for i, f := range fields {
		out[i] = setting(join(path, f.key), v.FieldByIndex(f.index), f.rule)
		out[i].Key, out[i].Doc, out[i].Restart = f.key, f.doc, f.restart
	}
	return out
}

func setting(path string, v reflect.Value, r rule) Setting {
	s := Setting{Path: path, Required: r.required, Min: r.min, Max: r.max}
	t := v.Type()
	switch {
	case t == atType:
		s.Kind = Opaque
		return s
	case t == durationType:
		s.Kind, s.Notation = Notated, notation.Durations()
	case reflect.PointerTo(t).Implements(textType):
		s.Kind = Notated
		if n, ok := v.Interface().(notated); ok {
			s.Notation = n.Notation()
		}
	case t.Kind() == reflect.Pointer:
		if v.IsNil() { // absent is not the same as the zero value
			s = setting(path, fresh(t.Elem()), r)
			s.Default = ""
			return s
		}
		return setting(path, v.Elem(), r)
	case t.Kind() == reflect.Struct:
		s.Kind, s.Children = Mapping, children(path, v)
		return s
	case t.Kind() == reflect.Slice:
		elem := setting(path+"[]", fresh(t.Elem()), rule{oneof: r.oneof})
		s.Kind, s.Elem = List, &elem
		return s
	case t.Kind() == reflect.Map:
		elem := setting(path+".<name>", fresh(t.Elem()), rule{oneof: r.oneof})
		s.Kind, s.Elem = Dictionary, &elem
		return s
	case t.Kind() == reflect.Bool:
		s.Kind, s.Default = Bool, show(v)
		return s
	case v.CanInt(), v.CanUint():
		s.Kind, s.Default, s.Unsigned = Integer, show(v), v.CanUint()
		return s
	case v.CanFloat():
		s.Kind, s.Default = Number, show(v)
		return s
	default:
		s.Kind = Text
	}
	s.OneOf = r.oneof
	if !v.IsZero() {
		s.Default = show(v)
	}
	return s
}
