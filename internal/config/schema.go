package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/sallyport/sallyport/internal/config/strict"
)

// SchemaID names the JSON Schema of the configuration.
const SchemaID = "https://sallyport.dev/schema/sallyport.json"

// Describe returns every setting of the configuration, with the guards of o.
func Describe(o Options) strict.Setting {
	all := strict.Describe("", &document{Config: Default()})
	i := slices.IndexFunc(all.Children, func(s strict.Setting) bool { return s.Key == "guards" })
	all.Children[i] = describeGuards(all.Children[i], o.Guards)
	for _, path := range [][]string{{"gateway"}, {"gateway", "authentication"}, {"gateway", "authentication", "method"},
		{"gateway", "authorization"}, {"gateway", "authorization", "policy_engine"}} {
		require(&all, path)
	}
	return all
}

// require marks what checkStatements demands.
func require(s *strict.Setting, path []string) {
	for _, key := range path {
		i := slices.IndexFunc(s.Children, func(c strict.Setting) bool { return c.Key == key })
		s = &s.Children[i]
	}
	s.Required = true
}

func describeGuards(s strict.Setting, sections map[string]GuardSection) strict.Setting {
	s.Kind = strict.Mapping
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		head, own := defaultCommon(), reflect.New(reflect.TypeOf(sections[name].Defaults).Elem())
		own.Elem().Set(reflect.ValueOf(sections[name].Defaults).Elem())
		one := strict.Describe(s.Path+"."+name, &head, own.Interface())

		one.Key, one.Doc = name, trimDot(sections[name].Summary)
		s.Children = append(s.Children, one)
	}
	return s
}

func trimDot(s string) string {
	if n := len(s); n > 0 && s[n-1] == '.' {
		return s[:n-1]
	}
	return s
}

// Schema returns the JSON Schema (2020-12) of the configuration for editors.
// What Load accepts is valid by it; Load also refuses what no schema shows, such
// as two servers with one name.
func Schema(o Options) ([]byte, error) {
	s := Describe(o).JSONSchema(o.Available.missing)
	s["$schema"], s["$id"] = "https://json-schema.org/draft/2020-12/schema", SchemaID
	s["title"] = "Sallyport configuration"
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("config: schema: %w", err)
	}
	return append(b, '\n'), nil
}
