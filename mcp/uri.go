package mcp

import (
	"errors"
	"strings"
)

var errURI = errors.New("mcp: normalise: not a URI with a scheme (RFC 3986)")

// NormalURI returns the form of a resource URI in which equivalent ones are
// equal (RFC 3986, section 6.2.2): scheme and host in lower case, escapes of
// unreserved characters undone and the others in upper case, dot segments
// resolved, and the default port of http and https left out. Policies match
// this form; what is forwarded is the original.
//
// Anything that RFC 3986 does not allow is an error, and so is an escaped
// control character.
func NormalURI(uri string) (string, error) {
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok || !isScheme(scheme) {
		return "", errURI
	}
	rest, fragment, hasFragment := strings.Cut(rest, "#")
	rest, query, hasQuery := strings.Cut(rest, "?")
	scheme = strings.ToLower(scheme)

	var b strings.Builder
	b.Grow(len(uri) + 1)
	b.WriteString(scheme)
	b.WriteByte(':')
	path := rest
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		authority := after
		path = ""
		if i := strings.IndexByte(after, '/'); i >= 0 {
			authority, path = after[:i], after[i:]
		}
		authority, ok = normalAuthority(scheme, authority)
		if !ok {
			return "", errURI
		}
		b.WriteString("//")
		b.WriteString(authority)
		if path == "" && (scheme == "http" || scheme == "https") {
			path = "/"
		}
	}
	path, ok = normalEscapes(path, ":@/")
	if !ok {
		return "", errURI
	}
	if strings.HasPrefix(path, "/") {
		path = removeDots(path)
		if strings.HasPrefix(path, "//") && !strings.HasPrefix(rest, "//") {
			return "", errURI // it would read as an authority
		}
	}
	b.WriteString(path)
	for _, part := range [...]struct {
		mark byte
		text string
		has  bool
	}{{'?', query, hasQuery}, {'#', fragment, hasFragment}} {
		if !part.has {
			continue
		}
		text, ok := normalEscapes(part.text, ":@/?")
		if !ok {
			return "", errURI
		}
		b.WriteByte(part.mark)
		b.WriteString(text)
	}
	return b.String(), nil
}

func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(s[i]))) {
			return false
		}
	}
	return s != ""
}

func normalAuthority(scheme, authority string) (string, bool) {
	user, host, hasUser := "", authority, false
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, host, hasUser = authority[:i], authority[i+1:], true
	}
	port := ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host, port = host[:i], host[i+1:]
	}
	if strings.Trim(port, "0123456789") != "" {
		return "", false
	}
	if scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		port = ""
	}
	extra := ""
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		extra = ":[]"
	}
	user, ok := normalEscapes(user, ":")
	if !ok {
		return "", false
	}
	// Escapes are undone first: what they hide may be in upper case.
	if host, ok = normalEscapes(host, extra); !ok {
		return "", false
	}
	host = lowerHost(host)
	if hasUser {
		host = user + "@" + host
	}
	if port != "" {
		host += ":" + port
	}
	return host, true
}

// lowerHost lowers letters, but not the digits of escapes.
func lowerHost(host string) string {
	b := []byte(host)
	for i := 0; i < len(b); i++ {
		if b[i] == '%' {
			i += 2
		} else if b[i] >= 'A' && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// normalEscapes checks the characters of a component, which may have those of
// extra beside unreserved ones and sub-delimiters, and normalises its escapes.
func normalEscapes(s, extra string) (string, bool) {
	const hexDigits = "0123456789ABCDEF"
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '%' {
			if !isUnreserved(c) && strings.IndexByte("!$&'()*+,;=", c) < 0 && strings.IndexByte(extra, c) < 0 {
				return "", false
			}
			out = append(out, c)
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		high, low := hexValue(s[i+1]), hexValue(s[i+2])
		i += 2
		switch c := high<<4 | low; {
		case high > 15 || low > 15 || c < 0x20 || c == 0x7f:
			return "", false
		case isUnreserved(c):
			out = append(out, c)
		default:
			out = append(out, '%', hexDigits[high], hexDigits[low])
		}
	}
	return string(out), true
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// hexValue returns the value of a hexadecimal digit, or more than 15.
func hexValue(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// removeDots resolves dot segments of an absolute path (RFC 3986, section
// 5.2.4).
func removeDots(path string) string {
	var out []string
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		last := i == len(segments)-1
		switch {
		case s == ".." && len(out) > 0:
			out = out[:len(out)-1]
		case s != "." && s != "..":
			out = append(out, s)
			continue
		}
		if last {
			out = append(out, "")
		}
	}
	return "/" + strings.Join(out, "/")
}
