package normal

import "strings"

// What markup is, as browsers read it.

// begins reports whether c after "<" makes markup of it (HTML, 13.2.5.6).
func begins(c byte) bool {
	return c == '/' || c == '!' || c == '?' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// comment measures a comment, from its "!" on, as browsers read it.
func comment(s string) int {
	body := s[3:]
	for _, short := range []string{">", "->"} {
		if strings.HasPrefix(body, short) {
			return 3 + len(short)
		}
	}
	end, n := len(body), 0
	for _, mark := range []string{"-->", "--!>"} {
		if i := strings.Index(body[:end], mark); i >= 0 {
			end, n = i, len(mark)
		}
	}
	return 3 + end + n
}

// element reads a tag: its name in lower case, with a slash before that of an
// end tag, its length, and its attributes. The name is empty where there is no
// tag, and the length 0 where nothing ends it.
func element(s string) (name string, end int, attributes string) {
	i := 1
	if i < len(s) && s[i] == '/' {
		i++
	}
	from := i
	for i < len(s) && nameByte(s[i]) {
		i++
	}
	if i == from || s[from]|0x20 < 'a' || s[from]|0x20 > 'z' || i < len(s) && !strings.ContainsRune(" \t\n\f\r/>", rune(s[i])) {
		return "", 0, ""
	}
	name = strings.ToLower(s[1:i])
	begin := i
	quote, value := byte(0), false
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote, value = 0, false
			}
		case c == '>':
			return name, i + 1, s[begin:i]
		case value && (c == '"' || c == '\''):
			quote = c
		case c == '=':
			value = true
		case c != ' ' && c != '\t' && c != '\n' && c != '\f' && c != '\r':
			value = false
		}
	}
	return name, 0, ""
}

func nameByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == ':' || c == '.' || c == '_'
}

// indexFold is strings.Index for an ASCII substring in any case.
func indexFold(s, lower string) int {
	for at := 0; ; {
		n := strings.Index(s[at:], lower[:2])
		if n < 0 {
			return -1
		}
		at += n
		if len(s)-at >= len(lower) && strings.EqualFold(s[at:at+len(lower)], lower) {
			return at
		}
		at++
	}
}
