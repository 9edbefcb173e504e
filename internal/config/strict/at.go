package strict

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// At is a place in a file: a value, or where a missing value would stand. A
// struct field of type At takes the value under its key undecoded; with the
// key "-" it takes the place of the struct itself. The zero At is nowhere and
// drops what is reported there.
type At struct {
	file *file
	node *yaml.Node // nil when the value is missing
	near *yaml.Node // for a missing value, what it is missing from
	path string
}

// Report adds a problem with this value.
func (a At) Report(format string, args ...any) {
	if a.file == nil {
		return
	}
	line, column := a.position()
	a.file.report(line, column, a.path, fmt.Sprintf(format, args...))
}

func (f *file) report(line, column int, path, text string) {
	f.problems = append(f.problems, Problem{f.name, line, column, path, text})
	f.broken[path] = true
	for i := strings.LastIndexAny(path, ".["); i >= 0; i = strings.LastIndexAny(path, ".[") {
		path = path[:i]
		f.below(path)
	}
	f.below("")
}

// below notes that something under path has a problem, if path itself has none.
func (f *file) below(path string) {
	if !f.broken[path] {
		f.broken[path] = false
	}
}

// Problems returns what was found wrong so far in the whole file.
func (a At) Problems() Problems {
	if a.file == nil {
		return nil
	}
	return a.file.problems
}

// OK reports whether nothing is wrong with this value or below it.
func (a At) OK() bool {
	if a.file == nil {
		return true
	}
	_, broken := a.file.broken[a.path]
	return !broken
}

// Refused reports whether something is wrong with this value itself, such as an
// unknown key, so that what is below it means nothing.
func (a At) Refused() bool { return a.file != nil && a.file.broken[a.path] }

// Exists reports whether the value is written in the file.
func (a At) Exists() bool { return a.node != nil }

// Path returns the setting's path from the top of its file.
func (a At) Path() string { return a.path }

// File returns the name of the file.
func (a At) File() string {
	if a.file == nil {
		return ""
	}
	return a.file.name
}

// position returns line and column, both from 1, or zeros when there is none.
func (a At) position() (line, column int) {
	for _, n := range []*yaml.Node{a.node, a.near} {
		if n != nil {
			return n.Line, n.Column
		}
	}
	return 0, 0
}

// String returns the place as file:line:col.
func (a At) String() string { return a.Place().String() }

// Field returns the value under key of a mapping; it may be missing.
func (a At) Field(key string) At {
	child := At{file: a.file, near: a.node, path: join(a.path, key)}
	if a.node == nil {
		child.near = a.near
		return child
	}
	if a.node.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(a.node.Content); i += 2 {
			if a.node.Content[i].Value == key {
				child.node = a.node.Content[i+1]
				break
			}
		}
	}
	return child
}

// Keys returns the keys of a mapping in the order of the file.
func (a At) Keys() []string {
	if a.node == nil || a.node.Kind != yaml.MappingNode {
		return nil
	}
	keys := make([]string, 0, len(a.node.Content)/2)
	for i := 0; i+1 < len(a.node.Content); i += 2 {
		keys = append(keys, a.node.Content[i].Value)
	}
	return keys
}

// key returns the place of a key itself.
func (a At) key(key string) At {
	child := a.Field(key)
	for i := 0; i+1 < len(a.node.Content); i += 2 {
		if a.node.Content[i].Value == key {
			child.node = a.node.Content[i]
			break
		}
	}
	return child
}

// Items returns the elements of a list.
func (a At) Items() []At {
	if a.node == nil || a.node.Kind != yaml.SequenceNode {
		return nil
	}
	items := make([]At, len(a.node.Content))
	for i, n := range a.node.Content {
		items[i] = At{file: a.file, node: n, path: fmt.Sprintf("%s[%d]", a.path, i)}
	}
	return items
}

// Item returns element i of a list; it may be missing.
func (a At) Item(i int) At {
	child := At{file: a.file, near: a.node, path: fmt.Sprintf("%s[%d]", a.path, i)}
	if a.node != nil && a.node.Kind == yaml.SequenceNode && i < len(a.node.Content) {
		child.node = a.node.Content[i]
	}
	return child
}

// Text returns the text of a scalar as it is written, without quotes.
func (a At) Text() (string, bool) {
	if a.node == nil || a.node.Kind != yaml.ScalarNode {
		return "", false
	}
	return a.node.Value, true
}

// IsMapping and IsList tell what kind of value this is.
func (a At) IsMapping() bool { return a.node != nil && a.node.Kind == yaml.MappingNode }

// IsList reports whether the value is a list.
func (a At) IsList() bool { return a.node != nil && a.node.Kind == yaml.SequenceNode }

// join appends a key to a path. A key that would read as more than one is
// quoted.
func join(path, key string) string {
	if key == "" || strings.ContainsAny(key, ".[]\" \n") {
		return fmt.Sprintf("%s[%q]", path, key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// Place is where an At is, without the file's content: it can be kept.
type Place struct {
	File         string
	Line, Column int
	Path         string
}

// Place returns where a is.
func (a At) Place() Place {
	line, column := a.position()
	return Place{a.File(), line, column, a.path}
}

// Problem returns a problem at the place.
func (p Place) Problem(format string, args ...any) Problem {
	return Problem{p.File, p.Line, p.Column, p.Path, fmt.Sprintf(format, args...)}
}

// String returns the place as file:line:col.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Known reports the keys of a mapping that are not among allowed, with what
// they are not and the nearest that is.
func (a At) Known(what string, allowed ...string) {
	if a.node != nil && !a.IsMapping() {
		a.Report("must be a mapping, not %s", kind(a.node))
		return
	}
	for _, key := range a.Keys() {
		if !among(key, allowed) {
			a.key(key).Report("%s", unknown(what, key, allowed))
		}
	}
}
