package catalog

import (
	"fmt"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/internal/inspect/definition"
	"github.com/sallyport/sallyport/internal/inspect/injection"
	"github.com/sallyport/sallyport/internal/inspect/normal"
	"github.com/sallyport/sallyport/mcp"
)

type findingKind uint8

const (
	lookalike findingKind = iota
	sameName
	namesOther
	hidden
	instructions
)

// finding is something suspicious about a definition.
type finding struct {
	kind   findingKind
	detail string
}

// orders is the score from which a text counts as orders to the model.
const orders = 0.9

// suspector looks at definitions. One goroutine at a time may use it.
type suspector struct {
	detector *injection.Detector
	visible  *normal.Normaliser
	markdown *normal.Normaliser
}

func newSuspector() (*suspector, error) {
	m, err := injection.Shipped()
	if err != nil {
		return nil, err
	}
	d, err := injection.New(m)
	if err != nil {
		return nil, err
	}
	return &suspector{d, normal.New(normal.Visible, nil), normal.New(normal.Markdown, nil)}, nil
}

// findings returns what is suspicious about a definition, each kind at most once.
// own are the tools that the server lists beside it.
func (s *suspector) findings(names *index, server string, own map[string]bool, d *definition.Definition, canonical []byte) (out []finding) {
	found := make(map[findingKind]bool)
	add := func(k findingKind, format string, args ...any) {
		if !found[k] {
			found[k] = true
			out = append(out, finding{k, fmt.Sprintf(format, args...)})
		}
	}
	if d.Kind == definition.Tool {
		for _, other := range names.like(d.Name) {
			switch {
			case other.server == server && other.name == d.Name:
			case other.name == d.Name:
				add(sameName, "server %s has a tool of this name", other.server)
			default:
				add(lookalike, "its name looks like %+q of server %s", other.name, other.server)
			}
		}
	}
	if s.visible.Text(d.Name) != d.Name {
		add(hidden, "its name has invisible characters")
	}
	_ = mcp.Walk(canonical, func(l mcp.Leaf) error { // it has just been read
		if l.Kind != mcp.LeafString && l.Kind != mcp.LeafKey {
			return nil
		}
		text := string(l.Value())
		if s.visible.Text(text) != text {
			add(hidden, "%s has invisible characters", l.Pointer())
		}
		if l.Kind == mcp.LeafKey || len(text) < 12 {
			return nil
		}
		if hides(text, s.markdown.Text(text)) {
			add(hidden, "%s has hidden markup", l.Pointer())
		}
		if score := s.detector.Score(injection.Description, []byte(text)); score >= orders {
			add(instructions, "%s reads like orders to the model (%.2f)", l.Pointer(), score)
		}
		definition.Words(text, func(word string) {
			if found[namesOther] || own[word] || !definition.Distinctive(word) {
				return
			}
			if other, ok := names.elsewhere(word, server); ok {
				add(namesOther, "%s speaks of %s of server %s", l.Pointer(), word, other)
			}
		})
		return nil
	})
	return out
}

// hides reports whether a text has a part that its normal form lacks, other than
// tags and links.
func hides(text, clean string) bool {
	lost := len(text) - len(clean)
	return lost > 0 && (strings.Contains(text, "<!--") || strings.Contains(text, "display:none") || strings.Contains(text, "<script") || strings.Contains(text, "hidden"))
}

// index knows which tools there are, by what their names look like.
type index struct {
	mu       sync.RWMutex
	bySketch map[string][]tool
	byServer map[string][]tool
}

type tool struct{ server, name string }

func newIndex() index {
	return index{bySketch: make(map[string][]tool), byServer: make(map[string][]tool)}
}

// like returns the tools whose names are taken for name.
func (x *index) like(name string) []tool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.bySketch[definition.Skeleton(name)]
}

// elsewhere returns a server that has a tool of this very name, while server has
// none.
func (x *index) elsewhere(name, server string) (other string, ok bool) {
	for _, t := range x.like(name) {
		switch {
		case t.name != name:
		case t.server == server:
			return "", false
		default:
			other = t.server
		}
	}
	return other, other != ""
}

// add makes a tool known, unless it is.
func (x *index) add(t tool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, known := range x.byServer[t.server] {
		if known == t {
			return
		}
	}
	x.byServer[t.server] = append(x.byServer[t.server], t)
	sketch := definition.Skeleton(t.name)
	x.bySketch[sketch] = append(x.bySketch[sketch], t)
}

// set makes the tools of a page those of its server.
func (x *index) set(server string, p *page) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := make(map[string]bool)
	for k := range p.records {
		if k.kind == definition.Tool {
			now[k.name] = true
		}
	}
	kept := x.byServer[server][:0]
	for _, t := range x.byServer[server] {
		if now[t.name] {
			kept = append(kept, t)
			delete(now, t.name)
			continue
		}
		x.remove(t)
	}
	for name := range now {
		t := tool{server, name}
		kept = append(kept, t)
		sketch := definition.Skeleton(name)
		x.bySketch[sketch] = append(x.bySketch[sketch], t)
	}
	x.byServer[server] = kept
}

func (x *index) remove(t tool) {
	sketch := definition.Skeleton(t.name)
	var rest []tool // a new one: like has handed out the old
	for _, other := range x.bySketch[sketch] {
		if other != t {
			rest = append(rest, other)
		}
	}
	if x.bySketch[sketch] = rest; rest == nil {
		delete(x.bySketch, sketch)
	}
}
