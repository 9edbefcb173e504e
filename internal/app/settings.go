package app

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

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
	guards["*"] = together(cfg.Guards)
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

// together says of all guards what holds for each, or which ones differ.
func together(all map[string]config.Guard) map[string]any {
	say := func(want string, of func(config.Guard) string) string {
		var others []string
		for name, g := range all {
			if got := of(g); got != want {
				others = append(others, name+" "+got)
			}
		}
		if others == nil {
			return want
		}
		slices.Sort(others)
		return "not all: " + strings.Join(others, ", ")
	}
	return map[string]any{
		"mode":     say("enforce", func(g config.Guard) string { return g.Mode }),
		"on_error": say("deny", func(g config.Guard) string { return g.OnError }),
	}
}

// declared is how much servers say of themselves.
func declared(cfg *config.Config) map[string]any {
	servers := cfg.View().Servers()
	out := map[string]any{"count": len(servers)}
	owned, classified := 0, 0
	counts := map[string]int{}
	for _, s := range servers {
		if s.Owner != "" {
			owned++
		}
		if s.Classification != "" {
			classified++
		}
		if len(s.Tools) > 0 {
			counts["tools"]++
		}
		for _, t := range s.Tools {
			for name, is := range map[string]bool{"sensitive_tools": t.Sensitive, "destructive_tools": t.Destructive, "financial_tools": t.Financial, "external_tools": t.External} {
				if is {
					counts[name]++
				}
			}
		}
	}
	for k, n := range counts {
		out[k] = n
	}
	out["owner"], out["data_classification"] = howMany(owned, len(servers)), howMany(classified, len(servers))
	return out
}

func howMany(n, all int) string {
	if n == all {
		return "all"
	}
	return fmt.Sprintf("%d of %d", n, all)
}
