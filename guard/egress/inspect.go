package egress

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/inspect/destination"
	"github.com/sallyport/sallyport/internal/inspect/wire"
	"github.com/sallyport/sallyport/mcp"
)

// policy is the allow-list as it is for this call.
func (g *egress) policy(x *guard.Exchange, m *mcp.Message) *destination.Policy {
	p := &destination.Policy{Open: g.open}
	for i := range g.policies {
		s := &g.policies[i]
		if among(s.servers, x.Server.Name) && among(s.tools, m.Name) && among(s.tenants, x.Principal.Tenant) {
			p.Entries = append(p.Entries, s.Entry)
		}
	}
	return p
}

func among(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }

// Inspect judges every destination in the message's params, or in a client's
// result or error. Names that are not at hand make the verdict pending.
func (g *egress) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	if m.Direction == mcp.ToClient {
		return g.inspectLinks(x, m)
	}
	if slices.Contains(g.Ignore, Tool{x.Server.Name, m.Name}) && m.Method == "tools/call" {
		return guard.Pass(), nil
	}
	policy := g.policy(x, m)
	var names []lookup
	for _, part := range [...]struct {
		pointer string
		raw     json.RawMessage
	}{{"/params", m.Params}, {"/result", m.Result}, {"/error", m.Error}} {
		if part.raw == nil {
			continue
		}
		var r wire.Reader
		var why error
		err := r.EachText(part.raw, func(t *wire.Text) {
			if why != nil || t.Kind == mcp.LeafNumber || skipped(m, t, part.pointer) || x.Over(len(t.Value)) {
				return
			}
			names, why = judge(policy, t, names)
		})
		if err != nil {
			return guard.Verdict{}, fmt.Errorf("egress: inspect: %w", err)
		}
		if why != nil {
			return guard.Refuse(Denied, why.Error()), nil
		}
	}
	if x.Over(0) {
		return guard.Verdict{}, fmt.Errorf("egress: inspect: %w", guard.ErrOverBudget)
	}
	if len(names) == 0 || !g.Resolve || g.resolver == nil {
		return guard.Pass(), nil
	}
	return g.addresses(names), nil
}

// skipped are the members by which the protocol names things, not places. What an
// argument is called says nothing.
func skipped(m *mcp.Message, t *wire.Text, part string) bool {
	pointer := t.Pointer()
	if mcp.MayBeHandle(t.Key) && m.Handle(part+pointer) != mcp.NoHandle {
		return true
	}
	return strings.HasPrefix(pointer, "/_meta/") || pointer == "/name" || pointer == "/ref/name"
}

// lookup is an allowed name whose addresses are to be judged.
type lookup struct {
	host  string
	entry *destination.Entry
}

func judge(policy *destination.Policy, t *wire.Text, names []lookup) ([]lookup, error) {
	pointer := t.Pointer()
	for _, d := range destination.Find(t.Value, t.Key) {
		if pointer == "/uri" && !travels(d) {
			continue // a server's own name for a resource
		}
		if d.Err != nil {
			if policy.Open {
				continue
			}
			return nil, fmt.Errorf("%s: %w", pointer, d.Err)
		}
		e, err := policy.Check(d.Destination)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", pointer, err)
		}
		if e != nil && !d.IP.IsValid() && !slices.Contains(names, lookup{d.Host, e}) {
			names = append(names, lookup{d.Host, e})
		}
	}
	return names, nil
}

// travels reports whether a resource URI leads to another machine: servers call
// their resources by schemes of their own.
func travels(m destination.Mention) bool {
	switch m.Scheme {
	case "http", "https", "ws", "wss", "ftp", "":
		return true
	}
	return false
}

// addresses judges what the names stand for, at once if that is known.
func (g *egress) addresses(names []lookup) guard.Verdict {
	var open []lookup
	for _, n := range names {
		known, ok := g.resolver.Known(n.host)
		if !ok {
			open = append(open, n)
			continue
		}
		if why := n.entry.Forbids(n.host, known); why != "" {
			return guard.Refuse(Denied, why)
		}
	}
	if len(open) == 0 {
		return guard.Pass()
	}
	return guard.Verdict{Pending: func(ctx context.Context) (guard.Verdict, error) {
		for _, n := range open {
			found, err := g.resolver.Lookup(ctx, n.host)
			if ctx.Err() != nil {
				return guard.Verdict{}, fmt.Errorf("egress: lookup: %w", ctx.Err())
			}
			if err != nil {
				return guard.Refuse(Denied, n.host+" does not resolve"), nil
			}
			if why := n.entry.Forbids(n.host, found); why != "" {
				return guard.Refuse(Denied, why), nil
			}
		}
		return guard.Pass(), nil
	}}
}
