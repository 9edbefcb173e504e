package budget

import (
	"crypto/sha256"
	"slices"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/mcp"
)

// caller is what a call is charged to, as far as budgets tell calls apart.
type caller struct {
	p            *guard.Principal
	who          Key // the principal
	session      Key // bound to the principal
	task         Key // likewise
	named        bool
	vouched      bool // the issuer of the token named the task
	project      string
	of           string // tenant whose project it is, where a token named it
	server, tool string
	given        string // name of the task, if it has one
}

// identify finds out whom a call is charged to. Nothing here that the client
// says is an identity: it is only ever looked at together with the principal, and
// what the client may choose is bounded by an account of the principal as well.
func (g *budgets) identify(x *guard.Exchange, m *mcp.Message, c *caller) {
	g.begin(x, m, c)
	g.finish(x, c)
}

// begin is the part that has to be done for each call.
func (g *budgets) begin(x *guard.Exchange, m *mcp.Message, c *caller) {
	*c = caller{p: &x.Principal, server: x.Server.Name, tool: m.Name}
	c.given = g.task(x, m, c)
}

// finish is the part that is the same for calls of the same text.
func (g *budgets) finish(x *guard.Exchange, c *caller) {
	p := c.p
	c.who = principal(x)
	c.project, c.of = g.project(p)
	var room [512]byte
	b := append(append(room[:0], 's'), c.who[:]...)
	if x.Session != "" {
		b = guard.AppendText(guard.AppendText(b, x.Server.Name), x.Session)
	} else {
		b = guard.AppendText(guard.AppendText(append(b, 0), p.Client), p.Agent)
	}
	c.session = digest(b)
	if c.given == "" {
		c.task = c.session
		return
	}
	c.name(c.given)
}

// text appends all that decides about the accounts of a call but the time, so that
// no two look alike.
func (c *caller) text(b []byte, x *guard.Exchange) []byte {
	p := c.p
	b = guard.AppendText(x.AppendCaller(append(b, 'c')), p.Issuer)
	for _, s := range [...]string{p.Tenant, p.Project, p.Client, p.Agent, c.server, c.tool, x.Session, c.given} {
		b = guard.AppendText(b, s)
	}
	if c.vouched {
		b = append(b, 1)
	}
	for _, r := range p.Roles {
		b = guard.AppendText(b, r)
	}
	return b
}

// name makes task the task of the call.
func (c *caller) name(task string) {
	c.named = true
	var room [512]byte
	b := append(append(room[:0], 't'), c.who[:]...)
	if c.vouched { // a client cannot name its task like one that the issuer vouches for
		b = append(b, 1)
	}
	c.task = digest(guard.AppendText(b, task))
}

// related is where a message of 2025-11-25 names the task that it belongs to
// (basic/utilities/tasks, related-task metadata).
const related = "io.modelcontextprotocol/related-task"

// task is the name of the task that a call belongs to, by whoever named it first
// in this order: issuer, header, metadata, MCP itself.
func (g *budgets) task(x *guard.Exchange, m *mcp.Message, c *caller) string {
	if x.Principal.Task != "" {
		c.vouched = true
		return x.Principal.Task
	}
	if g.taskHeader != "" && x.Headers != nil {
		if v, n := x.Headers.Get(g.taskHeader); n == 1 && v != "" {
			return v
		}
	}
	meta := m.Meta()
	if meta == nil {
		return ""
	}
	if g.taskMeta != "" {
		if s := mcp.Text(meta, g.taskMeta); s != "" {
			return s
		}
	}
	if of, ok := mcp.Member(meta, related); ok {
		return mcp.Text(of, "taskId")
	}
	return ""
}

// principal is the digest of who is calling, as far as it was verified: a
// subject, else a client, else the certificate of the connection. Everybody else
// is one caller together: the anonymous one.
func principal(x *guard.Exchange) Key {
	var room [512]byte
	return digest(x.AppendCaller(room[:0]))
}

// project is the name of the project that a principal works for, and the tenant
// whose project that is if its token named it: an issuer vouches for the projects of
// its own tenants, and for its own.
func (g *budgets) project(p *guard.Principal) (name, of string) {
	for i := range g.projects {
		r := &g.projects[i]
		if (len(r.Tenants) == 0 || p.Tenant != "" && notation.MatchAny(r.Tenants, p.Tenant)) &&
			(len(r.Clients) == 0 || p.Client != "" && notation.MatchAny(r.Clients, p.Client)) &&
			(len(r.Agents) == 0 || p.Agent != "" && notation.MatchAny(r.Agents, p.Agent)) &&
			(len(r.Roles) == 0 || slices.ContainsFunc(p.Roles, func(role string) bool { return notation.MatchAny(r.Roles, role) })) {
			return r.Name, ""
		}
	}
	switch {
	case p.Project == "", p.Project == p.Tenant:
		return p.Tenant, ""
	case p.Tenant == "":
		return p.Project, ofIssuer(p.Issuer)
	}
	return p.Project, p.Tenant
}

// ofIssuer stands for the tenant of a token that names none: its project is not the
// account of a tenant or a project of the operator's of that name. No tenant is
// called so, since claims hold no control characters.
func ofIssuer(issuer string) string { return "\x00" + issuer }

func digest(b []byte) Key {
	sum := sha256.Sum256(b)
	return Key(sum[:16])
}
