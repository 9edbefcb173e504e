package destination

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/internal/inspect/view"
)

// Mention is a destination that a text names. With Err it names one that
// cannot be read without doubt.
type Mention struct {
	Destination
	Err error
}

var (
	ipPlace  = regexp.MustCompile(`(?i)(?:^|[^\w.:-])((?:0x[0-9a-f]+|[0-9]{1,10})(?:\.(?:0x[0-9a-f]+|[0-9]{1,10})){3}(?::[0-9]{1,5}|/[a-z]))`)
	bracket  = regexp.MustCompile(`\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?`)
	local    = regexp.MustCompile(`(?i)(?:^|[^\w.@-])((?:[a-z0-9-]+\.)*localhost(?::[0-9]{1,5}|/)|metadata\.google\.internal|169\.254\.\d{1,3}\.\d{1,3})`)
	hostPort = regexp.MustCompile(`(?i)(?:^|[\s"'=(,])((?:[a-z0-9_-]{1,63}\.){1,8}[a-z]{2,24}:[0-9]{2,5})(?:$|[\s/"'),;])`)
	scp      = regexp.MustCompile(`(?i)^[a-z0-9_.-]{1,64}@([a-z0-9.-]{1,253}|\[[0-9a-f:.]+\]):[^\s\\]{1,}$`)
	www      = regexp.MustCompile(`(?i)(?:^|[\s"'=(,])(www\.(?:[a-z0-9_-]{1,63}\.){1,8}[a-z]{2,24})`)
	pointing = regexp.MustCompile(`(?i)(?:^|[^a-z])(?:url|urls|uri|uris|endpoint|host|hosts|hostname|link|href|src|webhook|callback|domain|server|remote|origin|proxy|upstream|redirect|website|site|target|fqdn|baseurl|addr)(?:$|[^a-z])`)
	humps    = regexp.MustCompile(`([a-z0-9])([A-Z])`)
)

// Find returns the destinations in a text under a key. It reads the text as it
// is, and with escapes, invisible characters and one encoding undone.
func Find(text, key []byte) []Mention {
	if !suspicious(text) && !points(key) {
		return nil
	}
	return everyReading(text, key, find)
}

func everyReading(text, key []byte, find func(out []Mention, text, key []byte) []Mention) []Mention {
	out := find(nil, text, key)
	var v view.View
	v.Reset(text)
	if v.Mapped() && !bytes.Equal(v.Text, text) {
		out = find(out, v.Text, key)
	}
	view.EachEncoded(v.Text, nil, func(e view.Encoded) { out = find(out, e.Plain, nil) })
	if len(text) < 2048 && bytes.ContainsAny(text, "\t\r\n") && !bytes.ContainsAny(text, " ") {
		// Browsers drop these inside of URLs.
		out = find(out, bytes.Map(func(r rune) rune {
			if r == '\t' || r == '\r' || r == '\n' {
				return -1
			}
			return r
		}, text), key)
	}
	return out
}

// suspicious is the gate: texts in which no dot, colon or slash stands before
// more, which are all ASCII, not encoded and do not speak of localhost name no
// destination that find would see.
func suspicious(text []byte) bool {
	spaces := false
	for i, c := range text {
		switch {
		case c >= 0x80, c == '%':
			return true
		case c == '.', c == ':', c == '/', c == '\\':
			if i+1 < len(text) && !isSpace(rune(text[i+1])) {
				return true
			}
		case isSpace(rune(c)):
			spaces = true
		}
	}
	return len(text) >= 16 && !spaces || mentionsLocal(text)
}

func points(key []byte) bool {
	return len(key) > 0 && len(key) < 64 && pointing.Match(humps.ReplaceAll(key, []byte("${1}_${2}")))
}

func find(out []Mention, text, key []byte) []Mention {
	f := finder{out: out, pointed: points(key)}
	for field := range bytes.FieldsFuncSeq(text, isSpace) { // no destination holds white space
		f.field(field)
	}
	if bytes.IndexByte(text, '@') >= 0 && bytes.IndexByte(text, ' ') < 0 && len(text) <= 1024 {
		if m := scp.FindSubmatch(text); m != nil {
			f.add(parseAuthority(string(m[1])))
		}
	}
	if len(f.out) == len(out) && f.pointed {
		return bare(f.out, strings.TrimSpace(string(text)))
	}
	return f.out
}

// split returns a URL and the URLs that stand in it, as in a query.
func split(s string) []string {
	out := []string{s}
	for i := strings.Index(s, "://"); i >= 0 && len(out) <= maxNested; {
		next := strings.Index(s[i+3:], "://")
		if next < 0 {
			break
		}
		next += i + 3
		start := next
		for start > i+3 && (isLetter(s[start-1]) || s[start-1] >= '0' && s[start-1] <= '9' || s[start-1] == '+') {
			start--
		}
		if start > i+3 && start < next {
			out = append(out, s[start:])
		}
		i = next
	}
	return out
}

// trim removes what follows a URL in prose: punctuation, and brackets that were
// not opened in it.
func trim(s string) string {
	const stops, more = ".,;:!?*'\"”’»…|", ".,;:!?*"
	s = strings.TrimRight(s, stops)
	for _, pair := range [...]string{"()", "[]", "{}"} {
		extra := strings.Count(s, pair[1:]) - strings.Count(s, pair[:1])
		for ; extra > 0 && strings.HasSuffix(s, pair[1:]); extra-- {
			s = strings.TrimRight(s[:len(s)-1], more)
		}
	}
	return s
}

// bare reads the value of a member that is called like a destination: a host,
// perhaps with port and path. File names, versions and words are none.
func bare(out []Mention, s string) []Mention {
	if s == "" || strings.ContainsAny(s, " \n") || strings.HasPrefix(s, "/") || strings.HasPrefix(s, ".") || strings.HasPrefix(s, "#") || len(s) > 512 {
		return out
	}
	d, err := ParseHost(s)
	switch {
	case err != nil && strings.ContainsAny(s, ".:@%"):
		return append(out, Mention{Err: err})
	case err != nil:
		return out
	case d.IP.IsValid() || strings.Contains(d.Host, ".") || d.Host == "localhost":
		return append(out, Mention{Destination: d})
	}
	return out
}

func dotted(s string) bool {
	i := strings.LastIndexByte(s, '.')
	return i > 0 && i < len(s)-1 || strings.HasPrefix(s, "[") || strings.HasPrefix(strings.ToLower(s), "localhost")
}
