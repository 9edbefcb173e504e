package dlp

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/inspect/recogniser"
	"github.com/sallyport/sallyport/mcp"
)

// action is what happens to a finding, the more the higher.
type action uint8

const (
	allow action = iota
	alert
	mask
	hash
	tokenise
	block
)

var actions = [...]string{"allow", "alert", "mask", "hash", "tokenise", "block"}

func actionOf(s string) action { return action(max(0, slices.Index(actions[:], s))) }

func (a action) String() string { return actions[a] }

func (a action) rewrites() bool { return a == mask || a == hash || a == tokenise }

type rule struct {
	Rule
	action action
}

// compile finds misspelt types, which would silently never fit. With
// recognisers that were not read, any type may exist.
func (r Rule) compile(set *recogniser.Set, known bool) (rule, error) {
	for i, t := range r.Types {
		ok := !known || t == string(recogniser.PII) || t == string(recogniser.Secret)
		for _, have := range set.Types() {
			ok = ok || have.Type == t
		}
		if !ok {
			return rule{}, fmt.Errorf("types[%d]: no recogniser finds %q", i, t)
		}
	}
	if slices.Index(actions[:], r.Action) < 0 {
		return rule{}, fmt.Errorf("action: %q is none of %v", r.Action, actions)
	}
	return rule{r, actionOf(r.Action)}, nil
}

// decide returns what happens to a finding.
func (g *dlp) decide(x *guard.Exchange, m *mcp.Message, f *recogniser.Finding) action {
	for i := range g.rules {
		if g.rules[i].fits(x, m, f) {
			return g.rules[i].action
		}
	}
	a := g.ToServer
	switch {
	case describes(x, m):
		a = g.Described
	case m.Direction == mcp.ToClient:
		a = g.ToClient
	}
	if f.Class == recogniser.Secret {
		return actionOf(a.Secret)
	}
	return actionOf(a.PII)
}

// kept is decide where nothing can be replaced: what would be is blocked.
func (g *dlp) kept(x *guard.Exchange, m *mcp.Message, f *recogniser.Finding) action {
	a := g.decide(x, m, f)
	if a.rewrites() {
		return block
	}
	return a
}

// describes reports whether a message is what a server says of itself and of what
// it offers, rather than of anybody's data, such as the resources that there are.
func describes(x *guard.Exchange, m *mcp.Message) bool {
	topic := x.Topic(m)
	return m.Direction == mcp.ToClient && m.Result != nil && topic != "resources/list" && mcp.Describes(topic)
}

func (r *rule) fits(x *guard.Exchange, m *mcp.Message, f *recogniser.Finding) bool {
	name := m.Name
	if name == "" {
		name = x.Asked.Name // a reply names nothing itself
	}
	return (len(r.Types) == 0 || slices.Contains(r.Types, f.Type) || slices.Contains(r.Types, string(f.Class))) &&
		(r.Direction == "" || r.Direction == m.Direction.String()) &&
		among(r.Servers, x.Server.Name) && among(r.Tools, name) &&
		among(r.Tenants, x.Principal.Tenant) && among(r.Classifications, x.Server.Classification)
}

func among(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }

// RequestsOnly tells a host without responses, and without edits, which setting
// needs them.
func (g *dlp) RequestsOnly() error {
	needs := func(a string, replies bool) bool { return replies && actionOf(a) > alert || actionOf(a).rewrites() }
	for _, c := range [...]struct {
		setting, action string
		replies         bool
	}{
		{"to_server.pii", g.ToServer.PII, false}, {"to_server.secret", g.ToServer.Secret, false},
		{"to_client.pii", g.ToClient.PII, true}, {"to_client.secret", g.ToClient.Secret, true},
		{"descriptions.pii", g.Described.PII, true}, {"descriptions.secret", g.Described.Secret, true},
	} {
		if needs(c.action, c.replies) {
			return fmt.Errorf("%s is %s", c.setting, c.action)
		}
	}
	for i, r := range g.Rules {
		if needs(r.Action, r.Direction != mcp.ToServer.String()) {
			return fmt.Errorf("rules[%d]: %s needs responses or edits", i, r.Action)
		}
	}
	return nil
}
