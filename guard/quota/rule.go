package quota

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/mcp"
)

// rule is a Rule, ready for use.
type rule struct {
	limit                   Limit
	id                      Key // of its counters: other rules, dimensions or windows have others
	by                      []dimension
	byPrincipal             bool
	servers, tools, methods []string
	streams                 bool

	lends  bool
	own    bool     // it is about the caller alone
	parted bool     // and there is a counter for each server, tool or method
	policy string   // what headers say of it
	items  []string // likewise of each window, up to what is left
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
	out.measure(r, lease)
	if r.aboutTools() {
		out.methods = []string{"tools/call"}
	}
	for _, name := range r.By {
		out.by = append(out.by, dimensions[name])
	}
	slices.Sort(out.by)
	out.byPrincipal = slices.Contains(out.by, byPrincipal)
	// The counts are no part of it: a limit that is raised forgets nothing.
	id := guard.AppendText([]byte{byte(out.limit.Kind)}, r.Name)
	for _, d := range out.by {
		id = append(id, byte(d))
	}
	for _, w := range out.limit.Windows {
		id = binary.BigEndian.AppendUint64(append(id, 0xff), uint64(w.Per))
	}
	out.id = digest(id)
	for _, w := range out.limit.Windows {
		out.lends = out.lends || w.Lend > 0
	}
	out.describe()
	return out
}

// measure sets what is counted, and how much of it there may be.
func (r *rule) measure(from Rule, lease LeaseConfig) {
	l := &r.limit
	l.Lease = Lease{Max: uint32(lease.Max), Time: lease.Time}
	switch {
	case from.InFlight > 0:
		l.Kind, l.Windows = InFlight, []Window{{Count: uint32(from.InFlight)}}
		return
	case from.Streams > 0:
		l.Kind, l.Windows = InFlight, []Window{{Count: uint32(from.Streams)}}
		r.streams, r.methods = true, []string{mcp.MethodListen, "subscriptions/listen"}
		return
	case len(from.Bytes) > 0:
		l.Kind = Bytes
		for _, f := range from.Bytes {
			l.Windows = append(l.Windows, Window{Count: uint32(max(1, f.Size/Unit)), Per: f.Per})
		}
		l.Lease.Max *= 64 // 16 KiB for a call
		if lease.Max == 1 {
			l.Lease.Max = 1
		}
	}
	for _, rate := range from.Limit {
		l.Windows = append(l.Windows, Window{Count: uint32(rate.Count), Per: rate.Per, Lend: uint32(rate.Count * uint64(from.Lend) / 100)})
	}
	slices.SortFunc(l.Windows, func(a, b Window) int { return int(a.Per/time.Second) - int(b.Per/time.Second) })
	l.Lease.Time = min(l.Lease.Time, l.Windows[0].Per/10)
}

// counts reports whether the rule is about a message.
func (r *rule) counts(x *guard.Exchange, m *mcp.Message) bool {
	if m.Method == "" {
		return false // a response to a server
	}
	switch {
	case r.methods != nil:
		if !notation.MatchAny(r.methods, m.Method) {
			return false
		}
	case r.limit.Kind == InFlight && m.Method == "subscriptions/listen":
		return false // it is under way for hours
	case r.limit.Kind == Bytes && m.Method == mcp.MethodListen:
	default:
		// What opens a session and keeps it alive is needed by clients of some
		// revisions only; those would have less left for their calls.
		if m.Kind != mcp.Request || m.Method == "initialize" || m.Method == "ping" || m.Method == "server/discover" {
			return false
		}
	}
	return (r.servers == nil || notation.MatchAny(r.servers, x.Server.Name)) && (r.tools == nil || notation.MatchAny(r.tools, m.Name))
}

// text appends what the message's counter of this rule is told by: the rule, the
// caller if it is by principal, and the rest. of is the length of the caller.
func (r *rule) text(b []byte, x *guard.Exchange, m *mcp.Message) (text []byte, of int) {
	b = append(b, r.id[:]...)
	p := &x.Principal
	for _, d := range r.by {
		if d == byPrincipal { // it comes first
			if b = x.AppendCaller(b); len(b) == len(r.id) {
				b = append(b, 'a') // the anonymous caller
			}
			of = len(b) - len(r.id)
			continue
		}
		b = append(b, byte(d))
		switch d {
		case byAgent:
			b = guard.AppendText(guard.AppendText(b, p.Issuer), p.Agent)
		case byClient:
			b = guard.AppendText(guard.AppendText(b, p.Issuer), p.Client)
		case byTenant:
			b = guard.AppendText(b, p.Tenant)
		case byServer:
			b = guard.AppendText(b, x.Server.Name)
		case byTool: // another server's tool of that name is another tool
			b = guard.AppendText(guard.AppendText(b, x.Server.Name), m.Name)
		case byMethod:
			b = guard.AppendText(b, m.Method)
		}
	}
	return b, of
}

func digest(b []byte) Key {
	sum := sha256.Sum256(b)
	return Key(sum[:16])
}
