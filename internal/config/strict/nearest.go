package strict

import (
	"fmt"
	"strings"
)

// unknown says that got is none of allowed, and which was probably meant.
func unknown(what, got string, allowed []string) string {
	var b strings.Builder
	b.WriteString(what)
	if best := nearest(got, allowed); best != "" {
		fmt.Fprintf(&b, "; did you mean %q?", best)
	}
	if len(allowed) == 0 {
		return b.String() + "; nothing is allowed here"
	}
	return b.String() + "; allowed: " + strings.Join(allowed, ", ")
}

// nearest returns the candidate with the fewest typing mistakes between it and
// got, or "" when none is near enough to be meant.
func nearest(got string, candidates []string) string {
	best, least := "", len([]rune(got))/3+2
	for _, c := range candidates {
		if d := distance(fold(got), fold(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// fold forgets the differences that people do not see.
func fold(s string) []rune {
	return []rune(strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(s)))
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to make b of a.
func distance(a, b []rune) int {
	const long = 64 // nobody mistypes that much; bounds the work on hostile input
	if len(a) > long || len(b) > long {
		return long
	}
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return prev[len(b)]
}
