package cedar

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go"
	externalast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
)

func asExternal(p *ast.Policy) *externalast.Policy { return (*externalast.Policy)(p) }

// annotate reads what a policy says besides yes and no. An annotation that it
// does not know is an error: what nobody carries out must not be lost.
func (r *rule) annotate(one *cedar.Policy) (step string, err error) {
	step = atAccess
	no := policy.Decision{Reason: policy.PolicyDenied, Detail: string(r.id)}
	var o policy.Obligations
	forbids := one.Effect() == cedar.Forbid
	var errs []error
	refusalOnly := func(key string) {
		if !forbids {
			errs = append(errs, fmt.Errorf("@%s is for forbids", key))
		}
	}
	for key, v := range one.Annotations() {
		text, key := string(v), string(key)
		var err error
		switch key {
		case "id":
			no.Detail = text
		case "description":
		case "step":
			switch text {
			case atAccess, atCall, atOblige:
				step = text
			default:
				err = fmt.Errorf("there is no step %q; there are %s, %s and %s", text, atAccess, atCall, atOblige)
			}
		case "reason":
			refusalOnly(key)
			if no.Reason = guard.Reason(text); !policy.ValidReason(no.Reason) {
				err = fmt.Errorf("%q is not a reason that a policy can give", text)
			}
		case "hint":
			refusalOnly(key)
			no.Hint = text
		case "require_scope":
			refusalOnly(key)
			no.Scopes, err = tokens(text)
		case "acr":
			refusalOnly(key)
			no.ACR, err = tokens(text)
		case "max_age":
			refusalOnly(key)
			if no.MaxAge, err = strconv.Atoi(text); err == nil && no.MaxAge < 0 {
				err = errors.New("is less than 0")
			}
		case "tenant_argument":
			r.tenantAt, err = pointer(text, false)
		default:
			err = oblige(&o, key, text)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("@%s: %w", key, err))
		}
	}
	if forbids {
		r.no = &no
	}
	if !o.IsZero() {
		r.adds = &o
	}
	return step, errors.Join(errs...)
}

// oblige reads an annotation about what a yes carries.
func oblige(o *policy.Obligations, key, text string) (err error) {
	switch key {
	case "label":
		o.Labels, err = tokens(text)
	case "approval":
		if o.Approval = text; text == "" {
			err = errors.New("says nothing to the person who approves")
		}
	case "set":
		err = each(text, func(s *struct {
			Path  string          `json:"path"`
			Value json.RawMessage `json:"value"`
		}) error {
			p, err := pointer(s.Path, false)
			if err == nil && s.Value == nil {
				err = errLacking
			}
			o.Set = append(o.Set, policy.Set{Path: p, Value: s.Value})
			return err
		})
	case "clamp":
		err = each(text, func(c *struct {
			Path    string   `json:"path"`
			Min     *float64 `json:"min"`
			Max     *float64 `json:"max"`
			Default *float64 `json:"default"`
		}) error {
			p, err := pointer(c.Path, false)
			if err == nil && c.Min == nil && c.Max == nil {
				err = errLacking
			}
			o.Clamp = append(o.Clamp, policy.Clamp{Path: p, Min: c.Min, Max: c.Max, Default: c.Default})
			return err
		})
	case "mask":
		err = each(text, func(m *struct {
			Path string          `json:"path"`
			With json.RawMessage `json:"with"`
		}) error {
			p, err := pointer(m.Path, true)
			o.Mask = append(o.Mask, policy.Mask{Path: p, With: m.With})
			return err
		})
	case "cap":
		err = each(text, func(c *struct {
			Path  string `json:"path"`
			Items *int   `json:"items"`
		}) error {
			p, err := pointer(c.Path, false)
			if err == nil && (c.Items == nil || *c.Items < 0) {
				return errLacking
			}
			if err == nil {
				o.Cap = append(o.Cap, policy.Cap{Path: p, Items: *c.Items})
			}
			return err
		})
	case "constrain":
		var claims map[string]json.RawMessage
		if err = json.Unmarshal([]byte(text), &claims); err == nil && claims == nil {
			err = errors.New("is no object")
		}
		o.Constrain = json.RawMessage(text)
	default:
		err = errors.New("is no annotation that the gateway knows")
	}
	return err
}

var errLacking = errors.New("lacks a member that it needs")

// each decodes a JSON array of objects, and visits them.
func each[T any](text string, visit func(*T) error) error {
	var list []T
	if err := strict(text, &list); err != nil {
		return err
	}
	if len(list) == 0 {
		return errLacking
	}
	for i := range list {
		if err := visit(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

func pointer(s string, wild bool) (string, error) {
	switch {
	case !strings.HasPrefix(s, "/"):
		return "", fmt.Errorf("%q is no JSON pointer", s)
	case !wild && strings.Contains(s+"/", "/*/"):
		return "", fmt.Errorf("%q: only masks can have *", s)
	}
	return s, nil
}

// tokens are texts between spaces that go into a header, between quotes, or into labels.
func tokens(text string) ([]string, error) {
	list := strings.Fields(text)
	if len(list) == 0 {
		return nil, errLacking
	}
	for _, s := range list {
		if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return nil, fmt.Errorf("%q is no token", s)
		}
	}
	return list, nil
}
