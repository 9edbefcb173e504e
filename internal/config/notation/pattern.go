package notation

import (
	"slices"
	"strings"
)

// Match reports whether s is p, in which * stands for any text.
func Match(p, s string) bool {
	head, rest, star := strings.Cut(p, "*")
	if !star {
		return p == s
	}
	s, ok := strings.CutPrefix(s, head)
	if !ok {
		return false
	}
	for {
		part, more, another := strings.Cut(rest, "*")
		if !another {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], more
	}
}

// MatchAny reports whether s is one of the patterns.
func MatchAny(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return Match(p, s) })
}

// Among reports whether s is one of the patterns, of which none means all.
func Among(patterns []string, s string) bool { return len(patterns) == 0 || MatchAny(patterns, s) }
