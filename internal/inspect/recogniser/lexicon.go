package recogniser

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// meaning is what a word says about a recogniser.
type meaning struct {
	owner   int16
	against bool
}

// lexicon holds the context words. Words are lower-case runs of letters; names
// such as clientIP and card_no are several.
type lexicon struct {
	first    map[string][]phrase // by first word
	prefixes map[string][]phrase // by the first four bytes, for word*
}

type phrase struct {
	rest   []string // further words
	prefix string   // with word*, the letters that must begin the last word
	means  meaning
}

// mention is a phrase in a text.
type mention struct {
	start, end int32
	means      meaning
}

func newLexicon() *lexicon {
	return &lexicon{first: make(map[string][]phrase), prefixes: make(map[string][]phrase)}
}

func (l *lexicon) add(text string, m meaning) {
	if p, ok := strings.CutSuffix(text, "*"); ok && len(p) >= 4 {
		p = string(appendLower(nil, []byte(p)))
		l.prefixes[p[:4]] = append(l.prefixes[p[:4]], phrase{prefix: p, means: m})
		return
	}
	var words []string
	for i := 0; i < len(text); {
		start, end := nextWord([]byte(text), i)
		if start < 0 {
			break
		}
		words = append(words, string(appendLower(nil, []byte(text[start:end]))))
		i = end
	}
	if len(words) == 0 {
		return
	}
	l.first[words[0]] = append(l.first[words[0]], phrase{rest: words[1:], means: m})
	if len(words) > 1 { // also written as one word
		one := strings.Join(words, "")
		l.first[one] = append(l.first[one], phrase{means: m})
	} else if w := words[0]; len(w) == 3 || len(w) == 4 { // and with a dot after each letter
		letters := strings.Split(w, "")
		l.first[letters[0]] = append(l.first[letters[0]], phrase{rest: letters[1:], means: m})
	}
}

// mentions appends the phrases in text, in order.
func (l *lexicon) mentions(dst []mention, text []byte) []mention {
	var buf [64]byte
	for i := 0; ; {
		start, end := nextWord(text, i)
		if start < 0 {
			return dst
		}
		i = end
		if end-start > len(buf) {
			continue
		}
		lower := appendLower(buf[:0], text[start:end])
		dst = l.at(dst, text, lower, start, end)
		// "cards" and "passwords" mean what "card" and "password" do.
		if n := len(lower); n > 3 && lower[n-1] == 's' {
			dst = l.at(dst, text, lower[:n-1], start, end)
		}
		if len(lower) >= 4 {
			for _, p := range l.prefixes[string(lower[:4])] {
				if strings.HasPrefix(string(lower), p.prefix) {
					dst = append(dst, mention{int32(start), int32(end), p.means})
				}
			}
		}
	}
}

func (l *lexicon) at(dst []mention, text, lower []byte, start, end int) []mention {
next:
	for _, p := range l.first[string(lower)] {
		at := end
		for _, want := range p.rest {
			s, e := nextWord(text, at)
			if s < 0 || s-at > 3 || !equalLower(text[s:e], want) {
				continue next
			}
			at = e
		}
		dst = append(dst, mention{int32(start), int32(at), p.means})
	}
	return dst
}

// nextWord returns the next run of letters from i on, -1 when there is none. A
// capital after a small letter begins a new one; Han characters and the like
// stand alone.
func nextWord(text []byte, i int) (start, end int) {
	for i < len(text) {
		c := text[i]
		if c < utf8.RuneSelf {
			if !isLetter(c) {
				i++
				continue
			}
			break
		}
		r, n := utf8.DecodeRune(text[i:])
		if unicode.IsLetter(r) {
			if ideographic(r) {
				return i, i + n
			}
			break
		}
		i += n
	}
	if i >= len(text) {
		return -1, -1
	}
	start = i
	small := false
	for i < len(text) {
		c := text[i]
		if c < utf8.RuneSelf {
			if !isLetter(c) || small && c <= 'Z' {
				break
			}
			// The last capital of a row begins the next word: IPAddress.
			if c <= 'Z' && i > start && i+1 < len(text) && text[i+1] >= 'a' && text[i+1] <= 'z' {
				break
			}
			small = c >= 'a'
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		if !unicode.IsLetter(r) && !unicode.Is(unicode.Mn, r) || ideographic(r) {
			break
		}
		small = unicode.IsLower(r)
		i += n
	}
	return start, i
}

func ideographic(r rune) bool {
	return r >= 0x2e80 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func appendLower(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 'A' && c <= 'Z' {
				c |= 0x20
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		i += n
		// Accents go: people leave them out, and forms do.
		var raw [utf8.UTFMax]byte
		size := utf8.EncodeRune(raw[:], unicode.ToLower(r))
		if d := norm.NFD.Properties(raw[:size]).Decomposition(); len(d) > 0 && d[0] < utf8.RuneSelf {
			dst = append(dst, d[0])
			continue
		}
		dst = append(dst, raw[:size]...)
	}
	return dst
}

func equalLower(s []byte, want string) bool {
	var buf [64]byte
	return len(s) <= len(buf) && string(appendLower(buf[:0], s)) == want
}
