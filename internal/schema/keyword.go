package schema

import (
	"encoding/json"
	"math/big"
	"unicode/utf8"
)

func (r *run) text(n *node, v string) bool {
	if n.minLength != nil || n.maxLength != nil {
		count := utf8.RuneCountInString(v)
		if r.spend(len(v) / 256) {
			return false
		}
		if n.minLength != nil && count < *n.minLength {
			return r.fail("minLength", "")
		}
		if n.maxLength != nil && count > *n.maxLength {
			return r.fail("maxLength", "")
		}
	}
	if n.pattern != nil && !r.matches(n.pattern, v) {
		return r.fail("pattern", "")
	}
	return true
}

// matches takes the steps that a match costs at worst.
func (r *run) matches(e *expression, s string) bool {
	return !r.spend(1+len(s)*e.size/64) && e.MatchString(s)
}

func (r *run) number(n *node, v json.Number) bool {
	if n.low == nil && n.high == nil && n.above == nil && n.below == nil && n.multiple == nil {
		return true
	}
	x, ok := rational(v)
	if r.spend(1 + len(v)/8); !ok {
		return r.fail("range", "")
	}
	switch {
	case n.low != nil && x.Cmp(n.low) < 0:
		return r.fail("minimum", "")
	case n.high != nil && x.Cmp(n.high) > 0:
		return r.fail("maximum", "")
	case n.above != nil && x.Cmp(n.above) <= 0:
		return r.fail("exclusiveMinimum", "")
	case n.below != nil && x.Cmp(n.below) >= 0:
		return r.fail("exclusiveMaximum", "")
	case n.multiple != nil && n.multiple.Sign() != 0 && !new(big.Rat).Quo(x, n.multiple).IsInt():
		return r.fail("multipleOf", "")
	}
	return true
}

func (r *run) object(n *node, v map[string]any, s *seen) bool {
	switch {
	case n.minProps != nil && len(v) < *n.minProps:
		return r.fail("minProperties", "")
	case n.maxProps != nil && len(v) > *n.maxProps:
		return r.fail("maxProperties", "")
	}
	if r.spend((len(n.required) + len(n.names) + len(n.dependent)) / 8) {
		return false
	}
	if !r.required("required", n.required, v) {
		return false
	}
	if s != nil {
		s.declares, s.open = s.declares || n.declares, s.open || n.additional != nil
	}
	for _, name := range n.names {
		e, ok := v[name]
		if !ok {
			continue
		}
		if !r.below(n.properties[name], e, token{name, -1, true}) {
			return false
		}
		if s != nil {
			s.prop(name)
		}
	}
	if (len(n.patterns) > 0 || n.additional != nil || n.propNames != nil) && !r.others(n, v, s) {
		return false
	}
	for i := range n.dependent {
		d := &n.dependent[i]
		if _, ok := v[d.name]; !ok {
			continue
		}
		if !r.required("dependentRequired", d.required, v) || d.node != nil && !r.eval(d.node, v, s) {
			return false
		}
	}
	return true
}

func (r *run) required(keyword string, names []string, v map[string]any) bool {
	for _, name := range names {
		if _, ok := v[name]; !ok {
			return r.fail(keyword, name)
		}
	}
	return true
}

// others evaluates properties that are not named one by one.
func (r *run) others(n *node, v map[string]any, s *seen) bool {
	for _, k := range keys(v) {
		if r.spend(1) || n.propNames != nil && !r.name(n.propNames, k) {
			return false
		}
		_, found := n.properties[k]
		for _, p := range n.patterns {
			if !r.matches(p.expression, k) {
				continue
			}
			if found = true; !r.below(p.node, v[k], token{k, -1, false}) {
				return false
			}
		}
		if !found && n.additional != nil {
			if n.additional.always != nil && !*n.additional.always {
				return r.fail("additionalProperties", "")
			}
			if found = true; !r.below(n.additional, v[k], token{k, -1, false}) {
				return false
			}
		}
		if found && s != nil {
			s.prop(k)
		}
	}
	return true
}

// name evaluates a property's name.
func (r *run) name(n *node, name string) bool {
	if r.try(n, name, nil) {
		return true
	}
	return r.fail("propertyNames", "")
}

func (r *run) array(n *node, v []any, s *seen) bool {
	switch {
	case n.minItems != nil && len(v) < *n.minItems:
		return r.fail("minItems", "")
	case n.maxItems != nil && len(v) > *n.maxItems:
		return r.fail("maxItems", "")
	case n.unique && !r.distinct(v):
		return r.fail("uniqueItems", "")
	}
	for i, e := range v {
		item := n.items
		if i < len(n.prefix) {
			item = n.prefix[i]
		}
		if item == nil {
			break
		}
		if !r.below(item, e, token{index: i}) {
			return false
		}
		if s != nil {
			s.items = max(s.items, i+1)
		}
	}
	return n.contains == nil || r.contains(n, v, s)
}

func (r *run) distinct(v []any) bool {
	if len(v) < 2 {
		return true
	}
	have := make(map[string]struct{}, len(v))
	var b []byte
	for _, e := range v {
		if b = r.canonical(b[:0], e); r.spend(len(b) / 64) {
			return false
		}
		if _, twice := have[string(b)]; twice {
			return false
		}
		have[string(b)] = struct{}{}
	}
	return true
}

func (r *run) contains(n *node, v []any, s *seen) bool {
	least, count := 1, 0
	if n.minContains != nil {
		least = *n.minContains
	}
	for i, e := range v {
		if !r.try(n.contains, e, nil) {
			continue
		}
		if count++; s != nil && n.marks {
			s.mark(i)
		}
	}
	switch {
	case count < least:
		return r.fail("contains", "")
	case n.maxContains != nil && count > *n.maxContains:
		return r.fail("maxContains", "")
	}
	return true
}

// rest evaluates what no other part has.
func (r *run) rest(n *node, v any, s *seen) bool {
	switch v := v.(type) {
	case map[string]any:
		if n.unevaluatedProps == nil || s.allProps {
			return true
		}
		for _, k := range keys(v) {
			if r.spend(1) {
				return false
			}
			if _, ok := s.props[k]; ok {
				continue
			}
			if n.unevaluatedProps.always != nil && !*n.unevaluatedProps.always {
				return r.fail("unevaluatedProperties", "")
			}
			if !r.below(n.unevaluatedProps, v[k], token{k, -1, false}) {
				return false
			}
		}
		s.allProps = true
	case []any:
		if n.unevaluatedItems == nil || s.allItems {
			return true
		}
		for i := s.items; i < len(v); i++ {
			if r.spend(1) {
				return false
			}
			if _, ok := s.marked[i]; ok {
				continue
			}
			if !r.below(n.unevaluatedItems, v[i], token{index: i}) {
				return false
			}
		}
		s.allItems = true
	}
	return true
}
