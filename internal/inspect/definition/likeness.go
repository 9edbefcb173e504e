package definition

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport/internal/inspect/view"
)

// Skeleton returns what is left of a name when everything is taken away by which
// names differ without looking or sounding different: case, separators, accents,
// invisible characters, and letters of other scripts that are drawn alike. Two
// names with one skeleton are taken for each other.
func Skeleton(name string) string {
	b := make([]byte, 0, len(name))
	for _, r := range norm.NFKD.String(strings.ToLower(name)) {
		if like, ok := view.Lookalike(r); ok {
			r = rune(like)
		}
		switch {
		case view.Invisible(r), unicode.Is(unicode.Mn, r), unicode.IsSpace(r), strings.ContainsRune("-_./:·", r):
			continue
		case r == '0':
			r = 'o'
		case r == '1', r == '|', r == 'i', r == 'ı', r == 'ӏ':
			r = 'l'
		}
		b = utf8.AppendRune(b, unicode.ToLower(r))
	}
	// Pairs that are drawn like one letter.
	return strings.NewReplacer("rn", "m", "vv", "w").Replace(string(b))
}

// Distinctive reports whether a tool's name is one that prose does not use by
// accident: of several words, joined as programmers do.
func Distinctive(name string) bool {
	if len(name) < 5 {
		return false
	}
	if strings.ContainsAny(name, "_-./") {
		return true
	}
	humps := 0
	for i := 1; i < len(name); i++ {
		if name[i] >= 'A' && name[i] <= 'Z' && name[i-1] >= 'a' && name[i-1] <= 'z' {
			humps++
		}
	}
	return humps > 0
}

// Words calls visit for every word of text that could be the name of a tool.
func Words(text string, visit func(word string)) {
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool {
		return r != '_' && r != '-' && r != '.' && r != '/' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		if word = strings.Trim(word, "-./"); word != "" {
			visit(word)
		}
	}
}
