package strict

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Unavailable decides about a setting that the schema must refuse: it returns
// the reason, or "" when the setting is fine. It is also asked about single
// values, as "path=value".
type Unavailable func(path string) string

// JSONSchema returns s as a JSON Schema of dialect 2020-12. It demands all
// that can be said about one value alone; rules between settings, and bounds of
// values that are written with a unit, are only in the descriptions.
func (s Setting) JSONSchema(unavailable Unavailable) map[string]any {
	m := map[string]any{}
	if text := s.describe(); text != "" {
		m["description"] = text
	}
	if why := unavailable(s.Path); why != "" && s.Kind != Mapping {
		m["description"] = strings.TrimSpace(s.describe() + " " + why)
		m["not"] = map[string]any{}
		return m
	}
	switch s.Kind {
	case Mapping:
		s.object(m, unavailable)
	case Dictionary:
		m["type"], m["additionalProperties"] = "object", s.Elem.JSONSchema(unavailable)
		setLimit(m, "minProperties", s.Min)
		setLimit(m, "maxProperties", s.Max)
	case List:
		m["type"], m["items"] = "array", s.Elem.JSONSchema(unavailable)
		setLimit(m, "minItems", s.Min)
		setLimit(m, "maxItems", s.Max)
	case Bool:
		m["type"] = "boolean"
	case Integer:
		m["type"] = "integer"
		if s.Unsigned {
			m["minimum"] = 0
		}
		setLimit(m, "minimum", s.Min)
		setLimit(m, "maximum", s.Max)
	case Number:
		m["type"] = "number"
		setLimit(m, "minimum", s.Min)
		setLimit(m, "maximum", s.Max)
	case Text, Notated:
		s.text(m, unavailable)
	case Opaque:
	}
	s.addDefault(m)
	return m
}

func (s Setting) object(m map[string]any, unavailable Unavailable) {
	properties := make(map[string]any, len(s.Children))
	var required []string
	for _, child := range s.Children {
		properties[child.Key] = child.JSONSchema(unavailable)
		if child.Required {
			required = append(required, child.Key)
		}
	}
	m["type"], m["properties"], m["additionalProperties"] = "object", properties, false
	if required != nil {
		m["required"] = required
	}
}

func (s Setting) text(m map[string]any, unavailable Unavailable) {
	m["type"] = "string"
	if s.Notation.Number {
		m["type"] = []string{"string", "integer"}
		m["minimum"] = 0
	}
	if s.Notation.Pattern != "" {
		m["pattern"], m["examples"] = s.Notation.Pattern, s.Notation.Examples
	}
	if s.OneOf != nil {
		var values []string
		for _, value := range s.OneOf {
			if unavailable(s.Path+"="+value) == "" {
				values = append(values, value)
			}
		}
		m["enum"] = values
	}
}

// describe joins what a person in an editor should know.
func (s Setting) describe() string {
	parts := []string{}
	if s.Doc != "" {
		parts = append(parts, s.Doc+".")
	}
	if s.Kind == Notated && s.Notation.Allowed != "" {
		parts = append(parts, fmt.Sprintf("Write %s.", s.Notation.Allowed))
	}
	if s.Kind == Notated && (s.Min != "" || s.Max != "") {
		parts = append(parts, fmt.Sprintf("Must be %s.", between(rule{min: s.Min, max: s.Max})))
	}
	if s.Restart {
		parts = append(parts, "A change needs a restart.")
	}
	return strings.Join(parts, " ")
}

func (s Setting) addDefault(m map[string]any) {
	switch s.Kind {
	case Bool, Integer, Number:
		if s.Default != "" {
			m["default"] = json.RawMessage(s.Default)
		}
	case Text, Notated:
		if s.Default != "" {
			m["default"] = s.Default
		}
	}
}

func setLimit(m map[string]any, keyword, limit string) {
	if n, err := strconv.ParseFloat(limit, 64); err == nil {
		m[keyword] = n
	}
}
