package report

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Settings are a configuration as a tree, in the words that files use.
type Settings map[string]any

// Value returns what stands at a pointer such as gateway.authentication.method, and
// whether that is more than nothing; [] stands for the first entry that has it.
func (s Settings) Value(at string) (value string, set bool) {
	return find(map[string]any(s), strings.Split(at, "."))
}

func find(v any, path []string) (value string, set bool) {
	if len(path) == 0 {
		return say(v)
	}
	key, each := strings.CutSuffix(path[0], "[]")
	m, ok := v.(map[string]any)
	if !ok {
		return "", false
	}
	if v, ok = m[key]; !ok {
		return "", false
	}
	if !each {
		return find(v, path[1:])
	}
	list, _ := v.([]any)
	for _, one := range list {
		if value, set = find(one, path[1:]); set {
			return value, true
		}
	}
	return "", false
}

// say writes a value on one line. Long ones are counted.
func say(v any) (value string, set bool) {
	switch v := v.(type) {
	case nil:
		return "", false
	case bool:
		return fmt.Sprint(v), v
	case []any:
		words := make([]string, 0, len(v))
		for _, one := range v {
			if text, ok := one.(string); ok && len(text) < 60 && len(v) <= 6 {
				words = append(words, text)
			}
		}
		if len(words) == len(v) {
			return strings.Join(words, ", "), len(v) > 0
		}
		return fmt.Sprintf("%d entries", len(v)), len(v) > 0
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k, one := range v {
			if _, set := say(one); set {
				keys = append(keys, k)
			}
		}
		sort.Strings(keys)
		return strings.Join(keys, ", "), len(keys) > 0
	}
	value = strings.ReplaceAll(fmt.Sprint(v), "\n", " ")
	return value, value != "" && value != "0" && value != "0s" && value != "0B"
}

// holds reports whether a value is what the condition wants.
func (s *Setting) holds(value string, set bool) bool {
	switch {
	case len(s.Is) > 0:
		return slices.Contains(s.Is, value)
	case len(s.Not) > 0:
		return set && !slices.Contains(s.Not, value)
	}
	return set
}

// frequent sorts revisions by how often they decided.
func frequent(all map[string]uint64) []Revision {
	out := make([]Revision, 0, len(all))
	for id, n := range all {
		out = append(out, Revision{id, n})
	}
	slices.SortFunc(out, func(a, b Revision) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.ID, b.ID))
	})
	return out
}
