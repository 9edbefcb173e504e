package budget

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
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
