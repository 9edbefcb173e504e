package definition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Class says what a change is about.
type Class string

// The classes.
const (
	Wording    Class = "wording"    // what a model reads
	Annotation Class = "annotation" // what the server claims about its effects, and metadata
	Schema     Class = "schema"     // what goes in and comes out
	Widened    Class = "widened"    // it may now do, or take, what it could not
)

// Change is one difference between two forms of a definition.
type Change struct {
	Path   string `json:"path"` // JSON pointer
	Class  Class  `json:"class"`
	Before string `json:"before,omitempty"` // JSON, shortened; empty for absent
	After  string `json:"after,omitempty"`
}

// String says the change in a line.
func (c Change) String() string {
	before, after := c.Before, c.After
	if before == "" {
		before = "absent"
	}
	if after == "" {
		after = "absent"
	}
	return fmt.Sprintf("%s (%s): %s becomes %s", c.Path, c.Class, before, after)
}

// maxChanges bounds what is told of two forms that have nothing in common.
const maxChanges = 64

// Compare returns the changes from one form of a definition to another, in the
// order of their paths; at most 64.
func Compare(before, after json.RawMessage) ([]Change, error) {
	old, err := tree(before)
	if err != nil {
		return nil, err
	}
	now, err := tree(after)
	if err != nil {
		return nil, err
	}
	c := &comparison{}
	c.values("", old, now)
	return c.list, nil
}

func tree(raw json.RawMessage) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("definition: compare: %w", err)
	}
	return v, nil
}

type comparison struct{ list []Change }

func (c *comparison) values(path string, old, now any) {
	if len(c.list) >= maxChanges {
		return
	}
	switch a := old.(type) {
	case map[string]any:
		if b, ok := now.(map[string]any); ok {
			c.objects(path, a, b)
			return
		}
	case []any:
		if b, ok := now.([]any); ok && !set(path) {
			c.arrays(path, a, b)
			return
		}
	}
	before, after := compact(old), compact(now)
	if before == after {
		return
	}
	c.list = append(c.list, Change{Path: path, Class: classify(path, old, now), Before: shorten(before), After: shorten(after)})
}

type absent struct{}

func (c *comparison) objects(path string, a, b map[string]any) {
	names := slices.Collect(maps.Keys(a))
	for name := range b {
		if _, both := a[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		old, had := a[name]
		now, has := b[name]
		if !had {
			old = absent{}
		}
		if !has {
			now = absent{}
		}
		c.values(path+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), old, now)
	}
}

func (c *comparison) arrays(path string, a, b []any) {
	for i := range max(len(a), len(b)) {
		var old, now any = absent{}, absent{}
		if i < len(a) {
			old = a[i]
		}
		if i < len(b) {
			now = b[i]
		}
		c.values(path+"/"+strconv.Itoa(i), old, now)
	}
}

// set reports whether the array at a path says the same in any order, so that it
// is told as a whole.
func set(path string) bool {
	return strings.HasSuffix(path, "/enum") || strings.HasSuffix(path, "/required") || strings.HasSuffix(path, "/type")
}

func compact(v any) string {
	if _, ok := v.(absent); ok {
		return ""
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// maxValue bounds a value in a change. What is hidden in it shows as escapes.
const maxValue = 300

func shorten(s string) string {
	s = strconv.QuoteToASCII(s)
	s = s[1 : len(s)-1]
	s = strings.ReplaceAll(s, `\"`, `"`)
	if len(s) > maxValue {
		return s[:maxValue] + "..."
	}
	return s
}

// hints are the claims of MCP about a tool's effects (schema, ToolAnnotations),
// with what each means where it is absent, and the value that promises more
// harmlessness.
var hints = map[string]struct{ absent, harmless bool }{
	"/annotations/readOnlyHint":    {false, true},
	"/annotations/destructiveHint": {true, false},
	"/annotations/idempotentHint":  {false, true},
	"/annotations/openWorldHint":   {true, false},
}

func classify(path string, old, now any) Class {
	if h, ok := hints[path]; ok {
		was, is := truth(old, h.absent), truth(now, h.absent)
		if was == h.harmless && is != h.harmless {
			return Widened
		}
		return Annotation
	}
	last := path[strings.LastIndexByte(path, '/')+1:]
	switch {
	case path == "": // a text by itself: instructions
		return Wording
	case strings.HasPrefix(path, "/annotations") && old != any(absent{}) && path == "/annotations" && len(hintsOf(old)) > 0:
		return Widened // whatever it promised is gone
	case strings.HasPrefix(path, "/annotations"), strings.HasPrefix(path, "/_meta"), strings.HasPrefix(path, "/icons"):
		return Annotation
	case last == "description", last == "title", last == "$comment", last == "examples", path == "/instructions":
		return Wording
	case strings.HasPrefix(path, "/inputSchema"):
		if widens(last, old, now) {
			return Widened
		}
		return Schema
	case strings.HasPrefix(path, "/outputSchema"), strings.HasPrefix(path, "/arguments"), strings.HasPrefix(path, "/execution"):
		return Schema
	}
	return Annotation
}

// hintsOf returns the promises of an annotations object.
func hintsOf(v any) (list []string) {
	m, _ := v.(map[string]any)
	for name := range m {
		if h, ok := hints["/annotations/"+name]; ok && truth(m[name], h.absent) == h.harmless {
			list = append(list, name)
		}
	}
	return list
}

func truth(v any, otherwise bool) bool {
	if b, ok := v.(bool); ok {
		return b
	}
	return otherwise
}

// widens reports whether a keyword of JSON Schema lets more pass than before.
func widens(keyword string, old, now any) bool {
	_, gone := now.(absent)
	switch keyword {
	case "enum", "type":
		return gone || more(now, old)
	case "required":
		return gone || more(old, now)
	case "const", "pattern", "format", "not":
		return gone
	case "additionalProperties", "unevaluatedProperties":
		return old == any(false)
	case "maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties":
		return gone || number(now) > number(old)
	case "minimum", "exclusiveMinimum", "minLength", "minItems":
		return gone || number(now) < number(old)
	}
	return false
}

// more reports whether a has an element that b lacks.
func more(a, b any) bool {
	have := make(map[string]bool)
	for _, v := range elements(b) {
		have[compact(v)] = true
	}
	for _, v := range elements(a) {
		if !have[compact(v)] {
			return true
		}
	}
	return false
}

func elements(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case absent:
		return nil
	}
	return []any{v}
}

func number(v any) float64 {
	n, ok := v.(json.Number)
	if !ok {
		return 0
	}
	f, err := n.Float64()
	if err != nil {
		return 0
	}
	return f
}
