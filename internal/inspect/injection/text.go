package injection

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport/internal/inspect/view"
)

// fold appends text as the model and the rules read it: lower case, without
// accents, letters of other scripts that look like Latin ones made Latin where
// they stand among Latin ones, and every run of white space one space. Line ends
// stay, because sentences end there.
func fold(dst, text []byte) []byte {
	latin := false // the letter before was Latin
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c >= 'A' && c <= 'Z':
				c |= 0x20
			case c == '\t' || c == '\r':
				c = ' '
			}
			if c == ' ' && len(dst) > 0 && dst[len(dst)-1] == ' ' {
				continue
			}
			latin = c >= 'a' && c <= 'z' || latin && c == ' '
			dst = append(dst, c)
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		if r >= 0x3041 && (r <= 0x3096 || r >= 0x30a1 && r <= 0x30fa || r >= 0x4e00 && r <= 0x9fff || r >= 0xac00 && r <= 0xd7a3) {
			dst, latin = append(dst, text[i:i+n]...), false // neither case nor likeness
			i += n
			continue
		}
		i += n
		if small, ok := cyrillic(r); ok {
			if like, ok := view.Lookalike(small); ok && (latin || nextIsLatin(text[i:])) {
				dst, latin = append(dst, like), true
			} else {
				dst, latin = utf8.AppendRune(dst, small), false
			}
			continue
		}
		if unicode.Is(unicode.Mn, r) {
			continue
		}
		if !unicode.IsLetter(r) && r != '。' && r != '！' && r != '？' { // emoji, dashes, quotes
			if len(dst) > 0 && dst[len(dst)-1] != ' ' {
				dst = append(dst, ' ')
			}
			continue
		}
		r = unicode.ToLower(r)
		if like, ok := view.Lookalike(r); ok && (latin || nextIsLatin(text[i:])) {
			dst, latin = append(dst, like), true
			continue
		}
		latin = false
		var raw [utf8.UTFMax]byte
		w := utf8.EncodeRune(raw[:], r)
		if d := norm.NFD.Properties(raw[:w]).Decomposition(); len(d) > 0 && d[0] < utf8.RuneSelf {
			dst, latin = append(dst, d[0]), true
			continue
		}
		dst = append(dst, raw[:w]...)
	}
	return dst
}

// cyrillic returns the small form of a letter of the Russian alphabet but for
// those with marks, which are folded like others.
func cyrillic(r rune) (rune, bool) {
	if r < 0x410 || r > 0x44f || r == 0x419 || r == 0x439 {
		return 0, false
	}
	if r < 0x430 {
		r += 0x20
	}
	return r, true
}

func nextIsLatin(s []byte) bool { return len(s) > 0 && s[0]|0x20 >= 'a' && s[0]|0x20 <= 'z' }

// sentences calls visit for the parts of folded text that say one thing each.
func sentences(text []byte, visit func([]byte)) {
	const longest = 160 // of what is read at once; the model reads it together with what follows
	start := 0
	emit := func(end int) {
		s := bytes.Trim(text[start:end], " \t\n\"'<>|*#-")
		if len(s) > 0 {
			visit(s)
		}
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		end := c == '\n' || c == '<' || c == '>' || c == '|'
		if (c == '.' || c == '!' || c == '?' || c == ';') && (i+1 >= len(text) || text[i+1] == ' ' || text[i+1] == '\n' || text[i+1] == '"' || text[i+1] == ')') {
			end = true
		}
		if c == 0xe3 && bytes.HasPrefix(text[i:], []byte("。")) || c == 0xef && (bytes.HasPrefix(text[i:], []byte("！")) || bytes.HasPrefix(text[i:], []byte("？"))) {
			emit(i)
			start, i = i+3, i+2
			continue
		}
		if !end && i-start >= longest*2/3 && (c == ',' || c == ':' || i-start >= longest && (c == ' ' || i-start >= 2*longest)) {
			end = true
		}
		if end {
			emit(i + 1)
			start = i + 1
		}
	}
	emit(len(text))
}

// hidden looks at what readers do not see: text spelled in tag characters, and
// long runs of other invisible ones, which can carry bits.
func hidden(text []byte) (tagged []byte, tags int, run int) {
	if bytes.IndexByte(text, 0xf3) < 0 && bytes.IndexByte(text, 0xe2) < 0 && bytes.IndexByte(text, 0xef) < 0 {
		return nil, 0, 0
	}
	flag, now := false, 0
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		i += n
		if r == 0x1f3f4 { // a flag of a region is a black flag and up to six tags
			flag, now = true, 0
			continue
		}
		if c, ok := view.Tag(r); ok {
			if now++; flag && now <= 7 {
				continue
			}
			tags++
			if c != 0 {
				tagged = append(tagged, c)
			}
			continue
		}
		if view.Invisible(r) && r != 0xfe0f && r != 0x200d && r != 0xad {
			if now++; now > run {
				run = now
			}
			continue
		}
		flag, now = false, 0
	}
	return tagged, tags, run
}

// spaced appends what single letters with spaces between them spell, as in
// "i g n o r e"; two spaces part words. It returns nothing for other texts.
func spaced(dst, text []byte) []byte {
	for i := 0; i+16 < len(text); i++ {
		if !single(text, i) {
			continue
		}
		from, n := len(dst), 0
		for single(text, i) {
			dst = append(dst, text[i])
			n++
			if i += 2; i < len(text) && text[i] == ' ' {
				dst = append(dst, ' ')
				for i < len(text) && text[i] == ' ' {
					i++
				}
			}
		}
		if n < 8 {
			dst = dst[:from]
		} else {
			dst = append(dst, '.', ' ')
		}
	}
	return dst
}

// single reports whether a letter stands alone at i, with a space behind it.
func single(text []byte, i int) bool {
	return i+1 < len(text) && text[i]|0x20 >= 'a' && text[i]|0x20 <= 'z' && text[i+1] == ' ' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\n')
}
