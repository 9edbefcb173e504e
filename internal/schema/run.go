package schema

import (
	"encoding/json"

	"github.com/sallyport/sallyport/guard/schema"
)

// Bounds of one judgement. A step takes some 50 to 100 ns; a value gets as many as
// it has bytes, beside the first.
const (
	freeSteps = 100_000
	maxNested = 1000 // parts that are being evaluated at one time
)

// run holds one value against a schema.
type run struct {
	steps   int
	nested  int
	spent   bool // the answer means nothing
	track   bool // what is evaluated
	unknown bool // look for properties that no schema names
	quiet   int  // failures that do not decide

	path         []token
	report       schema.Report
	named, loose []schema.Property // properties that some schema names, and that one does not
}

// Check implements schema.Schema.
func (c *Compiled) Check(value json.RawMessage, unknown bool) schema.Report {
	v, ok := decode(value)
	if !ok {
		return schema.Report{Keyword: "json"}
	}
	r := run{steps: freeSteps + len(value), track: unknown || c.unevaluated, unknown: unknown}
	ok = r.value(c.root, v)
	switch {
	case r.spent:
		return schema.Report{Keyword: schema.TooCostly}
	case !ok:
		r.report.Unknown = nil
		return r.report
	case len(r.loose) == 0:
		return schema.Report{}
	}
	named := make(map[string]bool, len(r.named))
	for _, p := range r.named {
		named[p.Pointer] = true
	}
	var out schema.Report
	for _, p := range r.loose {
		if !named[p.Pointer] {
			named[p.Pointer] = true // once
			out.Unknown = append(out.Unknown, p)
		}
	}
	return out
}

// spend takes n steps and reports whether there are none left.
func (r *run) spend(n int) bool {
	if r.steps -= n; r.steps < 0 {
		r.spent = true
	}
	return r.spent
}

// fail notes what does not fit, where that decides.
func (r *run) fail(keyword, name string) bool {
	if r.quiet == 0 && r.report.Keyword == "" {
		r.report = schema.Report{Keyword: keyword, Path: r.public(), Name: name}
	}
	return false
}

// value evaluates a value that no other part of a schema has looked at.
func (r *run) value(n *node, v any) bool {
	if !r.track {
		return r.eval(n, v, nil)
	}
	var s seen
	if !r.eval(n, v, &s) {
		return false
	}
	if o, ok := v.(map[string]any); ok && r.unknown {
		for _, k := range keys(o) {
			if r.spend(1 + len(r.path)) {
				return false
			}
			p := schema.Property{Pointer: r.pointer(k)}
			if _, named := s.props[k]; named || s.allProps || s.open {
				r.named = append(r.named, p)
			} else if s.declares {
				p.Path = r.public()
				r.loose = append(r.loose, p)
			}
		}
	}
	return true
}

// below evaluates a property or an item.
func (r *run) below(n *node, v any, t token) bool {
	r.path = append(r.path, t)
	ok := r.value(n, v)
	r.path = r.path[:len(r.path)-1]
	return ok
}

// try evaluates a part whose failure does not decide. What it found counts only
// where it fits, and into is not nil.
func (r *run) try(n *node, v any, into *seen) bool {
	named, loose := len(r.named), len(r.loose)
	var own *seen
	if r.track {
		own = new(seen)
	}
	r.quiet++
	ok := r.eval(n, v, own)
	r.quiet--
	if !ok || into == nil {
		r.named, r.loose = r.named[:named], r.loose[:loose]
		return ok
	}
	into.merge(own)
	return true
}

// eval holds v against one part; s gets what it evaluates, and is nil where
// nobody wants to know.
func (r *run) eval(n *node, v any, s *seen) bool {
	if r.nested++; r.nested > maxNested {
		r.spent = true
	}
	ok := !r.spend(1) && r.one(n, v, s)
	r.nested--
	return ok
}

func (r *run) one(n *node, v any, s *seen) bool {
	if n.always != nil {
		return *n.always || r.fail("false", "")
	}
	if n.unevaluatedProps != nil || n.unevaluatedItems != nil {
		own := new(seen) // neighbours further out do not count
		if !r.parts(n, v, own) {
			return false
		}
		s.merge(own)
		return true
	}
	return r.parts(n, v, s)
}

func (r *run) parts(n *node, v any, s *seen) bool {
	if n.types != 0 && !n.types.fits(v) {
		return r.fail("type", "")
	}
	if n.constant != nil && !r.equal(v, *n.constant) {
		return r.fail("const", "")
	}
	if n.enum != nil && !r.among(v, n.enum) {
		return r.fail("enum", "")
	}
	if n.ref != nil && !r.eval(n.ref, v, s) {
		return false
	}
	ok := true
	switch v := v.(type) {
	case string:
		ok = r.text(n, v)
	case json.Number:
		ok = r.number(n, v)
	case map[string]any:
		ok = r.object(n, v, s)
	case []any:
		ok = r.array(n, v, s)
	}
	return ok && r.combined(n, v, s) && r.rest(n, v, s)
}

func (r *run) among(v any, list []any) bool {
	for _, e := range list {
		if r.equal(v, e) {
			return true
		}
	}
	return false
}

// combined evaluates the parts that look at the same value.
func (r *run) combined(n *node, v any, s *seen) bool {
	for _, p := range n.allOf {
		if !r.eval(p, v, s) {
			return false
		}
	}
	if len(n.anyOf) > 0 {
		some := false
		for _, p := range n.anyOf {
			if r.try(p, v, s) {
				if some = true; !r.track {
					break
				}
			}
		}
		if !some {
			return r.fail("anyOf", "")
		}
	}
	if len(n.oneOf) > 0 {
		count := 0
		for _, p := range n.oneOf {
			if r.try(p, v, s) {
				count++
			}
		}
		if count != 1 {
			return r.fail("oneOf", "")
		}
	}
	if n.not != nil && r.try(n.not, v, nil) {
		return r.fail("not", "")
	}
	if n.cond != nil {
		if r.try(n.cond, v, s) {
			return n.then == nil || r.eval(n.then, v, s)
		}
		return n.els == nil || r.eval(n.els, v, s)
	}
	return true
}
