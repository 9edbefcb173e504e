package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"unicode/utf8"
)

// legible is where JSON lines go. On a terminal, what it would obey rather than show, or
// show in another order, stands there as JSON escapes it, which says the same: callers
// chose the words. Into a file or a pipe all goes byte for byte.
func legible(out io.Writer) io.Writer {
	f, ok := out.(*os.File)
	if !ok {
		return out
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return out
	}
	return shown{out}
}

// shown writes JSON for a terminal. Each Write has whole characters.
type shown struct{ out io.Writer }

func (s shown) Write(text []byte) (int, error) {
	if _, err := s.out.Write(escaped(text)); err != nil {
		return 0, err
	}
	return len(text), nil
}

// escaped is JSON without what steers a terminal. The line end stays.
func escaped(text []byte) []byte {
	if bytes.IndexFunc(text, steers) < 0 && utf8.Valid(text) {
		return text
	}
	out := make([]byte, 0, len(text)+64)
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			out = append(out, '?')
		case steers(r):
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = append(out, text[:n]...)
		}
		text = text[n:]
	}
	return out
}

// steers reports whether a terminal obeys a character: control characters of both
// sets, and those that turn the direction of writing.
func steers(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < ' ' || r >= 0x7f && r < 0xa0:
		return true
	}
	return r == 0x200e || r == 0x200f || r == 0x061c || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}
