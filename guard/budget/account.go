package budget

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/mcp"
)

// account is a Budget, ready for use.
type account struct {
	limit          Limit
	all            Limit // of all sessions or tasks of one principal; the zero Limit for budgets by neither
	id             Key   // of its accounts: another name, or other dimensions, have others
	by             []dimension
	per            string
	ofTask         bool // by session or task
	named          Limit
	servers, tools []string
}

type dimension uint8

const (
	byPrincipal dimension = iota + 1
	byAgent
	byClient
	byTenant
	byProject
	bySession
	byTask
	byServer
	byTool
)

var dimensions = map[string]dimension{
	"principal": byPrincipal, "agent": byAgent, "client": byClient, "tenant": byTenant, "project": byProject,
	"session": bySession, "task": byTask, "server": byServer, "tool": byTool,
}

func compile(b *Budget, c *Config) *account {
	out := &account{per: b.Per, ofTask: b.ofTask(), servers: b.Servers, tools: b.Tools}
	out.limit = Limit{
		Name: b.Name, Time: b.Limit.Time, Alert: int(b.Alert), Exact: b.Exact || c.Lease.Calls == 1,
		Max:   Amounts{int64(b.Limit.Cost), int64(b.Limit.Calls), int64(b.Limit.Bytes), int64(b.Limit.Destructive)},
		Lease: Lease{Calls: uint32(c.Lease.Calls), Idle: c.Lease.Idle, Hold: c.Lease.Hold},
	}
	switch b.OnError {
	case "allow":
		out.limit.OnError = OnErrorAllow
	case "local":
		out.limit.OnError = OnErrorLocal
	}
	if out.ofTask {
		out.limit.Life, out.limit.Resting = c.Pause, true
		out.named = out.limit
		out.named.Life = c.Memory
		out.all = out.limit
		out.all.Life, out.all.Resting, out.all.Time = c.Window, false, 0
		for m := range out.all.Max {
			out.all.Max[m] = min(Most, out.all.Max[m]*int64(c.Together))
		}
	}
	for _, d := range b.By {
		out.by = append(out.by, dimensions[d])
	}
	slices.Sort(out.by)
	// Amounts are no part of it: a budget that is raised forgets nothing.
	id := guard.AppendText(nil, b.Name)
	for _, d := range out.by {
		id = append(id, byte(d))
	}
	out.id = digest(guard.AppendText(append(id, 0xff), b.Per))
	return out
}

// concerns reports whether the budget is about calls of a tool.
func (b *account) concerns(server, tool string) bool {
	return (b.servers == nil || notation.MatchAny(b.servers, server)) && (b.tools == nil || notation.MatchAny(b.tools, tool))
}

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

// claims appends the claims of a call on the budget's accounts: one, or one more
// for all sessions and tasks that the principal opened.
func (b *account) claims(out []Claim, c *caller, use Amounts, now time.Time) []Claim {
	limit := &b.limit
	if b.ofTask && c.named && slices.Contains(b.by, byTask) {
		limit = &b.named
	}
	var ends time.Time
	if !b.ofTask {
		ends = end(now, b.per)
	}
	out = append(out, Claim{Limit: limit, Key: b.key(c, ends), Ends: ends, Amounts: use})
	if b.ofTask && !(c.vouched && slices.Contains(b.by, byTask)) {
		out = append(out, Claim{Limit: &b.all, Key: b.sum(c), Amounts: use})
	}
	return out
}

func (b *account) key(c *caller, ends time.Time) Key {
	var room [512]byte
	k := append(room[:0], b.id[:]...)
	for _, d := range b.by {
		k = append(k, byte(d))
		switch d {
		case byPrincipal:
			k = append(k, c.who[:]...)
		case byAgent:
			k = guard.AppendText(guard.AppendText(k, c.p.Issuer), c.p.Agent)
		case byClient:
			k = guard.AppendText(guard.AppendText(k, c.p.Issuer), c.p.Client)
		case byTenant:
			k = guard.AppendText(k, c.p.Tenant)
		case byProject:
			if k = guard.AppendText(k, c.project); c.of != "" {
				k = guard.AppendText(k, c.of)
			}
		case bySession:
			k = append(k, c.session[:]...)
		case byTask:
			k = append(k, c.task[:]...)
		case byServer:
			k = guard.AppendText(k, c.server)
		case byTool: // another server's tool of that name is another tool
			k = guard.AppendText(guard.AppendText(k, c.server), c.tool)
		}
	}
	if !ends.IsZero() {
		k = binary.BigEndian.AppendUint64(k, uint64(ends.Unix()))
	}
	return digest(k)
}

// sum names the account of all that a principal opens.
func (b *account) sum(c *caller) Key {
	var room [64]byte
	return digest(append(append(append(room[:0], b.id[:]...), 0xfe), c.who[:]...))
}

// end is when the period of UTC that now is in ends.
func end(now time.Time, per string) time.Time {
	now = now.UTC()
	y, m, d := now.Date()
	switch per {
	case "hour":
		return time.Date(y, m, d, now.Hour()+1, 0, 0, 0, time.UTC)
	case "day":
		return time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
	case "week": // they begin on Mondays (ISO 8601)
		return time.Date(y, m, d+7-int(now.Weekday()+6)%7, 0, 0, 0, 0, time.UTC)
	}
	return time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
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
