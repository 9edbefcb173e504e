// Package view makes the canonical form of a text that detectors read, with a
// map back to the bytes it came from: what an evader inserts or encodes is
// undone in the view, and a finding in the view is a span of the original.
package view

import (
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// View is a canonical text. The zero View is empty; Reset makes one, and may be
// called again to reuse the memory.
type View struct {
	Text []byte // borrowed from the source where that is canonical already

	mapped     bool
	buf        []byte
	start, end []int32 // of the source bytes that each byte of Text stands for
}

// Reset makes v the view of src, which v borrows. Invisible characters vanish,
// compatibility characters, dashes, spaces and digits take their ASCII form,
// and one level of %XX, \uXXXX and the short backslash escapes is decoded.
func (v *View) Reset(src []byte) {
	at := firstUnusual(src)
	if at == len(src) {
		v.Text, v.mapped = src, false
		return
	}
	v.mapped = true
	v.buf, v.start, v.end = v.buf[:0], v.start[:0], v.end[:0]
	for i := range at {
		v.put(src[i], i, i+1)
	}
	for i := at; i < len(src); {
		i = v.step(src, i)
	}
	v.Text = v.buf
}

// Span returns the source bytes that the bytes i to j of the view stand for.
func (v *View) Span(i, j int) (start, end int) {
	if !v.mapped || i >= j {
		return i, j
	}
	return int(v.start[i]), int(v.end[j-1])
}

// Mapped reports whether the view differs from its source.
func (v *View) Mapped() bool { return v.mapped }

// unusual marks the bytes that canonical text lacks or that may begin an escape.
var unusual = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= utf8.RuneSelf || c == '%' || c == '\\'
	}
	return t
}()

func firstUnusual(s []byte) int {
	for i, c := range s {
		if unusual[c] {
			return i
		}
	}
	return len(s)
}

func (v *View) put(c byte, start, end int) {
	v.buf = append(v.buf, c)
	v.start = append(v.start, int32(start))
	v.end = append(v.end, int32(end))
}

// step reads one character of src at i and returns where the next begins.
func (v *View) step(src []byte, i int) int {
	switch c := src[i]; {
	case c == '\\':
		if r, n := backslash(src[i:]); n > 0 {
			v.rune(r, i, i+n)
			return i + n
		}
	case c == '%':
		if r, n := percent(src[i:]); n > 0 {
			v.rune(r, i, i+n)
			return i + n
		}
	case c >= utf8.RuneSelf:
		r, n := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && n == 1 {
			v.put('?', i, i+1)
			return i + 1
		}
		v.rune(r, i, i+n)
		return i + n
	}
	v.put(src[i], i, i+1)
	return i + 1
}

// rune appends the canonical form of r.
func (v *View) rune(r rune, start, end int) {
	if r < utf8.RuneSelf {
		v.put(byte(r), start, end)
		return
	}
	switch {
	case ordinary(r):
		var raw [utf8.UTFMax]byte
		for _, c := range raw[:utf8.EncodeRune(raw[:], r)] {
			v.put(c, start, end)
		}
		return
	case Invisible(r):
		return
	case unicode.Is(unicode.Pd, r), r == '\u2212', r == '\u02d7':
		v.put('-', start, end)
		return
	case unicode.Is(unicode.Zs, r):
		v.put(' ', start, end)
		return
	case unicode.Is(unicode.Nd, r):
		v.put(digit(r), start, end)
		return
	}
	var raw [utf8.UTFMax]byte
	n := utf8.EncodeRune(raw[:], r)
	text := raw[:n]
	if d := norm.NFKD.Properties(text).Decomposition(); isASCII(d) {
		text = d
	}
	for _, c := range text {
		v.put(c, start, end)
	}
}

// ordinary reports whether r is a letter of a block whose letters are canonical
// all together, which tells most text beyond ASCII fast.
func ordinary(r rune) bool {
	return r >= 0x4e00 && r <= 0x9fff || r >= 0x400 && r <= 0x481 || r >= 0x48a && r <= 0x52f || r >= 0x3041 && r <= 0x3096 || r >= 0x30a1 && r <= 0x30fa || r >= 0xac00 && r <= 0xd7a3
}

func isASCII(s []byte) bool {
	for _, c := range s {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return len(s) > 0
}

// digit returns the ASCII digit of a decimal digit. Unicode keeps every script's
// ten together and in order, so the distance to the run's first one tells.
func digit(r rune) byte {
	if r >= 0x1d7ce && r <= 0x1d7ff { // mathematical digits: five runs back to back
		return byte('0' + (r-0x1d7ce)%10)
	}
	n := 0
	for n < 9 && unicode.Is(unicode.Nd, r-1) {
		r--
		n++
	}
	return byte('0' + n)
}

// Invisible reports whether readers see nothing of r: zero-width characters,
// bidirectional controls, variation selectors and the tag block.
func Invisible(r rune) bool {
	switch {
	case r == 0xad, r == 0x34f, r == 0x61c, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x3164, r == 0xffa0:
		return true
	case r >= 0x180b && r <= 0x180f, r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2060 && r <= 0x206f:
		return true
	case r >= 0xfe00 && r <= 0xfe0f, r == 0xfeff, r >= 0xfff0 && r <= 0xfffb, r >= 0xe0000 && r <= 0xe0fff:
		return true
	}
	return false
}

// Tag reports whether r is of the tag block, by which text is smuggled past
// readers; ASCII is what it spells, 0 for none.
func Tag(r rune) (ascii byte, ok bool) {
	if r < 0xe0000 || r > 0xe007f {
		return 0, false
	}
	if r >= 0xe0020 && r < 0xe007f {
		return byte(r - 0xe0000), true
	}
	return 0, true
}

// backslash reads an escape as string literals of most languages have it.
func backslash(s []byte) (rune, int) {
	if len(s) < 2 {
		return 0, 0
	}
	switch s[1] {
	case 'n', 'r', 't':
		return '\n', 2 // all three part words; which one it was does not matter
	case '"', '/', '\'':
		return rune(s[1]), 2
	case 'x':
		if c, ok := hexByte(s, 2); ok && c < utf8.RuneSelf {
			return rune(c), 4
		}
	case 'u':
		return unicodeEscape(s)
	}
	return 0, 0
}

func unicodeEscape(s []byte) (rune, int) {
	if len(s) > 3 && s[2] == '{' { // \u{1F600}
		r := rune(0)
		for i := 3; i < len(s) && i < 10; i++ {
			if s[i] == '}' && i > 3 && utf8.ValidRune(r) {
				return r, i + 1
			}
			d, ok := hexDigit(s[i])
			if !ok {
				return 0, 0
			}
			r = r<<4 | rune(d)
		}
		return 0, 0
	}
	r, ok := hexRune(s, 2)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(s) > 7 && s[6] == '\\' && s[7] == 'u' {
		if low, ok := hexRune(s, 8); ok {
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				return r, 12
			}
		}
	}
	return 0, 0
}

// percent reads the one character that %XX escapes at the start of s spell.
func percent(s []byte) (rune, int) {
	first, ok := hexByte(s, 1)
	if !ok {
		return 0, 0
	}
	if first < utf8.RuneSelf {
		if first < ' ' && first != '\n' && first != '\r' && first != '\t' {
			return 0, 0
		}
		return rune(first), 3
	}
	var raw [utf8.UTFMax]byte
	raw[0] = first
	for n := 1; n < utf8.UTFMax && 3*n < len(s) && s[3*n] == '%'; n++ {
		c, ok := hexByte(s, 3*n+1)
		if !ok {
			break
		}
		raw[n] = c
		if r, size := utf8.DecodeRune(raw[:n+1]); r != utf8.RuneError && size == n+1 {
			return r, 3 * size
		}
	}
	return 0, 0
}

func hexRune(s []byte, i int) (rune, bool) {
	high, ok := hexByte(s, i)
	low, ok2 := hexByte(s, i+2)
	return rune(high)<<8 | rune(low), ok && ok2
}

func hexByte(s []byte, i int) (byte, bool) {
	if i+1 >= len(s) {
		return 0, false
	}
	high, ok := hexDigit(s[i])
	low, ok2 := hexDigit(s[i+1])
	return high<<4 | low, ok && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
