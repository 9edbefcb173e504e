package normal

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/inspect/view"
)

// visible takes out what no reader sees: control characters and sequences of
// terminals, what these conceal, and invisible characters, except where a
// script or an emoji needs them. Lines end with a line feed.
func visible(s string) string {
	i := firstHidden(s)
	if i == len(s) {
		return s
	}
	b := make([]byte, i, len(s))
	copy(b, s[:i])
	concealed := false
	put := func(part string) {
		if !concealed {
			b = append(b, part...)
		}
	}
	for i < len(s) {
		switch c := s[i]; {
		case c == 0x1b:
			n, sgr := sequence(s[i:])
			concealed = conceals(sgr, concealed)
			i += n
		case c == '\r':
			if !strings.HasPrefix(s[i+1:], "\n") {
				put("\n")
			}
			i++
		case c == '\n', c == '\t':
			put(s[i : i+1])
			i++
		case c < 0x20, c == 0x7f:
			i++
		case c < utf8.RuneSelf:
			put(s[i : i+1])
			i++
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && n == 1, unicode.IsControl(r):
				if r == 0x9b { // CSI in one character
					m, sgr := parameters(s[i+n:])
					concealed = conceals(sgr, concealed)
					n += m
				}
			case !view.Invisible(r) || needed(r, b, s[i+n:]):
				put(s[i : i+n])
			}
			i += n
		}
	}
	return string(b)
}

// firstHidden returns where the first byte is that visible has to look at.
func firstHidden(s string) int {
	for i := range len(s) {
		if c := s[i]; c >= 0x7f || c < 0x20 && c != '\n' && c != '\t' {
			return i
		}
	}
	return len(s)
}

// sequence measures an escape sequence (ECMA-48), and returns the parameters of
// one that selects how text looks.
func sequence(s string) (n int, sgr string) {
	if len(s) < 2 {
		return len(s), ""
	}
	switch c := s[1]; c {
	case '[':
		n, sgr = parameters(s[2:])
		return n + 2, sgr
	case ']', 'P', 'X', '^', '_':
		// A string of the terminal's: up to BEL or ST. One without an end is
		// taken for one line, as nothing tells what it would swallow.
		for i := 2; i < len(s); i++ {
			switch s[i] {
			case 0x07:
				return i + 1, ""
			case 0x1b:
				if i+1 < len(s) && s[i+1] == '\\' {
					return i + 2, ""
				}
				return i, ""
			case '\n':
				return i, ""
			}
		}
		return len(s), ""
	default:
		if c >= 0x20 && c < 0x30 { // intermediate bytes, and a final one
			i := 1
			for i < len(s) && s[i] >= 0x20 && s[i] < 0x30 {
				i++
			}
			return min(i+1, len(s)), ""
		}
		if c >= 0x30 && c < 0x7f {
			return 2, ""
		}
		return 1, ""
	}
}

// parameters measures what follows CSI.
func parameters(s string) (n int, sgr string) {
	i := 0
	for i < len(s) && s[i] >= 0x20 && s[i] < 0x40 {
		i++
	}
	if i == len(s) || s[i] < 0x40 || s[i] > 0x7e {
		return i, ""
	}
	if s[i] == 'm' {
		return i + 1, "m" + s[:i]
	}
	return i + 1, ""
}

// conceals reports whether text is invisible after a sequence.
func conceals(sgr string, before bool) bool {
	if sgr == "" {
		return before
	}
	for p := range strings.SplitSeq(sgr[1:], ";") {
		switch strings.TrimLeft(p, "0") {
		case "8":
			before = true
		case "", "28":
			before = false
		}
	}
	return before
}

// needed reports whether an invisible character has a use between what was kept
// and what follows: joiners in emoji and in scripts that join, and the one
// selector after a sign that has two looks.
func needed(r rune, before []byte, after string) bool {
	prev, _ := utf8.DecodeLastRune(before)
	next, _ := utf8.DecodeRuneInString(after)
	switch r {
	case 0x200d: // zero width joiner
		if pictograph(prev) || prev == 0xfe0f || modifier(prev) {
			return pictograph(next)
		}
		return joining(prev) && joining(next)
	case 0x200c: // zero width non-joiner
		return joining(prev) && joining(next)
	case 0xfe0e, 0xfe0f:
		return pictograph(prev) || prev == '#' || prev == '*' || prev >= '0' && prev <= '9' && next == 0x20e3
	}
	if r >= 0xe0100 && r <= 0xe01ef { // variants of ideographs
		return unicode.Is(unicode.Han, prev)
	}
	return false
}

func modifier(r rune) bool { return r >= 0x1f3fb && r <= 0x1f3ff }

// pictograph reports whether r is in a block of signs that emoji are made of.
func pictograph(r rune) bool {
	return r >= 0x1f000 && r <= 0x1faff || r >= 0x2190 && r <= 0x2bff || r >= 0x3030 && r <= 0x303d || r == 0xa9 || r == 0xae || r == 0x203c || r == 0x2049 || r == 0x2122
}

// joining reports whether letters of r's script take another form next to each
// other.
func joining(r rune) bool {
	return unicode.In(r, unicode.Arabic, unicode.Syriac, unicode.Mongolian, unicode.Nko, unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi,
		unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Khmer, unicode.Myanmar, unicode.Thaana)
}
