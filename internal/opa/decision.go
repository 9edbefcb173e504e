package opa

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
)

// decision reads a decision document. A member that it does not know is an
// error: a condition that nobody carries out must not be lost.
func decision(v ast.Value) (*policy.Decision, error) {
	d := &policy.Decision{}
	allow := false
	err := object(v, "decision", func(key string, v ast.Value) (err error) {
		switch key {
		case "allow":
			allow = true
			d.Allow, err = boolean(v)
		case "reason":
			var s string
			s, err = str(v)
			if d.Reason = guard.Reason(s); err == nil && !policy.ValidReason(d.Reason) {
				err = fmt.Errorf("%q is not a reason that a policy can give", s)
			}
		case "detail":
			d.Detail, err = str(v)
		case "hint":
			d.Hint, err = str(v)
		case "challenge":
			err = challenge(v, &d.Challenge)
		case "obligations":
			err = obligations(v, &d.Obligations)
		default:
			err = errUnknown
		}
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("opa: %w", err)
	case !allow:
		return nil, fmt.Errorf("opa: decision: allow is missing")
	}
	return d, nil
}

func challenge(v ast.Value, c *policy.Challenge) error {
	return object(v, "challenge", func(key string, v ast.Value) (err error) {
		switch key {
		case "scopes":
			c.Scopes, err = tokens(v)
		case "acr":
			c.ACR, err = tokens(v)
		case "max_age":
			c.MaxAge, err = whole(v)
		default:
			err = errUnknown
		}
		return err
	})
}

var (
	errUnknown = fmt.Errorf("is not known here")
	errLacking = fmt.Errorf("lacks a member that it needs")
)

// object visits the members of an object; errors name the member.
func object(v ast.Value, what string, visit func(key string, v ast.Value) error) error {
	o, ok := v.(ast.Object)
	if !ok {
		return fmt.Errorf("%s is no object", what)
	}
	return o.Iter(func(k, v *ast.Term) error {
		key, ok := k.Value.(ast.String)
		if !ok {
			return fmt.Errorf("%s has a key that is no text", what)
		}
		if err := visit(string(key), v.Value); err != nil {
			return fmt.Errorf("%s.%s: %w", what, key, err)
		}
		return nil
	})
}

// each visits the elements of a set or an array, a set in its own order.
func each(v ast.Value, visit func(ast.Value) error) error {
	var err error
	visitTerm := func(t *ast.Term) {
		if err == nil {
			err = visit(t.Value)
		}
	}
	switch v := v.(type) {
	case *ast.Array:
		v.Foreach(visitTerm)
	case ast.Set:
		v.Sorted().Foreach(visitTerm)
	default:
		return fmt.Errorf("is neither a set nor an array")
	}
	return err
}

// all reads each element of a set or an array.
func all[T any](v ast.Value, read func(ast.Value) (T, error)) (out []T, err error) {
	err = each(v, func(v ast.Value) error {
		one, err := read(v)
		out = append(out, one)
		return err
	})
	return out, err
}

func boolean(v ast.Value) (bool, error) {
	b, ok := v.(ast.Boolean)
	if !ok {
		return false, fmt.Errorf("is neither true nor false")
	}
	return bool(b), nil
}

func str(v ast.Value) (string, error) {
	s, ok := v.(ast.String)
	if !ok {
		return "", fmt.Errorf("is no text")
	}
	return string(s), nil
}

func strs(v ast.Value) ([]string, error) { return all(v, str) }

// tokens are texts that go into a challenge, between quotes.
func tokens(v ast.Value) ([]string, error) {
	list, err := strs(v)
	for _, s := range list {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return nil, fmt.Errorf("%q is no token", s)
		}
	}
	return list, err
}

func whole(v ast.Value) (int, error) {
	n, ok := v.(ast.Number)
	if !ok {
		return 0, fmt.Errorf("is no number")
	}
	i, ok := n.Int()
	if !ok || i < 0 {
		return 0, fmt.Errorf("is no whole number from 0 on")
	}
	return i, nil
}

func float(v ast.Value) (*float64, error) {
	n, ok := v.(ast.Number)
	if !ok {
		return nil, fmt.Errorf("is no number")
	}
	f, ok := n.Float64()
	if !ok {
		return nil, fmt.Errorf("is no number that a float64 holds")
	}
	return &f, nil
}

func path(v ast.Value, wild bool) (string, error) {
	s, err := str(v)
	switch {
	case err != nil:
	case !strings.HasPrefix(s, "/"):
		err = fmt.Errorf("%q is no JSON pointer", s)
	case !wild && strings.Contains(s+"/", "/*/"):
		err = fmt.Errorf("%q: only masks can have *", s)
	}
	return s, err
}

func raw(v ast.Value) (json.RawMessage, error) {
	j, err := ast.JSON(v)
	if err != nil {
		return nil, err
	}
	return json.Marshal(j)
}
