package budget

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// View lets others see what the guard of a configuration knows.
type View struct{ guard atomic.Pointer[budgets] }

// Of returns the view of a guard, or nil if it is another one than this package's.
func Of(g guard.Guard) *View {
	b, ok := g.(*budgets)
	if !ok {
		return nil
	}
	v := new(View)
	v.guard.Store(b)
	return v
}

// Remaining is what this process knows to be left of the budgets of a call, as
// policies see it (input.budget), or nil where it knows nothing. It asks nobody.
// m is nil where there is no message yet.
func (v *View) Remaining(x *guard.Exchange, m *mcp.Message) json.RawMessage {
	g := v.guard.Load()
	if g == nil || len(g.accounts) == 0 {
		return nil
	}
	var none mcp.Message
	if m == nil {
		m = &none
	}
	var c caller
	g.identify(x, m, &c)
	now := g.now()
	b := []byte(`{"remaining":{`)
	known, low := 0, ""
	for _, a := range g.accounts {
		if m.Name != "" && !a.concerns(x.Server.Name, m.Name) {
			continue
		}
		var tightest *State
		for _, claim := range a.claims(nil, &c, Amounts{}, now) {
			s, ok := g.ledger.Look(claim.Limit, claim.Key)
			if ok && (tightest == nil || s.share(claim.Limit) < tightest.share(claim.Limit)) {
				tightest = &s
			}
		}
		if tightest == nil {
			continue
		}
		if known++; known > 1 {
			b = append(b, ',')
		}
		b = mcp.AppendQuote(b, a.limit.Name)
		b = tightest.appendJSON(append(b, ':'), &a.limit)
		if tightest.Low {
			low += "," + strconv.Quote(a.limit.Name)
		}
	}
	if known == 0 {
		return nil
	}
	return append(append(append(b, `},"low":[`...), strings.TrimPrefix(low, ",")...), `]}`...)
}

// Cost is what a request may cost, or what the call cost that a reply answers, in
// millionths of a dollar. It reports false where the guard has no part in the call.
func (v *View) Cost(x *guard.Exchange, m *mcp.Message) (int64, bool) {
	g := v.guard.Load()
	if g == nil {
		return 0, false
	}
	if m.Direction == mcp.ToServer {
		cost, _ := g.priceOf(x, m.Name).reserve(len(m.Raw))
		return cost, true
	}
	u, _ := reserved.Get(x)
	if u == nil {
		return 0, false
	}
	return g.real(u, int64(len(m.Raw))), true
}

// share is how much of the scarcest measure is left, in thousandths.
func (s *State) share(l *Limit) int64 {
	out := int64(1000)
	for m := range Measures {
		if left, bounded := s.Left(m); bounded {
			out = min(out, scale(left, 1000, max(1, s.Max[m])))
		}
	}
	if l.Time > 0 {
		out = min(out, max(0, int64((l.Time-s.Time)*1000/l.Time)))
	}
	return out
}

// appendJSON writes what is left of each measure that is bounded, money in
// millionths of a dollar and time in seconds.
func (s *State) appendJSON(b []byte, l *Limit) []byte {
	b = append(b, `{"thousandths":`...)
	b = strconv.AppendInt(b, s.share(l), 10)
	for m := range Measures {
		if left, bounded := s.Left(m); bounded {
			b = append(append(append(b, `,"`...), m.String()...), `":`...)
			b = strconv.AppendInt(b, left, 10)
		}
	}
	if l.Time > 0 {
		b = append(b, `,"time":`...)
		b = strconv.AppendInt(b, max(0, int64((l.Time-s.Time).Seconds())), 10)
	}
	return append(b, '}')
}

// Who names an account in the words of a principal.
type Who struct {
	Subject string `json:"subject,omitempty"`
	Issuer  string `json:"issuer,omitempty"`
	Agent   string `json:"agent,omitempty"`
	Client  string `json:"client,omitempty"`
	Tenant  string `json:"tenant,omitempty"`
	Project string `json:"project,omitempty"`
	Session string `json:"session,omitempty"` // of a client that has them, with server
	Task    string `json:"task,omitempty"`    // of the token
	Named   string `json:"named,omitempty"`   // task that the client named
	Server  string `json:"server,omitempty"`
	Tool    string `json:"tool,omitempty"`
}

// names returns the names of the budgets.
func (v *View) names() (names []string) {
	if g := v.guard.Load(); g != nil {
		for _, a := range g.accounts {
			names = append(names, a.limit.Name)
		}
	}
	return names
}

// Accounts returns the claims on all accounts of a budget that a call of who is
// charged to, and what keeps them.
func (v *View) Accounts(name string, who *Who) ([]Claim, Books, error) {
	g := v.guard.Load()
	if g == nil {
		return nil, nil, errors.New("there are no budgets")
	}
	i := slices.IndexFunc(g.accounts, func(a *account) bool { return a.limit.Name == name })
	if i < 0 {
		return nil, nil, fmt.Errorf("there is no budget %q; there are: %s", name, strings.Join(v.names(), ", "))
	}
	x := &guard.Exchange{Server: guard.Server{Name: who.Server}, Session: who.Session, Principal: guard.Principal{
		Subject: who.Subject, Issuer: who.Issuer, Agent: who.Agent, Client: who.Client, Tenant: who.Tenant, Task: who.Task,
	}}
	var c caller
	g.identify(x, &mcp.Message{Name: who.Tool}, &c)
	if who.Named != "" {
		c.name(who.Named)
	}
	if who.Project != "" {
		c.project, c.of = who.Project, ""
		named := func(p Project) bool { return p.Name == who.Project }
		if who.Project != who.Tenant && !slices.ContainsFunc(g.projects, named) {
			if c.of = who.Tenant; c.of == "" && who.Issuer != "" {
				c.of = ofIssuer(who.Issuer)
			}
		}
	}
	return g.accounts[i].claims(nil, &c, Amounts{}, g.now()), g.ledger, nil
}
