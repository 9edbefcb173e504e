package host

import (
	"fmt"

	"github.com/google/jsonschema-go/jsonschema"
)

// Schema infers the JSON Schema of T and lets edit add what Go types cannot
// say: lengths, ranges and enumerations. A nil edit leaves it as inferred.
func Schema[T any](edit func(properties map[string]*jsonschema.Schema)) (*jsonschema.Schema, error) {
	s, err := jsonschema.For[T](nil)
	if err != nil {
		return nil, fmt.Errorf("host: schema of %T: %w", *new(T), err)
	}
	if edit != nil {
		edit(s.Properties)
	}
	return s, nil
}

// Words limits a property to the given words.
func Words(p *jsonschema.Schema, words ...string) {
	p.Enum = make([]any, len(words))
	for i, w := range words {
		p.Enum[i] = w
	}
}

// Range limits a number.
func Range(p *jsonschema.Schema, least, most float64) {
	p.Minimum, p.Maximum = &least, &most
}

// Length limits a string, in characters.
func Length(p *jsonschema.Schema, least, most int) {
	p.MinLength, p.MaxLength = &least, &most
}
