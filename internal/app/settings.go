package app

import (
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport/sallyport/internal/config"
)

// Settings returns a configuration with its defaults as a tree, in the words that
// files use, with what servers declare in short. It holds references to secrets
// and no secrets.
func Settings(cfg *config.Config) (map[string]any, error) {
	out, err := tree(cfg)
	if err != nil {
		return nil, err
	}
	guards := make(map[string]any, len(cfg.Guards))
	for name, g := range cfg.Guards {
		own, err := tree(g.Config)
		if err != nil {
			return nil, err
		}
		own["mode"], own["on_error"] = g.Mode, g.OnError
		guards[name] = own
	}
	out["guards"] = guards
	out["servers"] = declared(cfg)
	return out, nil
}

func tree(v any) (map[string]any, error) {
	out := make(map[string]any)
	if v == nil || reflect.ValueOf(v).Kind() == reflect.Pointer && reflect.ValueOf(v).IsNil() {
		return out, nil
	}
	text, err := yaml.Marshal(v)
	if err == nil {
		err = yaml.Unmarshal(text, &out)
	}
	if err != nil {
		return nil, fmt.Errorf("app: settings: %w", err)
	}
	return out, nil
}

// declared is how much servers say of themselves.
func declared(cfg *config.Config) map[string]any {
	counts := map[string]int{}
	for _, s := range cfg.View().Servers() {
		counts["count"]++
		for name, is := range map[string]bool{"owner": s.Owner != "", "data_classification": s.Classification != "", "tools": len(s.Tools) > 0} {
			if is {
				counts[name]++
			}
		}
		for _, t := range s.Tools {
			for name, is := range map[string]bool{"sensitive_tools": t.Sensitive, "destructive_tools": t.Destructive, "financial_tools": t.Financial, "external_tools": t.External} {
				if is {
					counts[name]++
				}
			}
		}
	}
	out := make(map[string]any, len(counts))
	for k, n := range counts {
		out[k] = n
	}
	return out
}
