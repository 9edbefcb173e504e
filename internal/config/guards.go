package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport/sallyport/guard"
)

type common struct {
	Mode    string        `yaml:"mode"`
	OnError string        `yaml:"on_error"`
	Timeout time.Duration `yaml:"timeout"`
}

// GuardSettings returns what guards: says about each guard of specs. Sections
// of guards that do not exist are errors.
func (c *Config) GuardSettings(specs []guard.Spec) (map[string]guard.Setting, error) {
	out := make(map[string]guard.Setting)
	var names []string
	for _, s := range specs {
		names = append(names, s.Name)
		out[s.Name] = guard.Setting{Decode: func(any) error { return nil }}
	}
	for name, node := range c.Guards {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("guards.%s: there is no such guard; this build has: %s", name, strings.Join(names, ", "))
		}
		s, err := setting(&node)
		if err != nil {
			return nil, fmt.Errorf("guards.%s: %w", name, err)
		}
		out[name] = s
	}
	return out, nil
}

func setting(node *yaml.Node) (guard.Setting, error) {
	var head common
	own := yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	shared := own
	if node.Kind != yaml.MappingNode {
		return guard.Setting{}, fmt.Errorf("line %d: must be a mapping", node.Line)
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		to := &own
		switch node.Content[i].Value {
		case "mode", "on_error", "timeout":
			to = &shared
		}
		to.Content = append(to.Content, node.Content[i], node.Content[i+1])
	}
	if err := shared.Decode(&head); err != nil {
		return guard.Setting{}, err
	}
	s := guard.Setting{Timeout: head.Timeout}
	switch head.Mode {
	case "", "enforce":
	case "shadow":
		s.Mode = guard.Shadow
	case "off":
		s.Mode = guard.Off
	default:
		return s, fmt.Errorf("mode: %q is not enforce, shadow or off", head.Mode)
	}
	switch head.OnError {
	case "", "deny":
	case "allow":
		s.OnError = guard.Allow
	default:
		return s, fmt.Errorf("on_error: %q is neither deny nor allow", head.OnError)
	}
	if head.Timeout < 0 {
		return s, fmt.Errorf("timeout: %v must be positive", head.Timeout)
	}
	s.Decode = func(config any) error {
		known := keys(config)
		for i := 0; i+1 < len(own.Content); i += 2 {
			if k := own.Content[i]; !slices.Contains(known, k.Value) {
				return fmt.Errorf("line %d: %q is not a setting; there are: mode, on_error, timeout, %s", k.Line, k.Value, strings.Join(known, ", "))
			}
		}
		return own.Decode(config)
	}
	return s, nil
}

// keys returns the yaml names of the fields of the struct that p points to.
func keys(p any) []string {
	var out []string
	t := reflect.TypeOf(p).Elem()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		out = append(out, name)
	}
	return out
}
