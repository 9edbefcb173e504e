package dlp

import (
	"bytes"
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/inspect/recogniser"
	"github.com/sallyport/sallyport/mcp"
)

// seen are header lines in which nothing was found: most are the same with every
// call. There are few places, a line that finds its own taken takes it over, and
// nobody waits for anybody.
type seen struct {
	seed  maphash.Seed
	lines [2048]atomic.Pointer[headerLine]
}

// headerLine is a line of somebody's. Tenants share none, nor does a tenant's line
// take the place of another's that is the same: how long an answer takes would tell.
type headerLine struct{ tenant, name, value string }

// longestSeen is the length of the longest line that is remembered, in bytes.
const longestSeen = 320

// owner is a tenant's part of where its lines are.
func (s *seen) owner(tenant string) uint64 {
	return bits.RotateLeft64(maphash.String(s.seed, tenant), 23)
}

func (s *seen) at(owner uint64, name string, value []byte) *atomic.Pointer[headerLine] {
	return &s.lines[(owner^bits.RotateLeft64(maphash.String(s.seed, name), 11)^maphash.Bytes(s.seed, value))%uint64(len(s.lines))]
}

func (l *headerLine) is(tenant, name string, value []byte) bool {
	return l != nil && l.value == string(value) && l.name == name && l.tenant == tenant
}

// headers scans the lines of the client that its server gets to read. What stands
// there can be left out by no edit, so that whatever would be replaced is blocked.
func (g *dlp) headers(places []place, s *scan, x *guard.Exchange, m *mcp.Message) []place {
	if m.Direction != mcp.ToServer || x.Headers == nil {
		return places
	}
	s.lines = lines{g: g, x: x, m: m, places: places, owner: g.lines.owner(x.Principal.Tenant)}
	x.Headers.Each(s.eachLine)
	places = s.lines.places
	s.lines = lines{}
	return places
}

// lines is what of a call of headers is known to line.
type lines struct {
	g      *dlp
	x      *guard.Exchange
	m      *mcp.Message
	places []place
	owner  uint64
}

// line scans one header.
func (s *scan) line(name string, value []byte) {
	g, x, m := s.lines.g, s.lines.x, s.lines.m
	handle, named := false, false
	switch name {
	case mcp.HeaderSession:
		s.session = append(s.session[:0], x.Session...)
		value, handle = s.session, true // as the server knows it
	case "last-event-id":
		handle = true
	case mcp.HeaderMethod:
		if string(value) == m.Method { // which the body says, too
			return
		}
	case mcp.HeaderName:
		if string(value) == m.Name {
			return
		}
	case ":path":
		if server, ok := bytes.CutPrefix(value, []byte("/mcp/")); ok && string(server) == x.Server.Name {
			return
		}
	case "traceparent":
		if len(value) == guard.TraceparentLen { // in what later versions add there can be anything
			if _, _, _, ok := guard.Traceparent(string(value)); ok {
				return
			}
		}
	default:
		named = len(name) >= least && (strings.HasPrefix(name, "mcp-") || strings.HasPrefix(name, "x-envoy-")) // of which a client makes up any
	}
	if !named && (len(value) < least || guard.IsUUID(value)) {
		return
	}
	at := g.lines.at(s.lines.owner, name, value)
	if at.Load().is(x.Principal.Tenant, name, value) || x.Over(len(name)+len(value)) {
		return
	}
	where, clean := "header "+name, true
	if named {
		text := s.name(name)
		if len(s.found) > 0 {
			where, clean = "header [name]", false
		}
		s.act(where, text)
	}
	text := value
	if strings.HasPrefix(name, "mcp-") {
		if plain, err := mcp.HeaderParam(string(value)); err == nil {
			text = []byte(plain)
		}
	}
	if handle {
		s.found = s.coded(text, false)
	} else {
		s.found = s.scanner.Scan(s.found[:0], recogniser.Leaf{Text: text})
	}
	if name == "user-agent" {
		s.found = slices.DeleteFunc(s.found, func(f recogniser.Finding) bool { // Chrome's versions look so
			return f.Type == "IP_ADDRESS" && f.Start > 0 && text[f.Start-1] == '/'
		})
	}
	clean = clean && len(s.found) == 0
	s.act(where, text)
	if clean && len(x.Principal.Tenant)+len(name)+len(value) <= longestSeen {
		at.Store(&headerLine{strings.Clone(x.Principal.Tenant), strings.Clone(name), string(value)})
	}
}

// name scans what a client calls a header, and returns the text that it found
// something in: words are joined by dashes, as the digits of a number are.
func (s *scan) name(name string) []byte {
	text := []byte(strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(name, "x-envoy-"), "mcp-"), "param-"))
	if s.found = s.scanner.Scan(s.found[:0], recogniser.Leaf{Text: text}); len(s.found) == 0 {
		text = bytes.ReplaceAll(text, []byte("-"), []byte(" "))
		s.found = s.scanner.Scan(s.found, recogniser.Leaf{Text: text})
	}
	return text
}

// act appends what is to be done about what was found in a line.
func (s *scan) act(where string, text []byte) {
	for i := range s.found {
		f := &s.found[i]
		if a := s.lines.g.kept(s.lines.x, s.lines.m, f); a != allow {
			s.lines.places = append(s.lines.places, place{Finding: *f, action: a, kind: mcp.LeafString, value: text[f.Start:f.End], pointer: where})
		}
	}
}
