package opa

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/guard/policy"
)

// obligations reads what a yes carries.
func obligations(v ast.Value, o *policy.Obligations) error {
	return object(v, "obligations", func(key string, v ast.Value) (err error) {
		switch key {
		case "labels":
			o.Labels, err = strs(v)
		case "approval":
			o.Approval, err = str(v)
			if err == nil && o.Approval == "" {
				err = fmt.Errorf("says nothing to the person who approves")
			}
		case "set":
			o.Set, err = all(v, set)
		case "clamp":
			o.Clamp, err = all(v, clamp)
		case "mask":
			o.Mask, err = all(v, mask)
		case "cap":
			o.Cap, err = all(v, capped)
		case "constrain":
			if _, ok := v.(ast.Object); !ok {
				return fmt.Errorf("is no object")
			}
			o.Constrain, err = raw(v)
		default:
			err = errUnknown
		}
		return err
	})
}

func set(v ast.Value) (s policy.Set, err error) {
	err = object(v, "", func(key string, v ast.Value) (err error) {
		switch key {
		case "path":
			s.Path, err = path(v, false)
		case "value":
			s.Value, err = raw(v)
		default:
			err = errUnknown
		}
		return err
	})
	if err == nil && (s.Path == "" || s.Value == nil) {
		err = errLacking
	}
	return s, err
}

func clamp(v ast.Value) (c policy.Clamp, err error) {
	err = object(v, "", func(key string, v ast.Value) (err error) {
		switch key {
		case "path":
			c.Path, err = path(v, false)
		case "min":
			c.Min, err = float(v)
		case "max":
			c.Max, err = float(v)
		case "default":
			c.Default, err = float(v)
		default:
			err = errUnknown
		}
		return err
	})
	if err == nil && (c.Path == "" || c.Min == nil && c.Max == nil) {
		err = errLacking
	}
	return c, err
}

func mask(v ast.Value) (m policy.Mask, err error) {
	err = object(v, "", func(key string, v ast.Value) (err error) {
		switch key {
		case "path":
			m.Path, err = path(v, true)
		case "with":
			m.With, err = raw(v)
		default:
			err = errUnknown
		}
		return err
	})
	if err == nil && m.Path == "" {
		err = errLacking
	}
	return m, err
}

func capped(v ast.Value) (c policy.Cap, err error) {
	items := false
	err = object(v, "", func(key string, v ast.Value) (err error) {
		switch key {
		case "path":
			c.Path, err = path(v, false)
		case "items":
			items = true
			c.Items, err = whole(v)
		default:
			err = errUnknown
		}
		return err
	})
	if err == nil && (c.Path == "" || !items) {
		err = errLacking
	}
	return c, err
}
