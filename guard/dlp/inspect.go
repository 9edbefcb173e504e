package dlp

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/inspect/recogniser"
	"github.com/sallyport/sallyport/internal/inspect/wire"
	"github.com/sallyport/sallyport/internal/recent"
	"github.com/sallyport/sallyport/mcp"
)

// place is a finding in a message.
type place struct {
	recogniser.Finding
	action     action
	kind       mcp.LeafKind
	start, end int    // in Raw, of the bytes to replace
	whole      bool   // the bytes are a whole lexeme, not the inside of a string
	value      []byte // what stands there; never shown
	pointer    string
	token      string // that its server gets back as the value; empty where there is none
	text       []byte // replacement, where it is not made from the type alone
	begun      bool   // in an earlier message, which has left
}

// Inspect scans every text of a message, and what of a client's headers its server
// gets to read.
func (g *dlp) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	if len(m.Raw) > g.MaxBytes {
		return guard.Verdict{}, fmt.Errorf("dlp: inspect: message of %d bytes, more than max_bytes", len(m.Raw))
	}
	s := g.scanners.Get().(*scan)
	defer g.scanners.Put(s)
	var places []place
	var tokens []restored
	s.tries = 0
	of, key := spoken(m)
	if places = g.headers(places, s, x, m); m.Kind != mcp.Transport {
		err := s.reader.EachText(m.Raw, func(t *wire.Text) {
			if t.Depth() == 1 && enveloping(t) || x.Over(len(t.Value)) {
				return
			}
			tokens = g.restore(tokens, s, x, m, t)
			places = g.text(places, s, x, m, t)
			if of != "" && t.Kind == mcp.LeafString && t.Depth() == 2 && string(t.Key) == key && string(t.Parent) == "params" {
				places = g.carry(places, s, x, m, t, of)
			}
		})
		if err != nil {
			return guard.Verdict{}, fmt.Errorf("dlp: inspect: %w", err)
		}
	}
	if x.Over(0) {
		return guard.Verdict{}, fmt.Errorf("dlp: inspect: %w", guard.ErrOverBudget)
	}
	if places = without(places, tokens); len(places)+len(tokens) == 0 {
		return guard.Pass(), nil
	}
	return g.verdict(s, x, m, places, tokens)
}

// enveloping reports whether a text of the envelope was checked when the message was
// decoded: what its own members are called, the version and the method.
func enveloping(t *wire.Text) bool {
	name := t.Key
	if t.Kind == mcp.LeafKey {
		name = t.Value
	}
	switch string(name) {
	case "jsonrpc", "method":
		return true
	case "id", "params", "result", "error":
		return t.Kind == mcp.LeafKey
	}
	return false
}

// handleOf tells whether a text only comes back to whoever made it.
func handleOf(m *mcp.Message, t *wire.Text) mcp.Handle {
	if !mcp.MayBeHandle(t.Key) {
		return mcp.NoHandle
	}
	return m.Handle(t.Pointer())
}

// text scans one text and appends what is to be acted on.
func (g *dlp) text(places []place, s *scan, x *guard.Exchange, m *mcp.Message, t *wire.Text) []place {
	if h := handleOf(m, t); h != mcp.NoHandle {
		return g.handle(places, s, x, m, t, h)
	}
	if plain, ok := s.blob(t); ok {
		return g.blob(places, s, x, m, t, plain)
	}
	s.found = g.scan(s, x, t)
	for i := range s.found {
		f := &s.found[i]
		a := g.decide(x, m, f)
		if a == allow {
			continue
		}
		p := place{Finding: *f, action: a, kind: t.Kind, value: bytes.Clone(t.Value[f.Start:f.End]), pointer: t.Pointer()}
		p.start, p.end = t.Span(f.Start, f.End)
		if t.Kind == mcp.LeafNumber { // a part of a number cannot be replaced
			p.start, p.end = t.Span(0, len(t.Value))
			p.whole = true
		}
		if a.rewrites() && fixed(m.Direction, p.pointer) {
			p.action = block
		}
		g.seal(x, m, &p)
		places = append(places, p)
	}
	return places
}

// scan looks at a text, unless nothing was found in it before. What stands around
// it counts, too. Tenants share nothing: how fast an answer comes would tell one
// what another has read.
func (g *dlp) scan(s *scan, x *guard.Exchange, t *wire.Text) []recogniser.Finding {
	leaf := recogniser.Leaf{Text: t.Value, Key: t.Key, Parent: t.Parent, Beside: t.Beside}
	if g.clean == nil || len(t.Value) < worth {
		return s.scanner.Scan(s.found[:0], leaf)
	}
	var k recent.Key
	k, s.scratch = g.clean.Key(s.scratch, []byte(x.Principal.Tenant), t.Key, t.Parent, t.Beside, t.Value)
	clean := false
	g.clean.Look(k, func(v *bool) { clean = *v })
	if clean {
		return s.found[:0]
	}
	found := s.scanner.Scan(s.found[:0], leaf)
	if len(found) == 0 {
		g.clean.Do(k, func(v *bool) { *v = true })
	}
	return found
}

// fixed reports whether a value names what the message is about, so that
// another in its place would be another message.
func fixed(d mcp.Direction, pointer string) bool {
	if d != mcp.ToServer {
		return false
	}
	return pointer == "/params/name" || pointer == "/params/uri" || strings.HasPrefix(pointer, "/params/ref/") || strings.HasPrefix(pointer, "/params/_meta/")
}

// verdict refuses if any finding is to be blocked, and rewrites otherwise.
func (g *dlp) verdict(s *scan, x *guard.Exchange, m *mcp.Message, places []place, tokens []restored) (guard.Verdict, error) {
	v := guard.Verdict{Action: guard.Allow, Detail: g.detail(s, places), Measures: measures(places)}
	var pii, secret string // the labels
	described := describes(x, m)
	for i := range places {
		p := &places[i]
		label := &pii
		if p.Class == recogniser.Secret {
			label = &secret
		}
		if *label == "" || !p.action.rewrites() {
			*label = labelOf(p, described)
		}
		v.Sensitive = v.Sensitive || p.action != alert || p.Class == recogniser.Secret
		if p.action == block && (v.Action == guard.Allow || p.Class == recogniser.Secret) {
			v.Action = guard.Deny
			v.Reason = reason(m.Direction, p.Class)
		}
	}
	for _, label := range [...]string{pii, secret} {
		if label != "" {
			v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.AddLabel, Name: label})
		}
	}
	if v.Action == guard.Allow {
		v.Edits = g.edits(m, places)
		for _, r := range tokens {
			v.Edits = append(v.Edits, mcp.SetSpan(r.start, r.end, r.text))
		}
		if len(tokens) > 0 {
			v.Sensitive = true
			v.Measures = append(v.Measures, guard.Measure{Name: "restored", Value: int64(len(tokens))})
		}
	}
	return v, nil
}

// measures counts the findings by what happens to them and by type.
func measures(places []place) []guard.Measure {
	var out []guard.Measure
	for i := range places {
		name := places[i].action.String() + "." + strings.ToLower(places[i].Type)
		if at := slices.IndexFunc(out, func(m guard.Measure) bool { return m.Name == name }); at >= 0 {
			out[at].Value++
			continue
		}
		if len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._:/-") == "" { // types of the operator's own can be any text
			out = append(out, guard.Measure{Name: name, Value: 1})
		}
	}
	return out
}

// labelOf is the label of a class of which at least one finding goes on as it is,
// or else, with another one, was there: whoever reads what is left of it has read
// nothing of the kind. An address in a description is no news of anybody, either;
// a secret is one wherever it stands.
func labelOf(p *place, described bool) string {
	label := "pii"
	if p.Class == recogniser.Secret {
		label, described = "secret", false
	}
	switch {
	case p.action.rewrites():
		label += ".masked"
	case described:
		label += ".described"
	}
	return label
}

func reason(d mcp.Direction, c recogniser.Class) guard.Reason {
	switch {
	case d == mcp.ToClient && c == recogniser.Secret:
		return SecretHeld
	case d == mcp.ToClient:
		return PIIWithheld
	case c == recogniser.Secret:
		return SecretBlocked
	}
	return PIIBlocked
}

// listed is how many findings a receipt lists.
const listed = 20

// detail says what was found where, without showing it.
func (g *dlp) detail(s *scan, places []place) string {
	var b strings.Builder
	for i := range places {
		p := &places[i]
		if i == listed {
			fmt.Fprintf(&b, "; and %d more", len(places)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s %s %d bytes hmac %x: %s", p.Type, g.pointer(s, p.pointer), len(p.value), g.mac(p)[:6], p.action)
		if p.begun {
			b.WriteString(", begun in an earlier message")
		}
	}
	return b.String()
}

// pointer hides what a pointer's own names would show.
func (g *dlp) pointer(s *scan, pointer string) string {
	s.found = s.scanner.Scan(s.found[:0], recogniser.Leaf{Text: []byte(pointer)})
	for i := len(s.found) - 1; i >= 0; i-- {
		f := s.found[i]
		pointer = pointer[:f.Start] + "[" + f.Type + "]" + pointer[f.End:]
	}
	return pointer
}
