package quota

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// rule is a Rule, ready for use.
type rule struct {
	limit                   Limit
	id                      Key // of its counters: other rules, dimensions or windows have others
	by                      []dimension
	byPrincipal             bool
	servers, tools, methods []string
}

type dimension uint8

const (
	byPrincipal dimension = iota + 1
	byAgent
	byClient
	byTenant
	byServer
	byTool
	byMethod
)

var dimensions = map[string]dimension{
	"principal": byPrincipal, "agent": byAgent, "client": byClient, "tenant": byTenant,
	"server": byServer, "tool": byTool, "method": byMethod,
}

func compile(r Rule, lease LeaseConfig) rule {
	out := rule{servers: r.Servers, tools: r.Tools, methods: r.Methods}
	out.limit = Limit{Name: r.Name, Exact: r.Exact || lease.Max == 1}
	switch r.OnError {
	case "allow":
		out.limit.OnError = OnErrorAllow
	case "local":
		out.limit.OnError = OnErrorLocal
	}
	for _, rate := range r.Limit {
		out.limit.Windows = append(out.limit.Windows, Window{uint32(rate.Count), rate.Per})
	}
	slices.SortFunc(out.limit.Windows, func(a, b Window) int { return int(a.Per/time.Second) - int(b.Per/time.Second) })
	out.limit.Lease = Lease{Max: uint32(lease.Max), Time: min(lease.Time, out.limit.Windows[0].Per/10)}
	if r.aboutTools() {
		out.methods = []string{"tools/call"}
	}
	for _, name := range r.By {
		out.by = append(out.by, dimensions[name])
	}
	slices.Sort(out.by)
	out.byPrincipal = slices.Contains(out.by, byPrincipal)
	// The counts are no part of it: a limit that is raised forgets nothing.
	id := appendText(nil, r.Name)
	for _, d := range out.by {
		id = append(id, byte(d))
	}
	for _, w := range out.limit.Windows {
		id = binary.BigEndian.AppendUint64(append(id, 0xff), uint64(w.Per))
	}
	out.id = digest(id)
	return out
}

// counts reports whether the rule is about a message.
func (r *rule) counts(x *guard.Exchange, m *mcp.Message) bool {
	if m.Method == "" {
		return false // a response to a server
	}
	if r.methods == nil {
		// What opens a session and keeps it alive is needed by clients of some
		// revisions only; those would have less left for their calls.
		if m.Kind != mcp.Request || m.Method == "initialize" || m.Method == "ping" || m.Method == "server/discover" {
			return false
		}
	} else if !anyMatch(r.methods, m.Method) {
		return false
	}
	return (r.servers == nil || anyMatch(r.servers, x.Server.Name)) && (r.tools == nil || anyMatch(r.tools, m.Name))
}

// charge returns the claim of a message on the rule's counter. who is the digest
// of the caller.
func (r *rule) charge(x *guard.Exchange, m *mcp.Message, who *Key) Charge {
	var room [512]byte
	b := append(room[:0], r.id[:]...)
	p := &x.Principal
	for _, d := range r.by {
		b = append(b, byte(d))
		switch d {
		case byPrincipal:
			b = append(b, who[:]...)
		case byAgent:
			b = appendText(appendText(b, p.Issuer), p.Agent)
		case byClient:
			b = appendText(appendText(b, p.Issuer), p.Client)
		case byTenant:
			b = appendText(b, p.Tenant)
		case byServer:
			b = appendText(b, x.Server.Name)
		case byTool: // another server's tool of that name is another tool
			b = appendText(appendText(b, x.Server.Name), m.Name)
		case byMethod:
			b = appendText(b, m.Method)
		}
	}
	c := Charge{Limit: &r.limit, Key: digest(b)}
	if r.byPrincipal {
		c.Group = binary.BigEndian.Uint64(who[:])
	} else {
		c.Group = binary.BigEndian.Uint64(c.Key[:])
	}
	return c
}

// caller is the digest of who is calling, as far as it was verified: a subject,
// else a client, else the certificate of the connection. Everybody else is one
// caller together: the anonymous one.
func caller(x *guard.Exchange) Key {
	var room [512]byte
	p, b := &x.Principal, room[:0]
	switch {
	case p.Subject != "":
		b = appendText(appendText(append(b, 's'), p.Issuer), p.Subject)
	case p.Client != "":
		b = appendText(appendText(append(b, 'c'), p.Issuer), p.Client)
	case p.Peer != "":
		b = appendText(append(b, 'p'), p.Peer)
	case x.Peer.Verified && x.Peer.Name != "":
		b = appendText(append(b, 'p'), x.Peer.Name)
	case x.Peer.Verified && x.Peer.Digest != "":
		b = appendText(append(b, 'd'), x.Peer.Digest)
	}
	return digest(b)
}

// appendText appends s so that no two lists of texts look alike.
func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

func digest(b []byte) Key {
	sum := sha256.Sum256(b)
	return Key(sum[:16])
}

func anyMatch(patterns []string, s string) bool {
	for _, p := range patterns {
		if match(p, s) {
			return true
		}
	}
	return false
}

// match reports whether s is p, in which * stands for any text.
func match(p, s string) bool {
	head, rest, star := strings.Cut(p, "*")
	if !star {
		return p == s
	}
	s, ok := strings.CutPrefix(s, head)
	if !ok {
		return false
	}
	for {
		part, more, another := strings.Cut(rest, "*")
		if !another {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], more
	}
}
