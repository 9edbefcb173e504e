// Package schema compiles the JSON Schemas of tool definitions, which servers
// write, and holds values against them, which clients and servers write. Neither
// can make it read a file or a network, or work for long.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport/sallyport/guard/schema"
	"github.com/sallyport/sallyport/mcp"
)

// Limits of what a schema may ask for.
const (
	maxBytes    = 128 << 10
	maxDepth    = 64
	maxNodes    = 10_000
	maxPatterns = 500
	maxProgram  = 4000    // instructions of one pattern
	maxPrograms = 100_000 // and of all together
)

// Tool compiles the schemas of a tool's definition. What cannot be compiled is
// no schema, and the trouble says why.
func Tool(definition json.RawMessage) (t schema.Tool) {
	t.Input, t.InputTrouble = part(definition, "inputSchema")
	t.Output, t.OutputTrouble = part(definition, "outputSchema")
	return t
}

func part(definition json.RawMessage, name string) (schema.Schema, string) {
	raw, ok := mcp.Member(definition, name)
	if !ok || string(raw) == "null" {
		return nil, ""
	}
	c, err := compile(raw)
	if err != nil {
		return nil, "the pinned " + name + " is unusable: " + err.Error()
	}
	return c, ""
}

// Compiled is a schema that values can be held against, by many goroutines.
type Compiled struct {
	root        *node
	unevaluated bool // some part asks what others have evaluated
}

// compile compiles a schema of the dialect that its $schema names, 2020-12 where
// it names none. References lead to places in it, or to the dialects themselves.
func compile(raw json.RawMessage) (c *Compiled, err error) {
	defer func() {
		if p := recover(); p != nil { // a server wrote it, and a library reads it
			c, err = nil, fmt.Errorf("schema: compile: panic: %v", p)
		}
	}()
	if len(raw) > maxBytes {
		return nil, fmt.Errorf("schema: compile: it is larger than %d bytes", maxBytes)
	}
	if err := sober(raw); err != nil {
		return nil, fmt.Errorf("schema: compile: %w", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("schema: compile: %w", err)
	}
	b := &builder{known: make(map[*jsonschema.Schema]*node)}
	lib := jsonschema.NewCompiler()
	lib.UseLoader(nowhere{})
	lib.UseRegexpEngine(b.pattern)
	const url = "urn:sallyport:schema"
	if err := lib.AddResource(url, doc); err != nil {
		return nil, fmt.Errorf("schema: compile: %w", short(err))
	}
	s, err := lib.Compile(url)
	if err != nil {
		return nil, fmt.Errorf("schema: compile: %w", short(err))
	}
	c = &Compiled{root: b.node(s)}
	if b.dynamic && nestedID(doc, true) {
		b.err = errors.New("dynamic references between several $id")
	}
	if b.err != nil {
		return nil, fmt.Errorf("schema: compile: %w", b.err)
	}
	c.unevaluated = b.unevaluated
	return c, nil
}

// nowhere loads no schema.
type nowhere struct{}

func (nowhere) Load(url string) (any, error) {
	return nil, errors.New("references may not leave the schema")
}

// sober refuses numbers that are cheap to write and dear to compute with, and
// deep nesting.
func sober(raw json.RawMessage) error {
	depth := 0
	inString := false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return fmt.Errorf("it is nested deeper than %d levels", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		case c == '-' || c >= '0' && c <= '9':
			end := i
			for end < len(raw) && strings.IndexByte("+-0123456789.eE", raw[end]) >= 0 {
				end++
			}
			if _, ok := rational(json.Number(raw[i:end])); !ok {
				return errors.New("a number is out of range")
			}
			i = end - 1
		}
	}
	return nil
}

// nestedID reports whether a part of the document has an identity of its own.
func nestedID(v any, root bool) bool {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["$id"].(string); ok && !root {
			return true
		}
		for _, e := range v {
			if nestedID(e, false) {
				return true
			}
		}
	case []any:
		for _, e := range v {
			if nestedID(e, false) {
				return true
			}
		}
	}
	return false
}

// short keeps the library's errors, which repeat the schema, in bounds.
func short(err error) error {
	const most = 300
	s := strings.Join(strings.Fields(err.Error()), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return errors.New(s)
}

// expression is a pattern with what it costs to match.
type expression struct {
	*regexp.Regexp
	size int
}

// pattern compiles a pattern with Go's engine, whose time is linear. It does not
// know look-around and back-references, so schemas that use them are unusable.
func (b *builder) pattern(s string) (jsonschema.Regexp, error) {
	p, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(p.Simplify())
	if err != nil {
		return nil, err
	}
	b.patterns++
	b.programs += len(prog.Inst)
	if len(prog.Inst) > maxProgram || b.programs > maxPrograms || b.patterns > 2*maxPatterns { // each is seen twice
		return nil, errors.New("the patterns are too large")
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, err
	}
	return &expression{re, len(prog.Inst)}, nil
}
