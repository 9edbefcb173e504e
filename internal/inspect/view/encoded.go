package view

import (
	"encoding/base64"
	"encoding/hex"
	"unicode/utf8"
)

// Encoded is a run of a text that decodes to readable text of its own.
type Encoded struct {
	Start, End int    // in the text
	Plain      []byte // what it says
}

// shortest is the length of the shortest run that is worth decoding: what
// identifiers and secrets need, encoded.
const shortest = 10

// EachEncoded calls visit for every run of base64 or hexadecimal in text that
// spells readable text. Plain is valid during the visit only; scratch is reused
// and returned.
func EachEncoded(text, scratch []byte, visit func(Encoded)) []byte {
	for i := 0; i < len(text); {
		if !inRun[text[i]] {
			i++
			continue
		}
		j, onlyHex := i, true
		for j < len(text) && inRun[text[j]] {
			onlyHex = onlyHex && isHex[text[j]]
			j++
		}
		if j-i >= shortest {
			var ok bool
			if onlyHex && (j-i)%2 == 0 {
				scratch, ok = unhex(scratch[:0], text[i:j])
			}
			if !ok {
				scratch, ok = unbase64(scratch[:0], text[i:j])
			}
			if ok {
				end := j
				for end < len(text) && end < j+2 && text[end] == '=' {
					end++
				}
				visit(Encoded{Start: i, End: end, Plain: scratch})
			}
		}
		i = j
	}
	return scratch
}

func unhex(dst, run []byte) ([]byte, bool) {
	if c, ok := hexByte(run, 0); !ok || !printable(c) {
		return dst, false
	}
	dst = append(dst, make([]byte, hex.DecodedLen(len(run)))...)
	_, err := hex.Decode(dst, run)
	return dst, err == nil && readable(dst)
}

func unbase64(dst, run []byte) ([]byte, bool) {
	if len(run)%4 == 1 { // one letter over says nothing
		run = run[:len(run)-1]
	}
	enc := base64.RawStdEncoding
	for _, c := range run {
		if c == '-' || c == '_' {
			enc = base64.RawURLEncoding
			break
		}
	}
	// The first four letters tell most words and keys from encoded text.
	var head [3]byte
	if n, err := enc.Decode(head[:], run[:4]); err != nil || !readable(head[:n]) && head[0] < 0xc0 {
		return dst, false
	}
	dst = append(dst, make([]byte, enc.DecodedLen(len(run)))...)
	n, err := enc.Decode(dst, run)
	return dst[:n], err == nil && readable(dst[:n])
}

// readable reports whether s is UTF-8 text without control characters.
func readable(s []byte) bool {
	for _, c := range s {
		if !printable(c) {
			return false
		}
	}
	return len(s) > 0 && utf8.Valid(s)
}

func printable(c byte) bool {
	return c >= ' ' && c != 0x7f || c == '\n' || c == '\r' || c == '\t'
}

var inRun, isHex = func() (run, hexa [256]bool) {
	for c := range 256 {
		_, hexa[c] = hexDigit(byte(c))
		run[c] = c|0x20 >= 'a' && c|0x20 <= 'z' && c < 0x80 || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '-' || c == '_'
	}
	return run, hexa
}()
