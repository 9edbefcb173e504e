// Package definition compares what MCP servers say of their tools, prompts and
// resources: with what they said before, and with what other servers say.
package definition

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/sallyport/sallyport/mcp"
)

// Kind is what a definition defines.
type Kind uint8

// The kinds. Instructions are what a server says of itself to the model.
const (
	Tool Kind = iota + 1
	Prompt
	Resource
	Template
	Instructions
)

var kinds = [...]string{Tool: "tool", Prompt: "prompt", Resource: "resource", Template: "template", Instructions: "instructions"}

// String returns the kind as commands and files spell it.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return ""
}

// ParseKind reads a kind.
func ParseKind(s string) (Kind, bool) {
	for k, name := range kinds {
		if name == s && name != "" {
			return Kind(k), true
		}
	}
	return 0, false
}

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *Kind) UnmarshalText(text []byte) error {
	known, ok := ParseKind(string(text))
	if !ok {
		return errors.New("definition: unknown kind")
	}
	*k = known
	return nil
}

// Definition is one thing that a server defines.
type Definition struct {
	Kind Kind
	Name string // of a tool or prompt, URI of a resource, URI template of a template; empty for instructions
	Raw  json.RawMessage
}

// Name returns the name that raw gives itself in a list of this kind.
func Name(k Kind, raw json.RawMessage) (string, bool) {
	key := "name"
	switch k {
	case Resource:
		key = "uri"
	case Template:
		key = "uriTemplate"
	case Instructions:
		return "", true
	}
	v, ok := mcp.Member(raw, key)
	if !ok {
		return "", false
	}
	s, err := mcp.Unquote(v)
	return s, err == nil && s != ""
}

// Canonical returns the canonical form of a definition (RFC 8785) and its
// SHA-256 in hex. What definitions may say in any order, they say in one here.
func Canonical(raw json.RawMessage) (canonical json.RawMessage, hash string, err error) {
	out, ok := mcp.AppendCanonical(nil, raw)
	if !ok {
		return nil, "", errors.New("definition: is not JSON")
	}
	sum := sha256.Sum256(out)
	return out, hex.EncodeToString(sum[:]), nil
}
