package dlp

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/inspect/recogniser"
	"github.com/sallyport/sallyport/mcp"
)

// seen are header values in which nothing was found: most are the same with every
// call. There are few places, a value that finds its own taken takes it over, and
// nobody waits for anybody.
type seen struct {
	seed   maphash.Seed
	values [512]atomic.Pointer[headerLine]
}

// headerLine is a line of somebody's. Tenants share none.
type headerLine struct{ tenant, name, value string }

// longestSeen is the length of the longest value that is remembered, in bytes.
const longestSeen = 256

func (s *seen) at(l headerLine) *atomic.Pointer[headerLine] {
	return &s.values[maphash.String(s.seed, l.value)%uint64(len(s.values))]
}

func (s *seen) clean(l headerLine) bool {
	have := s.at(l).Load()
	return have != nil && *have == l
}

func (s *seen) keep(l headerLine) {
	if len(l.value) <= longestSeen {
		s.at(l).Store(&headerLine{strings.Clone(l.tenant), strings.Clone(l.name), strings.Clone(l.value)})
	}
}

// headers scans the lines of the client that its server gets to read. What stands
// there can be left out by no edit, so that whatever would be replaced is blocked.
func (g *dlp) headers(places []place, s *scan, x *guard.Exchange, m *mcp.Message) []place {
	if m.Direction != mcp.ToServer || x.Headers == nil {
		return places
	}
	s.lines.g, s.lines.x, s.lines.m, s.lines.places = g, x, m, places
	x.Headers.Each(s.eachLine)
	places = s.lines.places
	s.lines.x, s.lines.m, s.lines.places = nil, nil, nil
	return places
}

// lines is what of a call of headers is known to line.
type lines struct {
	g      *dlp
	x      *guard.Exchange
	m      *mcp.Message
	places []place
}

// line scans one header.
func (s *scan) line(name, value string) {
	g, x, m := s.lines.g, s.lines.x, s.lines.m
	handle := false
	switch name {
	case mcp.HeaderSession:
		value, handle = x.Session, true // as the server knows it
	case "last-event-id":
		handle = true
	case mcp.HeaderMethod:
		if value == m.Method { // which the body says, too
			return
		}
	case mcp.HeaderName:
		if value == m.Name {
			return
		}
	case ":path":
		if server, ok := strings.CutPrefix(value, "/mcp/"); ok && server == x.Server.Name {
			return
		}
	case "traceparent":
		if _, _, _, ok := guard.Traceparent(value); ok {
			return
		}
	}
	line := headerLine{x.Principal.Tenant, name, value}
	if len(value) < least || isUUID(value) || g.lines.clean(line) || x.Over(len(value)) {
		return
	}
	text := []byte(value)
	if strings.HasPrefix(name, "mcp-") {
		if plain, err := mcp.HeaderParam(value); err == nil {
			text = []byte(plain)
		}
	}
	if handle {
		s.found = s.coded(text, false)
	} else {
		s.found = s.scanner.Scan(s.found[:0], recogniser.Leaf{Text: text})
	}
	if len(s.found) == 0 {
		g.lines.keep(line)
		return
	}
	for i := range s.found {
		f := &s.found[i]
		a := g.decide(x, m, f)
		if a.rewrites() {
			a = block
		}
		if a != allow {
			s.lines.places = append(s.lines.places, place{Finding: *f, action: a, kind: mcp.LeafString, value: text[f.Start:f.End], pointer: "header " + name})
		}
	}
}
