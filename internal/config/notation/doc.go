// Package notation reads the scalars of the configuration as the Enterprise
// MCP Servers Guide writes them: durations, rates, money, thresholds, sizes,
// addresses and references to secrets.
//
// Every type reads itself with UnmarshalText, writes itself back with
// MarshalText in one canonical form, and describes itself with Notation, so
// that loader, JSON Schema and documentation cannot drift apart.
package notation

import (
	"errors"
	"fmt"
)

// Notation describes how values of a type are written.
type Notation struct {
	Name     string   // what it is, such as "duration"
	Pattern  string   // ECMA-262 regular expression that every valid value matches
	Allowed  string   // how to write one, as it follows "write "
	Examples []string // valid values
	Number   bool     // a YAML number is as good as text
}

// wrong says that text is not a value of n. It never quotes the text of
// notations that might hold a secret; those build their own error.
func (n Notation) wrong(text string) error {
	if text == "" {
		return fmt.Errorf("is empty; write %s", n.Allowed)
	}
	return fmt.Errorf("%s is not %s; write %s", quote(text), article(n.Name), n.Allowed)
}

var errOverflow = errors.New("is too large")

// quote keeps an error readable when somebody pastes a whole document.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		return fmt.Sprintf("%q...", s[:most])
	}
	return fmt.Sprintf("%q", s)
}

func article(name string) string {
	switch name[0] {
	case 'a', 'e', 'i', 'o':
		return "an " + name
	}
	return "a " + name
}
