// Package strict reads YAML without forgiving anything: an unknown, repeated
// or ill-typed key is a [Problem] with its place in the file, and all problems
// of a file are found in one pass.
//
// Structs describe what may be written with field tags:
//
//	yaml:"key"        the key; "-" for none, ",inline" for the fields of a struct
//	doc:"..."         what the setting does, for help, JSON Schema and reference
//	required:"true"   the key must be there
//	oneof:"a|b"       the only texts allowed (of each element, for a list)
//	min:"1" max:"9"   bounds, written like the value; of the length, for a list or map
//	restart:"true"    the setting cannot change while the gateway runs
//
// Scalars are text, booleans, integers, [time.Duration] in the notation of
// package notation, and every type that reads itself from text.
package strict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong in a file.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // from 1; 0 when the file as a whole is meant
	Column int    `json:"column"` // from 1, in characters
	Path   string `json:"path"`   // the setting, such as "servers[0].url"; empty for the whole file
	Text   string `json:"text"`   // what is wrong, and what is allowed
}

// Error returns "file:line:col: path: text".
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(": " + p.Path)
	}
	b.WriteString(": " + p.Text)
	return b.String()
}

// Problems is every problem of one reading, in the order of the files.
type Problems []Problem

// Error returns one line per problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems one by one.
func (p Problems) Unwrap() []error {
	errs := make([]error, len(p))
	for i := range p {
		errs[i] = p[i]
	}
	return errs
}

// Err returns p as an error, or nil when there are none.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Sorted returns the problems by file and place, each once. Files keep the
// order in which they were first named.
func (p Problems) Sorted() Problems {
	order := make(map[string]int)
	for _, one := range p {
		if _, ok := order[one.File]; !ok {
			order[one.File] = len(order)
		}
	}
	out := slices.Clone(p)
	slices.SortStableFunc(out, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(out)
}
