// Package normal brings text that a model is going to read into a form without
// hidden parts: what a person would not see, what a renderer would run or fetch,
// and links to places that nobody allowed are taken out.
//
// The result is a fixed point: normalising it again changes nothing, whatever
// the input was. So no piece can be built from what is left when another piece
// is taken away.
package normal

import (
	"html"
	"strings"

	"github.com/sallyport/sallyport/mcp"
)

// Form is what a text may be.
type Form uint8

// The forms. The zero Form is the strictest.
const (
	Plain    Form = iota // words only: no markup, and the words of links without their destinations
	Markdown             // Markdown without HTML
	HTML                 // HTML of harmless elements and attributes
	Visible              // anything, without what nobody sees; for code and data
)

// Removed stands in the place of a destination that is not allowed and has no
// words of its own.
const Removed = "{link removed}"

// Normaliser normalises texts. It is safe for concurrent use.
type Normaliser struct {
	form   Form
	admits func(url string) bool
	clean  func(string) string // of HTML, for the form HTML
}

// New returns a normaliser. admits says whether an absolute http or https URL
// may stay; nil lets every link stay, and no image, because a client fetches
// images unasked, and with them what the URL says.
func New(f Form, admits func(url string) bool) *Normaliser {
	n := &Normaliser{form: f, admits: admits}
	if f == HTML {
		n.clean = n.sanitizer()
	}
	return n
}

// Content is Text for what may also be JSON: of that, the strings are normalised
// one by one, because markup may look like a part of another one's syntax.
func (n *Normaliser) Content(s string) string {
	trimmed := strings.TrimLeft(s, " \t\r\n")
	if trimmed == "" || trimmed[0] != '{' && trimmed[0] != '[' || Harmless(s) {
		return n.Text(s)
	}
	text := []byte(s)
	var out []byte
	at := 0
	err := mcp.Walk(text, func(l mcp.Leaf) error {
		if l.Kind != mcp.LeafString && l.Kind != mcp.LeafKey {
			return nil
		}
		value := string(l.Value())
		if clean := n.Text(value); clean != value {
			out = mcp.AppendQuote(append(out, text[at:l.Start]...), clean)
			at = l.End
		}
		return nil
	})
	if err != nil {
		return n.Text(s)
	}
	return string(append(out, text[at:]...))
}

// rounds bounds how often a text is gone over. Each round takes time linear in
// the text. Honest text needs one, and one more to see that it is done.
const rounds = 4

// Text returns s in normal form, and s itself if it has it already.
func (n *Normaliser) Text(s string) string {
	if Harmless(s) {
		return s
	}
	for range rounds {
		next := n.round(s)
		if next == s {
			return s
		}
		s = next
	}
	return n.round(defuse(s)) // made to come apart in ever new ways
}

// Harmless reports quickly that nothing in s could be changed, in any form. That
// it does not say so means nothing.
func Harmless[T string | []byte](s T) bool {
	for i := range len(s) {
		switch class[s[i]] {
		case suspect:
			return false
		case colon:
			if len(s)-i >= 3 && string(s[i:i+3]) == "://" {
				return false
			}
		case www:
			if len(s)-i >= 4 && s[i+3] == '.' && s[i+1]|0x20 == 'w' && s[i+2]|0x20 == 'w' {
				return false
			}
		}
	}
	return true
}

const (
	suspect = iota + 1
	colon
	www
)

var class = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c == '\n', c == '\t':
		case c < 0x20, c >= 0x7f, c == '<', c == '[':
			t[c] = suspect
		case c == ':':
			t[c] = colon
		case c == 'w', c == 'W':
			t[c] = www
		}
	}
	return t
}()

func (n *Normaliser) round(s string) string {
	s = visible(s)
	switch n.form {
	case Visible:
		return s
	case HTML:
		return n.clean(stripHidden(s))
	case Plain:
		return n.links(stripTags(s, true))
	default:
		return n.links(stripTags(s, false))
	}
}

// defuse takes every character away that markup needs, and what looks like a
// URL. What is left has no parts that could be put together.
func defuse(s string) string {
	var b strings.Builder
	for _, r := range visible(html.UnescapeString(s)) {
		switch r {
		case '<', '>', '[', ']', '`', '~', '&', '\\', '!', ':':
			b.WriteByte(' ')
		case 'w', 'W', '.':
			// "www." is put together by nothing but these.
			if t := b.String(); r == '.' && len(t) >= 3 && strings.EqualFold(t[len(t)-3:], "www") {
				b.WriteByte(' ')
				continue
			}
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
