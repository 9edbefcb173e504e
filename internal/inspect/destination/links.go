package destination

import (
	"bytes"
	"html"
	"regexp"
	"strings"
)

// Links returns what programs that show a text could follow in it: what begins like
// a URL, also in the words of Markdown and HTML. Bare hosts and addresses are none. A
// link without a scheme has an empty one.
func Links(text []byte) []Mention {
	if bytes.IndexByte(text, '&') < 0 && !suspicious(text) {
		return nil
	}
	out := everyReading(text, nil, func(out []Mention, text, _ []byte) []Mention { return links(out, text) })
	plain := text
	if bytes.IndexByte(text, '&') >= 0 {
		if plain = entities(text); !bytes.Equal(plain, text) {
			out = links(out, plain)
		}
	}
	if bare := unescaped(plain); bare != nil {
		out = links(out, bare)
	}
	return attributes(out, text)
}

// links looks at a text as it is.
func links(out []Mention, text []byte) []Mention {
	f := finder{out: out}
	whole := bytes.IndexFunc(bytes.TrimSpace(text), isSpace) < 0
	for from := 0; from < len(text); {
		for from < len(text) && isSpace(rune(text[from])) {
			from++
		}
		end := from
		for end < len(text) && !isSpace(rune(text[end])) {
			end++
		}
		if field := text[from:end]; bytes.ContainsAny(field, ":/\\") {
			f.absolute(field)
			f.hidden(field)
			f.network(field, whole || opens(text[:from]))
		}
		from = end
	}
	return f.out
}

// opens reports whether markup that a link follows ends a text.
func opens(before []byte) bool {
	before = bytes.TrimRightFunc(before, isSpace)
	n := len(before)
	return n > 0 && (strings.IndexByte(`"'=(<`, before[n-1]) >= 0 || n > 1 && before[n-1] == ':' && before[n-2] == ']')
}

// network finds links without a scheme: a host behind two or more slashes of either
// kind (WHATWG URL, special authority slashes). Two slashes in code are a comment, so
// that they count where markup has a link, or where open says so for the first ones.
func (f *finder) network(b []byte, open bool) {
	for i := 0; i+2 < len(b); i++ {
		if !isSlash(b[i]) || !isSlash(b[i+1]) || !(i == 0 && open || i > 0 && opens(b[:i])) {
			continue
		}
		if b[i] == '\\' && b[i+1] == '/' && i > 1 && b[i-1] == '"' && b[i-2] != '=' {
			continue // a path in JSON that escapes slashes
		}
		from := i + 2
		for from < len(b) && isSlash(b[from]) {
			from++
		}
		end := from
		for end < len(b) && end-from < 257 && !isSlash(b[end]) && !isEnd(b[end]) && b[end] != '(' && b[end] != ')' {
			end++
		}
		if host := trim(string(b[from:end])); dotted(host) {
			f.add(parseAuthority(host))
		}
		i = max(i, end-1)
	}
}

// loose is a URL that browsers repair, behind where Markdown begins a link or a query
// a value.
var loose = regexp.MustCompile(`(?i)[(=](?:(?:https?|wss?|ftp):[/\\]?[^/\\\s]|(?:javascript|vbscript):)`)

// hidden finds such URLs within others.
func (f *finder) hidden(b []byte) {
	if bytes.IndexByte(b, ':') != bytes.LastIndexByte(b, ':') && loose.Match(b) {
		f.add(Destination{}, doubt("a URL without slashes"))
	}
}

// continues reports whether the host of the URL from start to end goes on behind a
// quote that does not close one from before it. Browsers take quotes for characters
// of hosts, so that such a host is below another name than it seems.
func continues(b []byte, start, end int) bool {
	if end == len(b) || strings.IndexByte("\"'`", b[end]) < 0 || start > 0 && b[start-1] == b[end] {
		return false
	}
	i := bytes.Index(b[start:end], []byte("//"))
	if i < 0 || bytes.ContainsAny(b[start+i+2:end], "/?#") {
		return false
	}
	for i = end; i < len(b) && i-end < 256 && strings.IndexByte("/?#\\<>()[]:,;=& \t\r\n", b[i]) < 0; i++ {
		if b[i] == '.' && i+1 < len(b) && (isLetter(b[i+1]) || b[i+1] >= '0' && b[i+1] <= '9' || b[i+1] >= 0x80) {
			return true
		}
	}
	return false
}

// entities replaces the character references of HTML, which Markdown has too. Browsers
// drop line breaks and tabs inside of URLs, so that those that are referred to go.
func entities(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		n := bytes.IndexAny(text, "\t\r\n")
		if n < 0 {
			n = len(text)
		}
		for _, c := range []byte(html.UnescapeString(string(text[:n]))) {
			if !isBreak(c) {
				out = append(out, c)
			}
		}
		for n < len(text) && isBreak(text[n]) {
			out = append(out, text[n])
			n++
		}
		text = text[n:]
	}
	return out
}

func isBreak(c byte) bool { return c == '\t' || c == '\r' || c == '\n' }

// unescaped takes the backslashes from before punctuation, as Markdown does
// (CommonMark, 2.4). It returns nil where there are none.
func unescaped(text []byte) []byte {
	at := bytes.IndexByte(text, '\\')
	if at < 0 {
		return nil
	}
	out := append(make([]byte, 0, len(text)), text[:at]...)
	for i := at; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && isPunct(text[i+1]) {
			i++
		}
		out = append(out, text[i])
	}
	if len(out) == len(text) {
		return nil
	}
	return out
}

func isPunct(c byte) bool {
	return c > ' ' && c < 0x7f && !isLetter(c) && (c < '0' || c > '9') || c == '[' || c == '{'
}

// attributes looks at quoted values of HTML attributes, in which browsers drop line
// breaks and tabs, and which hold lists of links (srcset) and a link behind a number
// (refresh).
func attributes(out []Mention, text []byte) []Mention {
	gone := [2]bool{} // no further quote of a kind
	for from := 0; ; {
		i := bytes.IndexByte(text[from:], '=')
		if i < 0 {
			return out
		}
		from += i + 1
		at := from
		for at < len(text) && at-from < 64 && isSpace(rune(text[at])) {
			at++
		}
		if at == len(text) || text[at] != '"' && text[at] != '\'' {
			continue
		}
		kind := 0
		if text[at] == '\'' {
			kind = 1
		}
		if gone[kind] {
			continue
		}
		n := bytes.IndexByte(text[at+1:], text[at])
		if n < 0 {
			gone[kind] = true
			continue
		}
		value := text[at+1 : at+1+n]
		from = at + 1 + n
		if bytes.ContainsAny(value, ":/\\&") {
			f := finder{out: out}
			f.attribute(entities(value))
			out = f.out
		}
	}
}

func (f *finder) attribute(value []byte) {
	whole := bytes.Map(func(r rune) rune {
		if r < 0x80 && isBreak(byte(r)) {
			return -1
		}
		return r
	}, value)
	for _, field := range bytes.FieldsFunc(whole, func(r rune) bool { return r == ' ' || r == ';' || r == ',' || r == '\f' }) {
		f.absolute(field)
		f.network(field, true)
	}
}
