package schema

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// node is a part of a compiled schema, in the form that [run] evaluates.
type node struct {
	always   *bool // of the schemas true and false
	types    kinds // 0 for any
	enum     []any
	constant *any

	ref, not, cond, then, els *node
	allOf, anyOf, oneOf       []*node

	minProps, maxProps    *int
	required              []string
	declares              bool // names properties, and says nothing of additional ones
	properties            map[string]*node
	names                 []string // of properties, sorted
	patterns              []patterned
	additional, propNames *node
	dependent             []dependent
	unevaluatedProps      *node

	minItems, maxItems       *int
	unique                   bool
	contains                 *node
	minContains, maxContains *int
	marks                    bool // what contains matches counts as evaluated (2020-12)
	prefix                   []*node
	items, unevaluatedItems  *node

	minLength, maxLength *int
	pattern              *expression

	low, high, above, below, multiple *big.Rat
}

type patterned struct {
	expression *expression
	node       *node
}

// dependent is what the presence of a property asks for.
type dependent struct {
	name     string
	required []string
	node     *node
}

// builder turns the library's schemas into nodes.
type builder struct {
	known                map[*jsonschema.Schema]*node
	patterns, programs   int
	unevaluated, dynamic bool
	err                  error
}

func (b *builder) node(s *jsonschema.Schema) *node {
	if s == nil {
		return nil
	}
	if n, ok := b.known[s]; ok {
		return n
	}
	n := new(node)
	b.known[s] = n
	if len(b.known) > maxNodes {
		b.err = fmt.Errorf("it has more than %d parts", maxNodes)
		return n
	}
	n.always = s.Bool
	if s.Types != nil {
		n.types = kindsOf(s.Types.ToStrings())
	}
	if s.Enum != nil {
		n.enum = s.Enum.Values
	}
	n.constant = s.Const
	n.ref = b.node(s.Ref)
	if s.RecursiveRef != nil {
		b.dynamic = true
		n.allOf = append(n.allOf, b.node(s.RecursiveRef))
	}
	if s.DynamicRef != nil {
		b.dynamic = true
		n.allOf = append(n.allOf, b.node(s.DynamicRef.Ref))
	}
	n.not, n.cond, n.then, n.els = b.node(s.Not), b.node(s.If), b.node(s.Then), b.node(s.Else)
	n.allOf = append(n.allOf, b.nodes(s.AllOf)...)
	n.anyOf, n.oneOf = b.nodes(s.AnyOf), b.nodes(s.OneOf)
	b.object(n, s)
	b.array(n, s)
	n.minLength, n.maxLength = s.MinLength, s.MaxLength
	n.pattern = b.expression(s.Pattern)
	n.low, n.high, n.above, n.below, n.multiple = s.Minimum, s.Maximum, s.ExclusiveMinimum, s.ExclusiveMaximum, s.MultipleOf
	return n
}

func (b *builder) nodes(list []*jsonschema.Schema) (out []*node) {
	for _, s := range list {
		out = append(out, b.node(s))
	}
	return out
}

// either is a keyword that takes a boolean or a schema.
func (b *builder) either(v any) *node {
	switch v := v.(type) {
	case bool:
		return &node{always: &v}
	case *jsonschema.Schema:
		return b.node(v)
	}
	return nil
}

func (b *builder) expression(r jsonschema.Regexp) *expression {
	if r == nil {
		return nil
	}
	e, ok := r.(*expression)
	if !ok {
		b.err = fmt.Errorf("a pattern is of type %T", r)
	}
	return e
}

func (b *builder) object(n *node, s *jsonschema.Schema) {
	n.minProps, n.maxProps, n.required = s.MinProperties, s.MaxProperties, s.Required
	n.properties = make(map[string]*node, len(s.Properties))
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		n.names = append(n.names, name)
		n.properties[name] = b.node(s.Properties[name])
	}
	for r, p := range s.PatternProperties {
		n.patterns = append(n.patterns, patterned{b.expression(r), b.node(p)})
	}
	slices.SortFunc(n.patterns, func(x, y patterned) int {
		if x.expression == nil || y.expression == nil {
			return 0
		}
		return strings.Compare(x.expression.String(), y.expression.String())
	})
	n.additional = b.either(s.AdditionalProperties)
	n.propNames, n.unevaluatedProps = b.node(s.PropertyNames), b.node(s.UnevaluatedProperties)
	n.declares = (s.Properties != nil || len(n.patterns) > 0) && n.additional == nil && n.unevaluatedProps == nil
	for _, name := range slices.Sorted(maps.Keys(s.Dependencies)) {
		switch d := s.Dependencies[name].(type) {
		case []string:
			n.dependent = append(n.dependent, dependent{name: name, required: d})
		case *jsonschema.Schema:
			n.dependent = append(n.dependent, dependent{name: name, node: b.node(d)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.DependentRequired)) {
		n.dependent = append(n.dependent, dependent{name: name, required: s.DependentRequired[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(s.DependentSchemas)) {
		n.dependent = append(n.dependent, dependent{name: name, node: b.node(s.DependentSchemas[name])})
	}
	b.unevaluated = b.unevaluated || n.unevaluatedProps != nil
}

func (b *builder) array(n *node, s *jsonschema.Schema) {
	n.minItems, n.maxItems, n.unique = s.MinItems, s.MaxItems, s.UniqueItems
	n.contains, n.minContains, n.maxContains = b.node(s.Contains), s.MinContains, s.MaxContains
	n.marks = s.DraftVersion >= 2020
	n.prefix, n.items = b.nodes(s.PrefixItems), b.node(s.Items2020)
	switch i := s.Items.(type) { // before 2020-12
	case *jsonschema.Schema:
		n.items = b.node(i)
	case []*jsonschema.Schema:
		n.prefix, n.items = b.nodes(i), b.either(s.AdditionalItems)
	case bool:
		n.items = b.either(i)
	}
	n.unevaluatedItems = b.node(s.UnevaluatedItems)
	b.unevaluated = b.unevaluated || n.unevaluatedItems != nil
}
