package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/config/strict"
)

// Reference returns the settings as a table per section in Markdown.
func Reference(o Options) string {
	var b strings.Builder
	for _, s := range Describe(o).Children {
		section(&b, s, o.Available)
	}
	return b.String()
}

// GuardReference returns the settings that guards have for themselves, as a
// table per guard in Markdown; those that all have stand in [Reference]. page
// names the page of a guard.
func GuardReference(o Options, page func(guard string) string) string {
	var b strings.Builder
	all := Describe(o)
	guards := all.Children[slices.IndexFunc(all.Children, func(s strict.Setting) bool { return s.Key == "guards" })]
	head := defaultCommon()
	common := strict.Describe("", &head)
	for _, g := range guards.Children {
		own := without(g, common)
		fmt.Fprintf(&b, "## `%s`\n\n%s. [More](%s)\n\n", g.Key, g.Doc, page(g.Key))
		if len(own.Children) == 0 {
			b.WriteString("It has no settings of its own.\n\n")
			continue
		}
		b.WriteString("| setting | written as | default | meaning |\n| --- | --- | --- | --- |\n")
		rows(&b, own, o.Available, "guards."+g.Key)
		b.WriteString("\n")
	}
	return b.String()
}

func section(b *strings.Builder, s strict.Setting, have Capabilities) {
	fmt.Fprintf(b, "## `%s`\n\n%s.\n\n", s.Key, s.Doc)
	if have.missing(s.Path) != "" {
		fmt.Fprintf(b, "No setting of this block is available in this build: each is checked, and then refused until something enforces it.\n\n")
	}
	b.WriteString("| setting | written as | default | meaning |\n| --- | --- | --- | --- |\n")
	rows(b, s, have, s.Key)
	b.WriteString("\n")
}

func rows(b *strings.Builder, s strict.Setting, have Capabilities, name string) {
	switch {
	case s.Kind == strict.Mapping:
		for _, child := range s.Children {
			if child.Kind == strict.List && child.Elem.Kind == strict.Mapping {
				*child.Elem = without(*child.Elem, s)
			}
			rows(b, child, have, name+"."+child.Key)
		}
		return
	case s.Kind == strict.List && s.Elem.Kind == strict.Mapping:
		fmt.Fprintf(b, "| `%s` | list | | %s |\n", name, meaning(s, have))
		rows(b, *s.Elem, have, name+"[]")
		return
	}
	def := ""
	if s.Default != "" && have.missing(s.Path) == "" {
		def = "`" + s.Default + "`"
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, written(s), def, meaning(s, have))
}

// without leaves out of s what stands in the table already, as a setting of the
// mapping that s is in.
func without(s, around strict.Setting) strict.Setting {
	s.Children = slices.DeleteFunc(slices.Clone(s.Children), func(c strict.Setting) bool {
		return slices.ContainsFunc(around.Children, func(a strict.Setting) bool { return a.Key == c.Key && a.Doc == c.Doc })
	})
	return s
}

// written says how a value is written: its notation, its words or its type.
func written(s strict.Setting) string {
	switch {
	case s.OneOf != nil:
		return "`" + strings.Join(s.OneOf, "`, `") + "`"
	case s.Kind == strict.List:
		return "list: " + written(*s.Elem)
	case s.Kind == strict.Dictionary:
		return "mapping: " + written(*s.Elem)
	case s.Kind == strict.Notated:
		return fmt.Sprintf("%s, such as `%s`", s.Notation.Name, s.Notation.Examples[0])
	case s.Kind == strict.Bool:
		return "`true`, `false`"
	}
	return string(s.Kind)
}

func meaning(s strict.Setting, have Capabilities) string {
	parts := []string{s.Doc + "."}
	if s.Required {
		parts = append(parts, "Required.")
	}
	switch {
	case s.Min != "" && s.Max != "":
		parts = append(parts, fmt.Sprintf("From %s to %s.", s.Min, s.Max))
	case s.Min != "" && s.Kind != strict.List:
		parts = append(parts, fmt.Sprintf("At least %s.", s.Min))
	case s.Max != "":
		parts = append(parts, fmt.Sprintf("At most %s.", s.Max))
	}
	if s.Restart {
		parts = append(parts, "A change needs a restart.")
	}
	switch values := have.values(s.Path); {
	case have.missing(s.Path) != "":
		parts = append(parts, "**Not available in this build.**")
	case len(values) > 0:
		parts = append(parts, fmt.Sprintf("**Available in this build: `%s`.**", strings.Join(values, "`, `")))
	}
	return strings.ReplaceAll(strings.Join(parts, " "), "|", "\\|")
}
