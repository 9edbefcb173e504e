// Package names knows common personal names, by which texts about people are
// told from other capitalised words.
package names

import (
	_ "embed"
	"strings"
)

//go:embed given.txt
var givenText string

//go:embed surname.txt
var surnameText string

var given, surname, notName = set(givenText), set(surnameText), set(`
valley falls conference trip festival club bay cape port springs heights street road avenue lane drive court square park river lake station university college school hospital church city town
county state island islands beach hill bridge airport tower building house hotel inc ltd llc gmbh corp company group bank
university award prize cup league team model series class method function server client api sdk version release studio
project program center centre museum theatre north south east west day night week monday tuesday wednesday thursday friday
saturday sunday january february march april may june july august september october november december street is was has
and or the for with from version error warning info debug cloud db cluster instance plan example escalation test default service account table queue topic role policy user admin group data code app web api linux windows mac
`)

func set(text string) map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(text) {
		m[w] = true
	}
	return m
}

// Person reports whether s reads "Given Surname", with initials, particles or a
// second surname in between.
func Person(s string) bool {
	var buf [24]byte
	n := strings.IndexByte(s, ' ')
	if n < 0 || n > len(buf) {
		return false
	}
	// Most capitalised words are no names: they are told fast, without a copy.
	if !given[string(appendLower(buf[:0], s[:n]))] && (strings.IndexByte(s[:n], '-') < 0 || !hyphenated(strings.ToLower(s[:n]))) {
		return false
	}
	words := 0
	for rest := s[n:]; ; words++ {
		rest = strings.TrimLeft(rest, " ")
		if rest == "" {
			return words > 0
		}
		n := strings.IndexByte(rest, ' ')
		if n < 0 {
			n = len(rest)
		}
		if notName[string(appendLower(buf[:0], rest[:n]))] {
			return false
		}
		rest = rest[n:]
	}
}

// appendLower appends a word in lower case. What is longer than dst has room for
// is no word that is known, and left out.
func appendLower(dst []byte, word string) []byte {
	if len(word) > cap(dst) {
		return dst
	}
	for i := range len(word) {
		c := word[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

func hyphenated(w string) bool {
	a, b, ok := strings.Cut(w, "-")
	return ok && given[a] && given[b]
}

// Reversed reports whether s reads "Surname, Given".
func Reversed(s string) bool {
	last, first, ok := strings.Cut(strings.ToLower(s), ", ")
	if !ok {
		return false
	}
	first, _, _ = strings.Cut(first, " ")
	return given[first] && !notName[last] && (!given[last] || surname[last])
}

// Plausible reports whether s can be somebody's full name where it is said
// that a name stands: two to four capitalised words.
func Plausible(s string) bool {
	words := strings.Fields(strings.ReplaceAll(s, ",", " "))
	if len(words) < 2 || len(words) > 4 {
		return false
	}
	capitals := 0
	for _, w := range words {
		lower := strings.ToLower(w)
		if strings.ContainsAny(w, "0123456789_/:@()[]{}<>=\"") || notName[lower] {
			return false
		}
		if w != lower || w[0] >= 0x80 {
			capitals++
		}
	}
	return capitals >= 2 || given[strings.ToLower(words[0])] && surname[strings.ToLower(words[len(words)-1])]
}
