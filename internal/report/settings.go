package report

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// Settings are a configuration as a tree, in the words that files use.
type Settings map[string]any

// Value returns what stands at a pointer such as gateway.authentication.method, and
// whether that is more than nothing; [] stands for every entry, and all have to have it.
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
	have := 0
	for _, one := range list {
		if first, ok := find(one, path[1:]); ok {
			have, value = have+1, cmp.Or(value, first)
		}
	}
	if have < len(list) {
		return fmt.Sprintf("%d of %d", have, len(list)), false
	}
	return value, have > 0
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
	return value, value != "" && !nothing.MatchString(value)
}

// nothing are amounts, rates and durations that are none: $0, 0/hour, 0s.
var nothing = regexp.MustCompile(`^\$?0+(\.0+)?\s*([a-zA-Z%_]*|/\s*[a-zA-Z]*)$`)

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

// agree reports whether two configurations say the same where pointers point.
func (s Settings) agree(o Settings, at []Setting) bool {
	for i := range at {
		a, aSet := s.Value(at[i].At)
		b, bSet := o.Value(at[i].At)
		if a != b || aSet != bSet {
			return false
		}
	}
	return true
}

// frequent sorts revisions by how often they decided.
func frequent(all map[string]uint64) []Decider {
	out := make([]Decider, 0, len(all))
	for id, n := range all {
		out = append(out, Decider{id, n})
	}
	slices.SortFunc(out, func(a, b Decider) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.ID, b.ID))
	})
	return out
}
