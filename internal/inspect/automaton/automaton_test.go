package automaton

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

var patterns = []string{
	`a(?:b|c)*d`, `[0-9]{3}(?:[ -]?[0-9]{2}){1,3}`, `(?i)token=[^\s"]{2,}`, `a{2,5}`, `\pL+@[a-z.]+`, `x[^-]*y`, `(?:a|ab)(?:c|bcd)`,
}

// all takes every end.
func all(int, int) bool { return true }

// isWord is what the package says of words, in other words.
func isWord(c byte) bool {
	return strings.ContainsRune("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", rune(c))
}

func TestEachPatternMatchesAsRegexpSaysUpToTheEndOfAWord(t *testing.T) {
	a, err := Compile(patterns)
	if err != nil {
		t.Fatal(err)
	}
	var oracles []*regexp.Regexp
	for _, p := range patterns {
		oracles = append(oracles, regexp.MustCompile(`^(?:`+p+`)$`))
	}
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(rapid.StringMatching(`[abcdxy0-9 @.é=TtOoKkEeNn"-]{0,40}`).Draw(t, "text"))
		at := 0
		if len(text) > 0 {
			at = rapid.IntRange(0, len(text)-1).Draw(t, "at")
		}
		if at < len(text) && text[at]&0xc0 == 0x80 {
			return // inside a character
		}
		var got, want []string
		for _, h := range a.MatchAt(nil, text, at, 1<<20, nil, all) {
			got = append(got, fmt.Sprint(h.Pattern, ":", h.End))
		}
		for i, re := range oracles {
			for end := len(text); end > at; end-- {
				within := end < len(text) && (isWord(text[end-1]) && isWord(text[end]) || text[end]&0xc0 == 0x80)
				if !within && re.Match(text[at:end]) {
					want = append(want, fmt.Sprint(i, ":", end))
					break
				}
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%q from %d: %v, regexp says %v", text, at, got, want)
		}
	})
}

func TestManyGoroutinesShareItsStates(t *testing.T) {
	a, err := Compile(patterns)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 200 {
				text := fmt.Appendf(nil, "token=%d%d aabcd 123-45 678", i, k)
				if hits := a.MatchAt(nil, text, 0, 1<<20, nil, all); len(hits) != 1 {
					t.Errorf("%q: %v", text, hits)
				}
			}
		})
	}
	wg.Wait()
}

func TestWhatItCannotMatchIsRefused(t *testing.T) {
	for _, p := range []string{`^a`, `a$`, `\ba`, `straße`, `(`, `a{2000}`} {
		if _, err := Compile([]string{p}); err == nil {
			t.Errorf("%s: accepted", p)
		}
	}
}

func TestMatchesThatRunIntoOneAnotherAreReadOnce(t *testing.T) {
	a, err := Compile([]string{`ey[a-z-]{4,}`})
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(strings.Repeat("ey-", 100_000))
	var trail Trail
	trail.Reset(len(text))
	steps, ends := 0, map[int]bool{}
	for at := 0; at < len(text); at += 3 {
		for _, h := range a.MatchAt(nil, text, at, 1<<20, &trail, func(int, int) bool { steps++; return true }) {
			ends[h.End] = true
		}
	}
	if !ends[len(text)] || steps > 100*len(text) {
		t.Errorf("%d steps for %d bytes; the whole was found: %v", steps, len(text), ends[len(text)])
	}
}
