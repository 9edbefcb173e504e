// Package surge gives a server no more calls at once than it can bear, and
// shares those out.
package surge

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/mcp"
)

// Reasons of this guard.
const (
	ServerStrained guard.Reason = "server_strained"
	ShareUsedUp    guard.Reason = "share_used_up"
)

// labelWaited marks a call that had to wait for its turn.
const labelWaited = "surge.waited"

// Port is what the guard needs from outside: what opens and closes. Without it
// the guard is left out.
type Port func(Config) (Valve, error)

// Spec presents the guard to the chain.
func Spec(p Port) guard.Spec {
	return guard.Define("surge", "Gives a server no more calls at once than it can bear, and shares those out.", Default(), func(c Config) (guard.Guard, error) {
		if err := c.validate(); err != nil || p == nil {
			return nil, err
		}
		v, err := p(c)
		if err != nil {
			return nil, err
		}
		return compile(c, v), nil
	}, guard.Want{Method: "*", Direction: mcp.ToServer}, guard.Want{Method: "*", Direction: mcp.ToClient}).WithReasons(
		guard.ReasonInfo{Reason: ServerStrained, Status: 503, Code: guard.CodeUpstream, Text: "The MCP server has as much to do as it can bear. Wait for the seconds that Retry-After and error.data.hint say, then try again.",
			When: "`gateway.rate_limiting.adaptive_surge` is on, the server has no room for another call, and as many wait for it as may, or this one has waited for `guards.surge.queue.time`."},
		guard.ReasonInfo{Reason: ShareUsedUp, Status: 429, Code: guard.CodeQuota, Text: "The MCP server is busy, and your calls take the share of it that is yours. Wait for the seconds that Retry-After and error.data.hint say, then try again.",
			When: "As `server_strained`, for a tenant that has its fair share of the server or more."},
	)
}

type surge struct {
	valve   Valve
	classes []Class
	rest    int // the class of calls that fit no other
	weights map[string]int
}

func compile(c Config, v Valve) *surge {
	s := &surge{valve: v, classes: c.Classes, weights: make(map[string]int, len(c.Tenants))}
	for i := range c.Classes {
		if !c.Classes[i].conditional() {
			s.rest = i
		}
	}
	for _, t := range c.Tenants {
		s.weights[t.Name] = t.Weight
	}
	return s
}

// entry is the call of an exchange that is with the valve.
var entry = guard.NewSlot[*Call]()

// Inspect lets a request to the server wait for its turn, and notes the first
// sign that comes back.
func (s *surge) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	if m.Direction == mcp.ToClient {
		if c, ok := entry.Get(x); ok {
			s.valve.Replied(c)
			if m.Kind == mcp.Response { // of an error, Settle tells whose it is
				s.valve.Leave(c, Done)
			}
		}
		return guard.Pass(), nil
	}
	// Streams that stay open for hours are no work, and pings find out who lives.
	if m.Kind != mcp.Request || m.Method == "ping" || m.Method == "subscriptions/listen" {
		return guard.Pass(), nil
	}
	c := s.call(x, m)
	a, known := s.valve.Enter(c)
	if known && a.Outcome != Admitted {
		return refuse(a), nil
	}
	entry.Set(x, c)
	if known {
		return guard.Pass(), nil
	}
	return guard.Verdict{Pending: func(ctx context.Context) (guard.Verdict, error) {
		a, err := s.valve.Wait(ctx, c)
		if err != nil {
			return guard.Verdict{}, fmt.Errorf("surge: wait: %w", err)
		}
		if a.Outcome != Admitted {
			return refuse(a), nil
		}
		v := guard.Pass()
		v.Obligations = []guard.Obligation{{Kind: guard.AddLabel, Name: labelWaited}}
		return v, nil
	}}, nil
}

// Settle makes room for the next call.
func (s *surge) Settle(_ context.Context, x *guard.Exchange, o guard.Outcome) {
	c, ok := entry.Get(x)
	if !ok {
		return
	}
	switch {
	case !o.Reached:
		s.valve.Leave(c, Unsent)
	case o.Status >= 500 || o.Status == 429 || o.Ending == guard.TimedOut:
		s.valve.Leave(c, Failed)
	case o.Ending == guard.Reset || o.Ending == guard.Broken:
		s.valve.Leave(c, Abandoned)
	default:
		s.valve.Leave(c, Done)
	}
}

// call is what the valve has to know of a request.
func (s *surge) call(x *guard.Exchange, m *mcp.Message) *Call {
	p := &x.Principal
	c := &Call{Server: x.Server.Name, Work: m.Method, Class: s.class(x, m), Tenant: p.Tenant, Weight: 1}
	if m.Name != "" && m.Method == "tools/call" {
		c.Work = m.Method + " " + m.Name
	}
	if w := s.weights[p.Tenant]; w > 0 {
		c.Weight = w
	}
	switch {
	case p.Subject != "":
		c.Caller = "s " + p.Issuer + " " + p.Subject
	case p.Client != "":
		c.Caller = "c " + p.Issuer + " " + p.Client
	case p.Peer != "":
		c.Caller = "p " + p.Peer
	case x.Peer.Verified:
		c.Caller = "p " + x.Peer.Name + " " + x.Peer.Digest
	}
	return c
}

// class returns the first class that a call fits. A call without a class of its
// own is of the one without condition, wherever that stands.
func (s *surge) class(x *guard.Exchange, m *mcp.Message) int {
	for i := range s.classes {
		if k := &s.classes[i]; k.conditional() && k.fits(x, m) {
			return i
		}
	}
	return s.rest
}

func (c *Class) fits(x *guard.Exchange, m *mcp.Message) bool {
	labelled := func(l string) bool { return slices.Contains(x.Labels(), l) }
	return (c.Labels == nil || slices.ContainsFunc(c.Labels, labelled)) &&
		(c.Tools == nil || m.Method == "tools/call" && notation.MatchAny(c.Tools, m.Name)) &&
		(c.Agents == nil || slices.Contains(c.Agents, x.Principal.Agent)) &&
		(c.Clients == nil || slices.Contains(c.Clients, x.Principal.Client))
}

func refuse(a Answer) guard.Verdict {
	reason, about := ServerStrained, "as many calls wait for the server as may, or this one waited too long"
	if a.Outcome == Excess {
		reason, about = ShareUsedUp, "the tenant uses its share of the server"
	}
	wait := strconv.FormatInt(max(1, int64((a.After+time.Second-1)/time.Second)), 10)
	v := guard.Refuse(reason, about+"; its limit is "+strconv.Itoa(a.Limit)+" calls at once")
	v.Hint = "The server is busy. Try again in " + wait + " s."
	v.Obligations = []guard.Obligation{{Kind: guard.RetryAfter, Value: wait}}
	return v
}
