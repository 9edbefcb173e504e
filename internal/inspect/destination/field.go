package destination

import (
	"bytes"
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// finder finds the destinations in the words of a text, in linear time: what
// begins like a URL by hand, and other forms by expressions that see only the
// few bytes around dots and colons.
type finder struct {
	out     []Mention
	pointed bool // the key says that the text is a destination
	looked  int  // bytes that expressions saw
}

// maxLook bounds what expressions see of one text, in bytes. No text that
// people or programs write comes near it.
const maxLook = 32 << 10

var errCrowded = errors.New("destination: find: more dots and colons than can be looked at")

func (f *finder) add(d Destination, err error) { f.out = append(f.out, Mention{d, err}) }

func (f *finder) field(b []byte) {
	if !bytes.ContainsAny(b, ".:/\\[") {
		return
	}
	f.absolute(b)
	f.relative(b)
	for atom := range bytes.FieldsFuncSeq(b, func(r rune) bool { return r < 0x80 && !inAtom(byte(r)) }) {
		f.atom(atom)
	}
}

// absolute finds everything that begins like a URL, also with the slashes
// missing that browsers add; plain words before a colon are not schemes.
func (f *finder) absolute(b []byte) {
	from := 0
	for {
		i := bytes.IndexByte(b[from:], ':')
		if i < 0 {
			return
		}
		colon := from + i
		from = colon + 1
		start := colon
		for start > 0 && colon-start < maxChain && (isSchemeByte(b[start-1]) || b[start-1] == ':') {
			start--
		}
		for start < colon && !isLetter(b[start]) {
			start++
		}
		rest := b[colon+1:]
		switch slashes := len(rest) > 1 && isSlash(rest[0]) && isSlash(rest[1]); {
		case start == colon || slashes && (colon-start < 2 || b[colon-2] == ':'): // a drive letter is no scheme
			continue
		case !slashes && (len(rest) == 0 || isEnd(rest[0]) || !isScheme(b[start:colon])):
			continue
		}
		end := colon + 1
		for end < len(b) && !isEnd(b[end]) {
			end++
		}
		if continues(b, start, end) {
			f.add(Destination{}, doubt("a quote within the host"))
		}
		all := split(trim(string(b[start:end])))
		for _, u := range all[:min(len(all), maxNested)] {
			f.add(Parse(u))
		}
		if len(all) > maxNested {
			f.add(Destination{}, errCrowded)
		}
		from = end
	}
}

const (
	maxChain  = 128 // bytes of schemes before the last colon of them
	maxNested = 16  // URLs within one
)

// schemes are those after which browsers and libraries need no slashes.
var schemes = []string{"http", "https", "ws", "wss", "ftp", "file", "gopher", "javascript", "vbscript", "jar", "netdoc", "blob"}

// isScheme reports whether the last scheme of a chain such as view-source:http
// is one of these.
func isScheme(chain []byte) bool {
	last := chain[bytes.LastIndexByte(chain, ':')+1:]
	return len(last) <= 10 && slices.Contains(schemes, strings.ToLower(string(last)))
}

// relative finds hosts behind two slashes without a scheme.
func (f *finder) relative(b []byte) {
	for i := 0; i+2 < len(b); i++ {
		if !isSlash(b[i]) || b[i] != b[i+1] || i > 0 && strings.IndexByte(`"'=(`, b[i-1]) < 0 {
			continue
		}
		end := i + 2
		for end < len(b) && end-i < 257 && !isSlash(b[end]) && !isEnd(b[end]) && b[end] != '(' && b[end] != ')' {
			end++
		}
		if end == i+2 {
			continue
		}
		if host := trim(string(b[i+2 : end])); dotted(host) || b[i] == '\\' || f.pointed {
			f.add(parseAuthority(host))
		}
		i = end - 1
	}
}

// atom finds hosts and addresses without a scheme in a run of the bytes that
// such may hold.
func (f *finder) atom(b []byte) {
	dots, colons, bracket := 0, 0, false
	for i, c := range b {
		switch c {
		case ':':
			if i+1 < len(b) {
				colons++
			}
		case '.':
			if i+1 < len(b) {
				dots++
			}
		case '[':
			bracket = true
		}
	}
	name := dots > 0 || (colons > 0 || bytes.IndexByte(b, '/') >= 0) && mentionsLocal(b)
	if !name && (!bracket || colons == 0) {
		return
	}
	if f.looked += len(b); f.looked > maxLook {
		if f.looked-len(b) <= maxLook { // said once
			f.add(Destination{}, errCrowded)
		}
		return
	}
	if dots >= 3 {
		f.hosts(ipPlace, b)
	}
	if dots > 0 && colons > 0 {
		f.hosts(hostPort, b)
	}
	if dots > 0 {
		f.hosts(www, b)
	}
	if name {
		f.hosts(local, b)
	}
	if bracket && colons > 0 {
		f.brackets(b)
	}
}

func (f *finder) hosts(re *regexp.Regexp, b []byte) {
	for _, m := range re.FindAllSubmatch(b, -1) {
		f.add(ParseHost(strings.TrimSuffix(string(m[1]), "/")))
	}
}

func (f *finder) brackets(b []byte) {
	for _, m := range bracket.FindAll(b, -1) {
		if inner := strings.Trim(strings.SplitN(string(m), "]", 2)[0], "["); strings.Count(inner, ":") > 1 {
			if _, err := netip.ParseAddr(inner); err == nil {
				f.add(ParseHost(string(m)))
			}
		}
	}
}

func mentionsLocal(b []byte) bool {
	const name = "localhost"
	for i := range len(b) - len(name) + 1 {
		if b[i]|0x20 == 'l' && strings.EqualFold(string(b[i:i+len(name)]), name) {
			return true
		}
	}
	return false
}

// isSpace is white space as the expressions of this package see it.
func isSpace(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\f' || r == '\r' }

// isEnd reports whether c ends a URL in a text.
func isEnd(c byte) bool { return strings.IndexByte("\"'<>`", c) >= 0 || isSpace(rune(c)) }

func isSlash(c byte) bool { return c == '/' || c == '\\' }

func isLetter(c byte) bool { c |= 0x20; return c >= 'a' && c <= 'z' }

func isSchemeByte(c byte) bool {
	return isLetter(c) || c >= '0' && c <= '9' || c == '+' || c == '.' || c == '-'
}

// inAtom reports whether c may stand in a host with its port, or right before
// or behind one without being its border.
func inAtom(c byte) bool {
	return isLetter(c) || c >= '0' && c <= '9' || strings.IndexByte("_.-:@[]/%", c) >= 0
}
