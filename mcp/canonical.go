package mcp

import (
	"bytes"
	"slices"
)

// AppendCanonical appends raw in the one form that all texts of the same JSON
// value share, and reports whether raw is one JSON text. The form is that of RFC
// 8785: no white space, members sorted by the UTF-16 of their names, the least
// escaping. It differs in one thing: numbers keep their exact decimal value,
// since two that are one double, such as long account numbers, are not the same
// to every server.
//
// Of a text that holds one name twice, which [Decoder.Decode] refuses, both stay.
// Objects out of order are copied once per level of nesting; callers bound the
// length of what they pass.
func AppendCanonical(dst, raw []byte) (out []byte, ok bool) {
	c := canonical{b: raw, out: dst}
	i, ok := c.value(skipSpace(raw, 0), 0)
	if !ok || skipSpace(raw, i) != len(raw) {
		return dst, false
	}
	return c.out, true
}

// maxCanonicalDepth bounds the recursion over texts that were not decoded.
const maxCanonicalDepth = 1000

type canonical struct {
	b, out []byte
}

// value writes the value at i and returns where it ends.
func (c *canonical) value(i, depth int) (end int, ok bool) {
	if i >= len(c.b) || depth > maxCanonicalDepth {
		return 0, false
	}
	switch c.b[i] {
	case '{':
		return c.object(i, depth)
	case '[':
		return c.array(i, depth)
	case '"':
		end, escaped, f := lexString(c.b, i+1, false)
		if f != flawNone {
			return 0, false
		}
		if !escaped {
			c.out = append(c.out, c.b[i:end]...)
		} else {
			c.quote(AppendUnquote(nil, c.b[i:end]))
		}
		return end, true
	case 't', 'f', 'n':
		end, ok = lexLiteral(c.b, i)
		if ok {
			c.out = append(c.out, c.b[i:end]...)
		}
		return end, ok
	}
	end, ok = lexNumber(c.b, i)
	if ok {
		c.out = appendDecimal(c.out, c.b[i:end])
	}
	return end, ok
}

func (c *canonical) array(i, depth int) (end int, ok bool) {
	c.out = append(c.out, '[')
	i = skipSpace(c.b, i+1)
	for first := true; i < len(c.b) && (c.b[i] != ']' || !first); first = false {
		if i, ok = c.value(i, depth+1); !ok {
			return 0, false
		}
		i = skipSpace(c.b, i)
		if i < len(c.b) && c.b[i] == ',' {
			c.out = append(c.out, ',')
			i = skipSpace(c.b, i+1)
			continue
		}
		break
	}
	if i >= len(c.b) || c.b[i] != ']' {
		return 0, false
	}
	c.out = append(c.out, ']')
	return i + 1, true
}

// canonicalMember is a member of an object: its name, unescaped, and where its
// canonical text stands in the output.
type canonicalMember struct {
	name       []byte
	start, end int
}

// object writes the members as they come, and puts them in order afterwards.
func (c *canonical) object(i, depth int) (end int, ok bool) {
	c.out = append(c.out, '{')
	from := len(c.out)
	var room [16]canonicalMember
	members, sorted := room[:0], true
	i = skipSpace(c.b, i+1)
	for i < len(c.b) && c.b[i] == '"' {
		m := canonicalMember{start: len(c.out)}
		end, escaped, f := lexString(c.b, i+1, false)
		if f != flawNone {
			return 0, false
		}
		if !escaped {
			m.name = c.b[i+1 : end-1]
			c.out = append(c.out, c.b[i:end]...)
		} else {
			m.name = AppendUnquote(nil, c.b[i:end])
			c.quote(m.name)
		}
		i = skipSpace(c.b, end)
		if i >= len(c.b) || c.b[i] != ':' {
			return 0, false
		}
		c.out = append(c.out, ':')
		if i, ok = c.value(skipSpace(c.b, i+1), depth+1); !ok {
			return 0, false
		}
		c.out = append(c.out, ',')
		m.end = len(c.out)
		sorted = sorted && (len(members) == 0 || compareNames(members[len(members)-1].name, m.name) <= 0)
		members = append(members, m)
		if i = skipSpace(c.b, i); i < len(c.b) && c.b[i] == ',' {
			if i = skipSpace(c.b, i+1); i >= len(c.b) || c.b[i] != '"' {
				return 0, false
			}
			continue
		}
		break
	}
	if i >= len(c.b) || c.b[i] != '}' {
		return 0, false
	}
	if !sorted {
		slices.SortStableFunc(members, func(a, b canonicalMember) int { return compareNames(a.name, b.name) })
		end := len(c.out)
		for _, m := range members {
			c.out = append(c.out, c.out[m.start:m.end]...)
		}
		c.out = append(c.out[:from], c.out[end:]...)
	}
	if len(members) > 0 {
		c.out = c.out[:len(c.out)-1] // the last comma
	}
	c.out = append(c.out, '}')
	return i + 1, true
}

// quote writes a string with the escapes of RFC 8785, 3.2.2.2.
func (c *canonical) quote(s []byte) {
	const hexDigits = "0123456789abcdef"
	c.out = append(c.out, '"')
	for _, b := range s {
		switch {
		case b == '"' || b == '\\':
			c.out = append(c.out, '\\', b)
		case b >= 0x20:
			c.out = append(c.out, b)
		case b >= '\b' && b <= '\r' && b != '\v':
			c.out = append(c.out, '\\', "btn-fr"[b-'\b'])
		default:
			c.out = append(c.out, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
		}
	}
	c.out = append(c.out, '"')
}

// compareNames orders names by their UTF-16. That is the order of their bytes,
// but that what needs two units comes before U+E000 to U+FFFF.
func compareNames(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if (x >= 0xf0) != (y >= 0xf0) && x >= 0xee && y >= 0xee {
			x, y = y, x
		}
		return int(x) - int(y)
	}
	return len(a) - len(b)
}

// appendDecimal appends a number as ECMAScript writes it (RFC 8785, 3.2.2.3),
// but exactly.
func appendDecimal(dst, lexeme []byte) []byte {
	rest, negative := bytes.CutPrefix(lexeme, []byte{'-'})
	mantissa, power := rest, 0
	if e := bytes.IndexAny(rest, "eE"); e >= 0 {
		mantissa = rest[:e]
		var small bool
		if power, small = exponent(rest[e+1:]); !small {
			return append(dst, bytes.ToLower(lexeme)...) // beyond what anybody counts with
		}
	}
	whole, fraction, _ := bytes.Cut(mantissa, []byte{'.'})
	var room [64]byte
	digits := append(append(room[:0], whole...), fraction...)
	power -= len(fraction)
	significant := bytes.TrimLeft(digits, "0")
	k := len(significant)
	significant = bytes.TrimRight(significant, "0")
	power += k - len(significant)
	if k = len(significant); k == 0 {
		return append(dst, '0')
	}
	if negative {
		dst = append(dst, '-')
	}
	switch n := k + power; { // the value is 0.digits times 10^n
	case k <= n && n <= 21:
		dst = append(dst, significant...)
		return appendZeros(dst, n-k)
	case n > 0 && n <= 21:
		dst = append(append(dst, significant[:n]...), '.')
		return append(dst, significant[n:]...)
	case n > -6 && n <= 0:
		dst = appendZeros(append(dst, '0', '.'), -n)
		return append(dst, significant...)
	default:
		dst = append(dst, significant[0])
		if k > 1 {
			dst = append(append(dst, '.'), significant[1:]...)
		}
		return appendPower(append(dst, 'e'), n-1)
	}
}

// exponent reads the digits behind an e, if they are few.
func exponent(s []byte) (n int, small bool) {
	negative := false
	if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
		negative = s[0] == '-'
		s = s[1:]
	}
	if s = bytes.TrimLeft(s, "0"); len(s) > 9 {
		return 0, false
	}
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

func appendPower(dst []byte, n int) []byte {
	sign := byte('+')
	if n < 0 {
		sign, n = '-', -n
	}
	dst = append(dst, sign)
	var room [20]byte
	i := len(room)
	for ; n > 0 || i == len(room); n /= 10 {
		i--
		room[i] = byte('0' + n%10)
	}
	return append(dst, room[i:]...)
}

func appendZeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	return dst
}
