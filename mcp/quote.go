package mcp

import (
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

var errNotString = errors.New("mcp: unquote: not one JSON string")

// Unquote returns the value of a JSON string with its quotes. It is as strict
// as [Decoder.Decode]: invalid UTF-8 and lone surrogates are errors.
func Unquote(lexeme []byte) (string, error) {
	if len(lexeme) < 2 || lexeme[0] != '"' {
		return "", errNotString
	}
	end, escaped, f := lexString(lexeme, 1, false)
	if f != flawNone || end != len(lexeme) {
		return "", errNotString
	}
	if !escaped {
		return string(lexeme[1 : end-1]), nil
	}
	return string(appendUnescaped(make([]byte, 0, len(lexeme)), lexeme[1:end-1])), nil
}

// AppendUnquote appends the value of a JSON string of a decoded message to
// dst. It reads what [Walk] and [Decoder.Decode] have checked and checks
// little itself.
func AppendUnquote(dst, lexeme []byte) []byte {
	if len(lexeme) < 2 {
		return dst
	}
	return appendUnescaped(dst, lexeme[1:len(lexeme)-1])
}

// appendUnescaped appends the value of the inside of a string that lexString
// accepted. A surrogate without its half, which only a lax reading lets
// through, becomes U+FFFD.
func appendUnescaped(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		if s[i] != '\\' || i+1 >= len(s) {
			dst = append(dst, s[i])
			i++
			continue
		}
		c := s[i+1]
		i += 2
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(s, i)
			i = min(i+4, len(s))
			if utf16.IsSurrogate(r) {
				low, ok := rune(0), false
				if i+1 < len(s) && s[i] == '\\' && s[i+1] == 'u' {
					low, ok = hex4(s, i+2)
				}
				if r = utf16.DecodeRune(r, low); ok && r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// AppendQuote appends s as a JSON string. Bytes of s that are not UTF-8 become
// U+FFFD, so that the result is valid JSON for every Go string.
func AppendQuote(dst []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, s[from:i]...)
				dst = append(dst, "\uFFFD"...)
				from = i + 1
			}
			i += n
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}
