package dlp

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/inspect/recogniser"
	"github.com/sallyport/sallyport/internal/inspect/wire"
	"github.com/sallyport/sallyport/mcp"
)

// mac is the same for equal values of a type, and tells nothing else.
func (g *dlp) mac(p *place) []byte {
	h := hmac.New(sha256.New, g.key)
	h.Write([]byte(p.Type))
	h.Write([]byte{0})
	h.Write(p.value)
	return h.Sum(nil)
}

// replacement is what stands for the value: ASCII without quotes and backslashes.
func (g *dlp) replacement(p *place) string {
	switch p.action {
	case hash:
		return "[" + p.Type + ":" + hex.EncodeToString(g.mac(p)[:6]) + "]"
	case tokenise:
		if p.token != "" {
			return p.token
		}
		return "tok_" + strings.ToLower(p.Type) + "_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(g.mac(p)[:16]))
	}
	return "[" + p.Type + "]"
}

// edits replaces the findings in the original bytes.
func (g *dlp) edits(m *mcp.Message, places []place) []mcp.Edit {
	places = g.copies(m, places)
	var edits []mcp.Edit
	keys := 0
	last := -1
	for i := range places {
		p := &places[i]
		if !p.action.rewrites() || p.start == last {
			continue
		}
		text := p.text
		if text == nil {
			text = []byte(g.replacement(p))
		}
		if p.kind == mcp.LeafKey { // two names in one object must not become one
			keys++
			text = append(text, '#')
			text = strconv.AppendInt(text, int64(keys), 10)
		}
		if p.whole {
			text, last = mcp.AppendQuote(nil, string(text)), p.start // one for all findings in it
		}
		edits = append(edits, mcp.SetSpan(p.start, p.end, text))
	}
	return edits
}

// shortest is the length from which on a value is looked for elsewhere too.
const (
	shortest = 6
	most     = 64
)

// copies adds the places where a value that is rewritten stands again, in a text
// that does not show what it is: results repeat their structured content as text.
func (g *dlp) copies(m *mcp.Message, places []place) []place {
	n := 0
	for i := range places {
		if p := &places[i]; p.action.rewrites() && p.text == nil && len(p.value) >= shortest {
			n++
		}
	}
	if n == 0 || n > most {
		return places
	}
	taken := make([]place, len(places))
	copy(taken, places)
	var r wire.Reader
	_ = r.EachText(m.Raw, func(t *wire.Text) { // it was walked before
		if t.Kind == mcp.LeafKey || t.Depth() == 1 && enveloping(t) || handleOf(m, t) != mcp.NoHandle {
			return
		}
		for i := range places {
			p := &places[i]
			if p.action.rewrites() && p.text == nil && len(p.value) >= shortest {
				taken = again(taken, t, p, fixed(m.Direction, t.Pointer()))
			}
		}
	})
	slices.SortStableFunc(taken, func(a, b place) int { return a.start - b.start })
	return taken
}

func again(taken []place, t *wire.Text, p *place, fixed bool) []place {
	for at := 0; ; {
		i := bytes.Index(t.Value[at:], p.value)
		if i < 0 || fixed {
			return taken
		}
		i += at
		at = i + len(p.value)
		if i > 0 && alnum(t.Value[i-1]) || at < len(t.Value) && alnum(t.Value[at]) {
			continue
		}
		q := *p
		q.kind, q.whole = t.Kind, t.Kind == mcp.LeafNumber
		q.start, q.end = t.Span(i, at)
		if q.whole {
			q.start, q.end = t.Span(0, len(t.Value))
		}
		if !slices.ContainsFunc(taken, func(o place) bool { return o.action.rewrites() && o.start < q.end && q.start < o.end }) {
			taken = append(taken, q)
		}
	}
}

func alnum(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' }

// blob returns the text that a base64 member of a resource or content block
// holds; ok is false for images and for everything that is no such member.
func (s *scan) blob(t *wire.Text) (plain []byte, ok bool) {
	if t.Kind != mcp.LeafString || string(t.Key) != "blob" && string(t.Key) != "data" || len(t.Value) < 8 || len(t.Value)%4 != 0 {
		return nil, false
	}
	head := make([]byte, 48)
	n, err := base64.StdEncoding.Decode(head, t.Value[:min(len(t.Value), 64)])
	if err != nil || bytes.IndexFunc(head[:max(0, n-utf8.UTFMax)], func(r rune) bool { return r == utf8.RuneError || r < ' ' && r != '\n' && r != '\t' && r != '\r' }) >= 0 {
		return nil, false
	}
	s.decoded, err = base64.StdEncoding.AppendDecode(s.decoded[:0], t.Value)
	return s.decoded, err == nil && utf8.Valid(s.decoded)
}

// blob scans the text in a base64 member and, where it must be rewritten, makes
// the member anew.
func (g *dlp) blob(places []place, s *scan, x *guard.Exchange, m *mcp.Message, t *wire.Text, plain []byte) []place {
	s.found = s.scanner.Scan(s.found[:0], recogniser.Leaf{Text: plain, Key: t.Key, Parent: t.Parent})
	var text []byte
	done, from := 0, len(places)
	for i := range s.found {
		f := &s.found[i]
		a := g.decide(x, m, f)
		if a == allow {
			continue
		}
		p := place{Finding: *f, action: a, kind: t.Kind, value: bytes.Clone(plain[f.Start:f.End]), pointer: t.Pointer(), whole: true}
		p.start, p.end = t.Span(0, len(t.Value))
		p.start, p.end = p.start-1, p.end+1 // with the quotes
		g.seal(x, m, &p)
		if a.rewrites() {
			text = append(append(text, plain[done:f.Start]...), g.replacement(&p)...)
			done = f.End
		}
		places = append(places, p)
	}
	if done > 0 {
		text = []byte(base64.StdEncoding.EncodeToString(append(text, plain[done:]...)))
		for i := from; i < len(places); i++ {
			places[i].text = text
		}
	}
	return places
}
