package mcp

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Exposure says how much of the URI of a resource may be written down in clear:
// in receipts, logs and traces, which more people read than may read the
// resource. A part that may not has its name in brackets in its place.
type Exposure uint8

// The exposures. User information stands in clear under none of them.
const (
	ExposePath  Exposure = iota // scheme, host and path
	ExposeHost                  // scheme and host
	ExposeWhole                 // queries, fragments and URIs without an authority too
)

// What stands in the place of parts, which no part that is shown can hold.
const (
	hiddenURI      = "[uri]"
	hiddenUser     = "[userinfo]"
	hiddenHost     = "[host]"
	hiddenPath     = "[path]"
	hiddenOpaque   = "[opaque]"
	hiddenQuery    = "?[query]"
	hiddenFragment = "#[fragment]"
)

// URI returns what of a URI may be written down. It does not understand the URI, so
// that it cannot understand one otherwise than the server does: a part is shown only
// if every reader takes it for the same one, and is hidden, with what comes behind
// it, if some reader could find the beginning of another part in it.
func (e Exposure) URI(uri string) string {
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok || !isScheme(scheme) || len(scheme) > maxScheme {
		return e.odd(uri, hiddenURI)
	}
	after, ok := strings.CutPrefix(rest, "//")
	if !ok { // browsers find a host in https:a@b, and data: is all content
		if isWeb(scheme) || isOpaque(scheme) {
			return e.odd(uri, scheme+":"+hiddenOpaque)
		}
		return e.odd(uri, hiddenURI) // user:password@host has no scheme but looks it
	}
	authority, path := after, ""
	if i := strings.IndexAny(after, "/?#"); i >= 0 {
		authority, path = after[:i], after[i:]
	}
	user, host := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, host = hiddenUser+"@", authority[i+1:]
	}
	begin := scheme + "://" + user
	if !plainHost(host) || host == "" && isWeb(scheme) {
		return begin + hiddenHost
	}
	if begin += host; e == ExposeWhole {
		return begin + path
	}
	tail := ""
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		tail = hiddenFragment
		if path[i] == '?' {
			tail = hiddenQuery
			if strings.IndexByte(path[i:], '#') >= 0 {
				tail += hiddenFragment
			}
		}
		path = path[:i]
	}
	return begin + e.path(path) + tail
}

const maxScheme = 32

// odd is a URI of which no part is known for sure.
func (e Exposure) odd(uri, hidden string) string {
	if e == ExposeWhole && !strings.ContainsRune(uri, '@') {
		return uri
	}
	return hidden
}

// path returns the segments up to the first in which a reader could see more than a
// name.
func (e Exposure) path(path string) string {
	if path == "" || path == "/" {
		return path
	}
	if e == ExposeHost {
		return "/" + hiddenPath
	}
	end := 1
	for segment := range strings.SplitSeq(path[1:], "/") {
		if !plainSegment(segment) {
			return path[:end] + hiddenPath
		}
		end += len(segment) + 1
	}
	return path
}

// isWeb reports whether browsers look for a host behind any number of slashes.
func isWeb(scheme string) bool {
	switch strings.ToLower(scheme) {
	case "http", "https", "ws", "wss", "ftp":
		return true
	}
	return false
}

// isOpaque reports whether URIs of a scheme have no authority.
func isOpaque(scheme string) bool {
	switch strings.ToLower(scheme) {
	case "data", "urn", "mailto", "tel", "tag", "blob", "javascript", "file":
		return true
	}
	return false
}

// plainHost reports whether s is a name or an address with a port perhaps, or
// nothing, in the characters that nobody has to undo.
func plainHost(s string) bool {
	host, port, _ := strings.Cut(s, ":")
	if strings.HasPrefix(s, "[") {
		inner, after, ok := strings.Cut(s[1:], "]")
		if _, err := netip.ParseAddr(inner); !ok || err != nil || strings.ContainsRune(inner, '%') || after != "" && after[0] != ':' {
			return false
		}
		host, port = "", strings.TrimPrefix(after, ":")
	}
	if len(host) > 255 || len(port) > 5 || strings.Trim(port, "0123456789") != "" {
		return false
	}
	for i := range len(host) {
		if !isUnreserved(host[i]) {
			return false
		}
	}
	return true
}

// plainSegment reports whether a segment of a path is a name and nothing else, also
// after its escapes are undone, once or twice, or full-width forms made narrow.
func plainSegment(s string) bool {
	if len(s) == 2 && s[1] == ':' {
		s = s[:1] // a drive
	}
	for len(s) > 0 {
		if s[0] == '%' {
			// An escape may stand for a part of a letter, and so the whole is looked at.
			var buf []byte
			for i := 0; i < len(s); i++ {
				c := s[i]
				if c == '%' {
					if i+2 >= len(s) || hexValue(s[i+1]) > 15 || hexValue(s[i+2]) > 15 {
						return false
					}
					c = hexValue(s[i+1])<<4 | hexValue(s[i+2])
					if i += 2; c == '%' {
						return false
					}
				}
				buf = append(buf, c)
			}
			s = string(buf)
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r < utf8.RuneSelf:
			if !isUnreserved(byte(r)) && strings.IndexByte("!$'()*+, {}", byte(r)) < 0 {
				return false
			}
		case r == utf8.RuneError && n == 1, !unicode.In(r, unicode.L, unicode.M, unicode.N), r >= 0xff00 && r <= 0xffef:
			return false
		}
		s = s[n:]
	}
	return true
}

// InClear returns what of the name of the target may be written down: all of it,
// unless it is the URI of a resource.
func (m *Message) InClear() string {
	if m.clear != "" || m.Name == "" {
		return m.clear
	}
	return ExposePath.Target(m.Method, m.Name)
}

// Target returns what of the name of a method's target may be written down. Names of
// tools, prompts and tasks may: they are short, and rules are about them.
func (e Exposure) Target(method, name string) string {
	if m, ok := methodTable[method]; ok && (m.Target == TargetURI || m.Target == TargetRef && strings.ContainsRune(name, ':')) {
		return e.URI(name)
	}
	return name
}
