package notation_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/config/notation"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"read", "read", true}, {"read", "reads", false}, {"", "", true}, {"", "a", false},
		{"*", "", true}, {"*", "anything", true}, {"read_*", "read_", true}, {"read_*", "read", false},
		{"*_file", "read_file", true}, {"*_file", "read_files", false}, {"a*a", "a", false}, {"a*a", "aa", true},
		{"a*b*c", "a-b-b-c", true}, {"a*b*c", "a-c-b", false}, {"**", "x", true}, {"a*b", "a*b", true},
	} {
		if got := notation.Match(c.pattern, c.text); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.text, got)
		}
	}
	if notation.MatchAny(nil, "x") || !notation.MatchAny([]string{"a", "x*"}, "xy") || notation.MatchAny([]string{"a", "b*"}, "xy") {
		t.Error("several patterns")
	}
	if !notation.Among(nil, "x") || !notation.Among([]string{"a", "x*"}, "xy") || notation.Among([]string{"a"}, "x") {
		t.Error("no patterns mean all")
	}
}
