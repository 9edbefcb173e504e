package mcp

import (
	"encoding/binary"
	"math/bits"
)

// flaw is what a scan found wrong. The zero flaw is none.
type flaw uint8

const (
	flawNone flaw = iota
	flawSyntax
	flawEnd
	flawUTF8
	flawTrailing
	flawSurrogate
	flawDuplicate
	flawFold
	flawPrototype
	flawDepth
	flawNumber
	flawKeys
)

// Every byte of a word set to one value, for looking at eight bytes at once.
const (
	lows   = 0x0101010101010101
	highs  = 0x8080808080808080
	quotes = 0x22 * lows
	slants = 0x5c * lows
	spaces = 0x20 * lows
)

// marks has the high bit of each byte of w set that is not printable ASCII or
// is a quote or a backslash. The subtractions may borrow and so mark bytes
// above a true hit, never below one: the lowest mark is right.
func marks(w uint64) uint64 {
	return (w | (w - spaces) | (w ^ quotes - lows) | (w ^ slants - lows)) & highs
}

// plain returns how many bytes at the start of b a string can have as they are.
// It looks at whole words only and may stop short.
func plain(b []byte) int {
	n := len(b)
	for len(b) >= 16 {
		low, high := marks(binary.LittleEndian.Uint64(b)), marks(binary.LittleEndian.Uint64(b[8:16]))
		if low|high == 0 {
			b = b[16:]
			continue
		}
		if low != 0 {
			return n - len(b) + bits.TrailingZeros64(low)>>3
		}
		return n - len(b) + 8 + bits.TrailingZeros64(high)>>3
	}
	return n - len(b)
}

// lexString reads the rest of a string whose opening quote is at i-1. It
// returns the offset after the closing quote, and whether there were escapes.
// On a flaw, end is its offset. A lax reading lets lone surrogates pass.
func lexString(b []byte, i int, lax bool) (end int, escaped bool, f flaw) {
	for {
		i += plain(b[i:])
		for i < len(b) && isPlain[b[i]] {
			i++
		}
		if i >= len(b) {
			return len(b), escaped, flawEnd
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, escaped, flawNone
		case c == '\\':
			escaped = true
			n, f := lexEscape(b, i, lax)
			if f != flawNone {
				return i, escaped, f
			}
			i += n
		case c < 0x20:
			return i, escaped, flawSyntax
		default:
			if i = skipRunes(b, i); i < len(b) && b[i] >= 0x80 {
				return i, escaped, flawUTF8
			}
		}
	}
}

// isPlain has the bytes that marks does not mark.
var isPlain = func() (t [256]bool) {
	for c := 0x20; c < 0x80; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// skipRunes returns the offset of the first byte from i on that is ASCII, or
// not UTF-8.
func skipRunes(b []byte, i int) int {
	for i < len(b) && b[i] >= 0x80 {
		if c := b[i]; c > 0xe0 && c < 0xf0 && c != 0xed && i+2 < len(b) && b[i+1]&0xc0 == 0x80 && b[i+2]&0xc0 == 0x80 {
			i += 3 // most of the scripts of Asia, all of whose second bytes are good
			continue
		}
		n := runeLen(b, i)
		if n == 0 {
			return i
		}
		i += n
	}
	return i
}

// lexEscape returns the length of the escape at i: one with its backslash, or
// both halves of a surrogate pair.
func lexEscape(b []byte, i int, lax bool) (int, flaw) {
	if i+1 >= len(b) {
		return 0, flawEnd
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, flawNone
	case 'u':
	default:
		return 0, flawSyntax
	}
	r, ok := hex4(b, i+2)
	switch {
	case !ok:
		return 0, flawSyntax
	case r < 0xd800 || r > 0xdfff:
		return 6, flawNone
	case r < 0xdc00 && i+7 < len(b) && b[i+6] == '\\' && b[i+7] == 'u':
		if low, ok := hex4(b, i+8); ok && low >= 0xdc00 && low <= 0xdfff {
			return 12, flawNone
		}
	}
	if lax {
		return 6, flawNone
	}
	return 0, flawSurrogate
}

// hex4 reads the four hexadecimal digits at i.
func hex4(b []byte, i int) (r rune, ok bool) {
	if i+4 > len(b) {
		return 0, false
	}
	for _, c := range b[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// runeLen returns the length of the UTF-8 sequence at i, whose first byte is
// not ASCII, or 0 when it is not well-formed (Unicode 15, table 3-7).
func runeLen(b []byte, i int) int {
	c := b[i]
	low, high := byte(0x80), byte(0xbf) // bounds of the second byte
	var n int
	switch {
	case c < 0xc2:
		return 0
	case c < 0xe0:
		n = 2
	case c < 0xf0:
		n = 3
		switch c {
		case 0xe0:
			low = 0xa0
		case 0xed:
			high = 0x9f
		}
	case c < 0xf5:
		n = 4
		switch c {
		case 0xf0:
			low = 0x90
		case 0xf4:
			high = 0x8f
		}
	default:
		return 0
	}
	if i+n > len(b) || b[i+1] < low || b[i+1] > high {
		return 0
	}
	for _, c := range b[i+2 : i+n] {
		if c&0xc0 != 0x80 {
			return 0
		}
	}
	return n
}

// lexNumber returns the offset after the number at i (RFC 8259, section 6), or
// where it goes wrong.
func lexNumber(b []byte, i int) (end int, ok bool) {
	if i < len(b) && b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b):
		return i, false
	case b[i] == '0':
		i++
	case b[i] >= '1' && b[i] <= '9':
		i = digits(b, i)
	default:
		return i, false
	}
	if i < len(b) && b[i] == '.' {
		from := i + 1
		if i = digits(b, from); i == from {
			return i, false
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		from := i
		if i = digits(b, from); i == from {
			return i, false
		}
	}
	return i, true
}

func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// lexLiteral returns the offset after true, false or null at i.
func lexLiteral(b []byte, i int) (end int, ok bool) {
	var word string
	switch b[i] {
	case 't':
		word = "true"
	case 'f':
		word = "false"
	case 'n':
		word = "null"
	default:
		return i, false
	}
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return i, false
	}
	return i + len(word), true
}

// skipSpace returns the offset of the first byte from i on that is not JSON
// whitespace.
func skipSpace(b []byte, i int) int {
	for i < len(b) {
		switch b[i] {
		case ' ', '\n', '\r', '\t':
			i++
		default:
			return i
		}
	}
	return i
}
