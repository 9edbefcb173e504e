package config

import (
	"fmt"
	"regexp"

	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/mcp"
)

// Method is a method outside the protocol.
type Method string

const methodPattern = `^[A-Za-z0-9_$][A-Za-z0-9_$.-]{0,63}(/[A-Za-z0-9_$.-]{1,64}){0,4}$`

var method = regexp.MustCompile(methodPattern)

// Notation describes methods.
func (Method) Notation() notation.Notation {
	return notation.Notation{
		Name: "method", Pattern: methodPattern,
		Allowed: "one as it stands in messages, such as acme/search", Examples: []string{"acme/search"},
	}
}

// UnmarshalText reads a method.
func (m *Method) UnmarshalText(text []byte) error {
	if !method.Match(text) {
		return fmt.Errorf("%q is not a method; write %s", text, m.Notation().Allowed)
	}
	for _, known := range mcp.Methods() {
		if known.Name == string(text) {
			return fmt.Errorf("%q is part of the protocol and needs no entry", text)
		}
	}
	*m = Method(text)
	return nil
}
