package guardtest

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/sallyport/sallyport/guard"
)

// declared checks what the documentation is generated from.
func declared(t *testing.T, spec guard.Spec) {
	if !strings.HasSuffix(spec.Summary, ".") || strings.Contains(spec.Summary, "\n") {
		t.Errorf("the summary %q is not one sentence", spec.Summary)
	}
	core := make(map[guard.Reason]bool)
	for _, r := range guard.CoreReasons() {
		core[r.Reason] = true
	}
	for _, r := range spec.Reasons {
		if core[r.Reason] {
			t.Errorf("reason %s belongs to the core", r.Reason)
		}
		if !strings.HasSuffix(r.Text, ".") || !strings.HasSuffix(r.When, ".") {
			t.Errorf("reason %s: text and when are sentences", r.Reason)
		}
	}
}

// documented checks that every setting has a key and a description, and that a
// build leaves the defaults alone.
func documented(t *testing.T, spec guard.Spec) {
	v := reflect.ValueOf(spec.Config)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		t.Fatalf("Config is %T and must be a pointer to a struct", spec.Config)
	}
	fields(t, v.Elem().Type(), "", map[reflect.Type]bool{})
	before := fmt.Sprintf("%#v", v.Elem().Interface())
	if _, err := spec.Build(func(config any) error {
		switch {
		case reflect.TypeOf(config) != v.Type():
			t.Errorf("Build decodes into %T, while Config is %T", config, spec.Config)
		case config == spec.Config && v.Elem().Type().Size() > 0: // empty structs share an address
			t.Error("Build decodes over the defaults: a reload would begin with the last configuration")
		case !reflect.DeepEqual(config, spec.Config):
			t.Errorf("Build begins with %+v instead of the defaults %+v", config, spec.Config)
		}
		return nil
	}); err != nil {
		t.Errorf("the defaults do not build: %v", err)
	}
	if after := fmt.Sprintf("%#v", v.Elem().Interface()); after != before {
		t.Errorf("building changed the defaults from %s to %s", before, after)
	}
	broken := errors.New("the file is broken")
	if g, err := spec.Build(func(any) error { return broken }); !errors.Is(err, broken) || g != nil {
		t.Errorf("Build made %v of a configuration that cannot be read (%v)", g, err)
	}
}

// fields checks the tags of a struct and of those within it.
func fields(t *testing.T, typ reflect.Type, path string, seen map[reflect.Type]bool) {
	if reads(typ) {
		return
	}
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map || typ.Kind() == reflect.Array {
		if typ = typ.Elem(); reads(typ) {
			return
		}
	}
	if typ.Kind() != reflect.Struct || seen[typ] {
		return
	}
	seen[typ] = true
	for i := range typ.NumField() {
		f := typ.Field(i)
		if !f.IsExported() {
			continue // a type with an inside of its own, such as a duration
		}
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		name := path + key
		switch {
		case f.Anonymous && key == "":
			fields(t, f.Type, path, seen)
			continue
		case key == "-":
			continue
		case key == "" || key != strings.ToLower(key) || strings.ContainsFunc(key, unicode.IsSpace) || strings.Contains(key, "-"):
			t.Errorf("field %s of %s needs a yaml key in snake_case", f.Name, typ)
		case f.Tag.Get("doc") == "":
			t.Errorf("%s has no doc tag", name)
		}
		if f.Type.Kind() == reflect.Func || f.Type.Kind() == reflect.Chan || f.Type.Kind() == reflect.Interface {
			t.Errorf("%s is a %s, which no file can hold", name, f.Type.Kind())
		}
		fields(t, f.Type, name+".", seen)
	}
}

// reads reports whether a type reads itself from text, so that no file sees what
// is inside, such as the rates "20/second, 1000/hour".
func reads(typ reflect.Type) bool {
	return reflect.PointerTo(typ).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}
