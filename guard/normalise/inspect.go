package normalise

import (
	"context"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/inspect/normal"
	"github.com/sallyport/sallyport/mcp"
)

// Inspect normalises the texts of a message that a model reads. What programs
// read, such as structured content, only loses what nobody sees.
func (g *normaliser) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	form := g.form(x)
	if form == nil {
		return guard.Pass(), nil
	}
	v := guard.Pass()
	pointer, part := "/result", m.Result
	switch {
	case part != nil:
	case m.Params != nil:
		pointer, part = "/params", m.Params
	case m.Error != nil:
		pointer, part = "/error", m.Error
	default:
		return v, nil
	}
	base, _, ok := mcp.Locate(m.Raw, pointer)
	if !ok {
		return v, fmt.Errorf("normalise: inspect: no %s in the message", pointer)
	}
	var quoted []byte
	types := mediaTypes{part: part}
	err := mcp.Walk(part, func(l mcp.Leaf) error {
		if l.Kind != mcp.LeafString || !l.Escaped && normal.Harmless(l.Lexeme()) {
			return nil
		}
		if x.Over(l.End - l.Start) {
			return guard.ErrOverBudget
		}
		n := g.visible
		if at := l.Pointer(); reads(at) {
			n = g.formOf(form, &types, at)
		}
		value := string(l.Value())
		clean := n.Content(value)
		if clean != value {
			quoted = mcp.AppendQuote(nil, clean)
			v.Edits = append(v.Edits, mcp.SetSpan(base+l.Start, base+l.End, quoted))
		}
		return nil
	})
	if err != nil {
		return guard.Verdict{}, fmt.Errorf("normalise: inspect: %w", err)
	}
	if n := len(v.Edits); n > 0 {
		v.Detail = fmt.Sprintf("%d texts had hidden or forbidden parts", n)
		v.Obligations = []guard.Obligation{{Kind: guard.AddLabel, Name: "normalised"}}
	}
	return v, nil
}

// reads reports whether the string at a pointer is prose for a model: the text
// of a content block, message or resource, or what a notification says.
func reads(pointer string) bool {
	if strings.HasPrefix(pointer, "/structuredContent/") {
		return false
	}
	switch pointer[strings.LastIndexByte(pointer, '/')+1:] {
	case "text", "message", "systemPrompt", "statusMessage":
		return true
	}
	return pointer == "/data" || strings.HasPrefix(pointer, "/data/") // of notifications/message
}

// formOf is the form for the text at a pointer: what is code or data by its
// media type is no markup. Only resources have one: in a content block a server
// may write the member, and nobody goes by it.
func (g *normaliser) formOf(form *normal.Normaliser, types *mediaTypes, pointer string) *normal.Normaliser {
	owner := pointer[:strings.LastIndexByte(pointer, '/')]
	if !isResource(owner) {
		return form
	}
	media, _, _ := strings.Cut(strings.ToLower(types.of(owner)), ";")
	switch strings.TrimSpace(media) {
	case "", "text/plain", "text/markdown", "text/x-markdown", "text/html", "application/xhtml+xml", "application/json", "text/json":
		return form
	}
	return g.visible
}

// isResource reports whether the contents of a resource stand at a pointer: an
// element of contents, or the member of a content block.
func isResource(pointer string) bool {
	i := strings.LastIndexByte(pointer, '/')
	return i >= 0 && (pointer[i:] == "/resource" || strings.HasSuffix(pointer[:i], "/contents"))
}

// mediaTypes finds the media types of a message in one pass, since looking for
// each from the beginning takes the square of their number.
type mediaTypes struct {
	part   []byte
	known  map[string]string // by the pointer of the owner
	looked bool
}

func (t *mediaTypes) of(owner string) string {
	if !t.looked {
		t.looked, t.known = true, make(map[string]string)
		_ = mcp.Walk(t.part, func(l mcp.Leaf) error { // it was walked before, and is JSON
			if l.Kind != mcp.LeafString {
				return nil
			}
			if at, ok := strings.CutSuffix(l.Pointer(), "/mimeType"); ok {
				t.known[at] = string(l.Value())
			}
			return nil
		})
	}
	return t.known[owner]
}
