package normal

import (
	"html"
	"slices"
	"strings"
)

// edit replaces a part of a text.
type edit struct {
	span
	with string
}

// links takes out the links and images of Markdown that may not stay, and keeps
// their words.
func (n *Normaliser) links(s string) string {
	w := &linker{Normaliser: n, s: s, code: cursor{parts: code(s)}}
	for w.i < len(s) {
		w.step()
	}
	if len(w.edits) == 0 {
		return s
	}
	slices.SortFunc(w.edits, func(a, b edit) int { return a.start - b.start })
	var b strings.Builder
	at := 0
	for _, e := range w.edits {
		if e.start < at { // inside of what is gone already
			continue
		}
		b.WriteString(s[at:e.start])
		b.WriteString(e.with)
		at = e.end
	}
	b.WriteString(s[at:])
	return b.String()
}

type linker struct {
	*Normaliser
	url   string // judged last, as a link is often met twice
	known bool
	good  bool
	s     string
	i     int
	code  cursor
	open  []int // where brackets are open
	edits []edit
}

func (w *linker) step() {
	part := w.code.from(w.i, len(w.s))
	if part.start == w.i {
		w.i = part.end
		return
	}
	switch c := w.s[w.i]; {
	case c == '\\':
		// What follows is a character of the text for Markdown, but not for
		// whoever looks for URLs in it.
		w.i++
		if w.i < len(w.s) && (w.s[w.i] == '[' || w.s[w.i] == ']' || w.s[w.i] == '\\') {
			w.i++
		}
	case c == '[':
		w.open = append(w.open, w.i)
		w.i++
	case c == ']':
		w.close()
	case c == '<':
		w.angle()
	case c == ':' && strings.HasPrefix(w.s[w.i:], "://"):
		w.bare(w.schemeStart())
	case c|0x20 == 'w' && len(w.s)-w.i >= 4 && strings.EqualFold(w.s[w.i:w.i+4], "www."):
		w.bare(w.i)
	default:
		w.i++
	}
}

// close handles a bracket that may end the words of a link.
func (w *linker) close() {
	at := w.i
	w.i++
	if len(w.open) == 0 {
		return
	}
	begin := w.open[len(w.open)-1]
	w.open = w.open[:len(w.open)-1]
	image := begin > 0 && w.s[begin-1] == '!'
	rest := w.s[at+1:]
	switch {
	case strings.HasPrefix(rest, "("):
		destination, length := inlineDestination(rest)
		switch {
		case length < 0: // cannot be told in time
			w.edits = append(w.edits, edit{span{at + 1, at + 1}, " "})
		case length > 0 && (w.form == Plain || destination == "" || !w.mayLead(destination, image)):
			w.unlink(begin, at, at+1+length, image)
			w.i = at + 1 + length
		}
	case strings.HasPrefix(rest, ":") && beginsLine(w.s[max(0, begin-maxPrefix):begin]):
		destination, length := definition(rest[1:])
		if length > 0 && (w.form == Plain || !w.mayLead(destination, false)) {
			w.edits = append(w.edits, edit{span{begin, at + 2 + length}, ""})
			w.i = at + 2 + length
		}
	case image && (w.admits == nil || w.form == Plain):
		// It may show what a definition names, which may be anywhere.
		w.edits = append(w.edits, edit{span{begin - 1, begin}, ""})
	}
}

// unlink leaves the words of a link, without the brackets.
func (w *linker) unlink(begin, closing, end int, image bool) {
	from := begin
	if image {
		from--
	}
	w.edits = append(w.edits, edit{span{from, begin + 1}, ""}, edit{span{closing, end}, ""})
	if strings.TrimSpace(w.s[begin+1:closing]) == "" {
		w.edits[len(w.edits)-1].with = Removed
	}
}

// angle handles <https://...> and <name@host>.
func (w *linker) angle() {
	n := autolink(w.s[w.i:])
	if n == 0 {
		w.i++
		return
	}
	inside := w.s[w.i+1 : w.i+n-1]
	switch {
	case !strings.Contains(inside, ":"): // an address
	case w.mayLead(inside, false) && w.form != Plain:
	default:
		w.edits = append(w.edits, edit{span{w.i, w.i + n}, Removed})
	}
	w.i += n
}

// schemeStart returns where the scheme before "://" begins.
func (w *linker) schemeStart() int {
	i := w.i
	for i > 0 && w.i-i < 32 {
		if c := w.s[i-1]; c|0x20 < 'a' || c|0x20 > 'z' {
			if c != '+' && c != '-' && c != '.' && (c < '0' || c > '9') {
				break
			}
		}
		i--
	}
	return i
}

// bare handles a URL that stands in the text as it is, which many renderers
// make a link of. They disagree where it ends; so it is judged as the longest
// thing that any of them would take.
func (w *linker) bare(start int) {
	end := w.i
	for end < len(w.s) && !strings.ContainsRune(" \t\n<>`[]\"|", rune(w.s[end])) && end-start < maxDestination {
		end++
	}
	long := end
	for long < len(w.s) && !strings.ContainsRune(" \t\n<`", rune(w.s[long])) && !strings.HasPrefix(w.s[long:], "](") && long-start < maxDestination {
		long++
	}
	w.i = end
	if w.admits == nil {
		return
	}
	url := strings.TrimRight(w.s[start:end], "?!.,:;*_~'()}")
	more := w.s[end:long]
	if w.s[start]|0x20 == 'w' && !strings.Contains(url, "://") {
		url = "https://" + url
	}
	if !strings.ContainsAny(more, `@\`) && end-start < maxDestination && w.admitted(url) {
		w.lower(start, end)
		return
	}
	if strings.ContainsAny(more, `@\`) || end-start >= maxDestination {
		end = long
	}
	w.i = max(end, w.i)
	if stop := start + len(strings.TrimRight(w.s[start:end], "?!.,:;*_~')")); stop > start {
		end = stop
	}
	w.edits = append(w.edits, edit{span{start, end}, Removed})
}

// lower writes the host of a bare URL in small letters: for some renderers it ends
// at the first capital, so that allowed.coM leads to allowed.co.
func (w *linker) lower(start, end int) {
	if i := strings.Index(w.s[start:end], "://"); i >= 0 {
		start += i + len("://")
	}
	if n := strings.IndexAny(w.s[start:end], "/?#"); n >= 0 {
		end = start + n
	}
	host := []byte(w.s[start:end])
	changed := false
	for i, c := range host {
		if 'A' <= c && c <= 'Z' {
			host[i], changed = c|0x20, true
		}
	}
	if changed {
		w.edits = append(w.edits, edit{span{start, end}, string(host)})
	}
}

// asBrowsers takes out what browsers skip in a URL.
var asBrowsers = strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/")

// mayLead reports whether a destination may stay. Relative ones lead to where
// the text is shown.
func (w *linker) mayLead(destination string, image bool) bool {
	if len(destination) >= maxDestination || strings.ContainsRune(destination, '`') {
		return false // what is code for some is a link for others
	}
	d := resolveEscapes(destination)
	// As browsers read a URL (WHATWG URL, 4.4).
	d = strings.TrimFunc(d, func(r rune) bool { return r <= ' ' })
	if strings.ContainsAny(d, "\t\n\r\\") {
		d = asBrowsers.Replace(d)
	}
	if strings.HasPrefix(d, "//") {
		d = "https:" + d
	}
	scheme, rest, ok := strings.Cut(d, ":")
	if !ok || strings.ContainsAny(scheme, "/?#") {
		return true
	}
	switch strings.ToLower(scheme) {
	case "http", "https":
		d = strings.ToLower(scheme) + "://" + strings.TrimLeft(rest, "/")
		if w.admits != nil {
			return w.admitted(d)
		}
		return !image
	case "mailto", "tel":
		return !image
	}
	return false
}

func (w *linker) admitted(url string) bool {
	if url != w.url || !w.known {
		w.url, w.known, w.good = url, true, w.admits(url)
	}
	return w.good
}

// resolveEscapes undoes Markdown's escapes and HTML's.
func resolveEscapes(s string) string {
	s = html.UnescapeString(s)
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte("!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~", s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
