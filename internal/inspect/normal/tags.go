package normal

import "strings"

// stripTags takes HTML out of Markdown: tags, comments, and elements with what
// they hold where that is not for reading or not to be seen. all also takes
// what only looks like a tag, such as <your-name>.
func stripTags(s string, all bool) string {
	if strings.IndexByte(s, '<') < 0 {
		return s
	}
	t := &stripper{s: s, all: all, code: cursor{parts: code(s)}}
	return t.walk()
}

// stripHidden takes only what is not for reading or not to be seen.
func stripHidden(s string) string {
	if strings.IndexByte(s, '<') < 0 {
		return s
	}
	t := &stripper{s: s, keep: true}
	return t.walk()
}

type stripper struct {
	s       string
	i       int
	all     bool // take what only looks like a tag
	keep    bool // keep tags
	code    cursor
	out     []byte
	lt      int // where out ends with a "<" that is none of a tag's; -1 elsewhere
	lastGT  int
	endless map[string]bool // names that have no end tag any more
}

func (t *stripper) walk() string {
	t.lt, t.lastGT = -1, strings.LastIndexByte(t.s, '>')
	for t.i < len(t.s) {
		t.step()
	}
	return string(t.out)
}

// emit writes text that is no tag. A "<" before it must not become one.
func (t *stripper) emit(text string) {
	if text == "" {
		return
	}
	if t.lt == len(t.out)-1 && t.lt >= 0 && begins(text[0]) {
		t.out = append(t.out[:t.lt], "&lt;"...)
	}
	t.lt = -1
	t.out = append(t.out, text...)
}

func (t *stripper) step() {
	part := t.code.from(t.i, len(t.s))
	switch next := strings.IndexByte(t.s[t.i:part.start], '<'); {
	case next > 0:
		t.emit(t.s[t.i : t.i+next])
		t.i += next
	case next < 0:
		t.emit(t.s[t.i:part.start])
		t.emit(t.s[part.start:part.end])
		t.i = part.end
	default:
		t.markup()
	}
}

func (t *stripper) markup() {
	rest := t.s[t.i+1:]
	switch {
	case rest == "" || !begins(rest[0]):
		t.emit("<")
		t.lt = len(t.out) - 1
		t.i++
	case strings.HasPrefix(rest, "!--"):
		t.i += 1 + comment(rest)
	case rest[0] == '!' || rest[0] == '?':
		if t.i > t.lastGT {
			t.literal()
			return
		}
		t.i += 2 + strings.IndexByte(rest, '>')
	default:
		t.tag()
	}
}

// literal writes a "<" that is to stay one.
func (t *stripper) literal() {
	t.emit("&lt;")
	t.i++
}

func (t *stripper) tag() {
	if t.i > t.lastGT {
		t.literal()
		return
	}
	if n := autolink(t.s[t.i:]); n > 0 && !t.keep {
		t.emit(t.s[t.i : t.i+n])
		t.i += n
		return
	}
	name, end, attributes := element(t.s[t.i:])
	switch {
	case name == "":
		t.literal()
		return
	case end == 0: // a tag that nothing ends swallows the rest, for browsers
		t.i = len(t.s)
		return
	}
	tag := t.s[t.i : t.i+end]
	closing := strings.HasPrefix(name, "/")
	kind, known := elements[strings.TrimPrefix(name, "/")]
	if !known && strings.ContainsRune(name, ':') {
		known = true // of another vocabulary
	}
	if !known && !t.all && !t.keep && strings.TrimSpace(attributes) == "" {
		t.placeholder(tag)
		return
	}
	t.i += end
	gone := kind == raw || kind == unread || !closing && kind != void && hides(attributes)
	if gone && !closing {
		t.skip(name, kind)
	}
	switch {
	case t.keep && gone:
	case t.keep:
		t.out = append(t.out, tag...)
		t.lt = -1
	case kind == block && len(t.out) > 0 && t.out[len(t.out)-1] != '\n':
		t.emit("\n")
	case kind == cell && len(t.out) > 0 && t.out[len(t.out)-1] != ' ':
		t.emit(" ")
	}
}

// placeholder writes what only looks like a tag: a placeholder or a type; to a
// browser, an element that does nothing. At the beginning of a line it would make a
// block of HTML of what follows, in which nothing is code (CommonMark, 4.6).
func (t *stripper) placeholder(tag string) {
	if beginsLine(string(t.out[max(0, len(t.out)-maxPrefix):])) {
		t.literal()
		return
	}
	t.emit(tag)
	t.i += len(tag)
}

// skip goes behind what an element holds.
func (t *stripper) skip(name string, kind kind) {
	switch kind {
	case raw:
		t.skipRaw(name)
	case unread:
		t.skipUnread(name)
	default:
		t.skipElement(name)
	}
}

// skipRaw goes behind the end tag of an element whose content is no HTML; the
// rest of the text where it has none, as browsers do.
func (t *stripper) skipRaw(name string) {
	for at := t.i; ; {
		n := indexFold(t.s[at:], "</"+name)
		if n < 0 {
			t.i = len(t.s)
			return
		}
		at += n
		if got, end, _ := element(t.s[at:]); got == "/"+name {
			if end == 0 {
				end = len(t.s) - at
			}
			t.i = at + end
			return
		}
		at += len(name) // another one that begins like it
	}
}

// skipUnread goes behind the next end tag of an element that is not for
// reading. Without one only the tag goes, as such elements end by themselves.
func (t *stripper) skipUnread(name string) {
	if t.endless[name] {
		return
	}
	low := indexFold(t.s[t.i:], "</"+name)
	if low < 0 {
		if t.endless == nil {
			t.endless = make(map[string]bool)
		}
		t.endless[name] = true
		return
	}
	_, end, _ := element(t.s[t.i+low:])
	if end == 0 {
		t.i = len(t.s)
		return
	}
	t.i += low + end
}

// skipElement goes behind the end of a hidden element, or of the text.
func (t *stripper) skipElement(name string) {
	depth := 1
	for depth > 0 {
		n := strings.IndexByte(t.s[t.i:], '<')
		if n < 0 {
			t.i = len(t.s)
			return
		}
		t.i += n
		got, end, _ := element(t.s[t.i:])
		switch got {
		case name:
			depth++
		case "/" + name:
			depth--
		}
		if got != "" && end == 0 {
			t.i = len(t.s)
			return
		}
		t.i += max(end, 1)
	}
}
