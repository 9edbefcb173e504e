package budget

import (
	"time"

	"github.com/sallyport/sallyport/guard"
)

// Recorder counts who used what. It is called for every call that reached its
// server, concurrently, and does not wait.
type Recorder interface {
	Record(e *Entry)
}

// Entry is the use that one call made. Its texts may be kept.
type Entry struct {
	At                                   time.Time
	Tenant, Project, Agent, Server, Tool string
	Calls, Failed, Destructive           int64
	Cost                                 int64 // millionths of a US dollar
	Tokens                               int64
	BytesIn, BytesOut                    int64
}

func (g *budgets) record(x *guard.Exchange, u *use, o *guard.Outcome, used Amounts) {
	p := &x.Principal
	e := Entry{
		At: g.now(), Tenant: p.Tenant, Project: u.project, Agent: p.Agent, Server: x.Server.Name, Tool: u.tool,
		Calls: 1, Destructive: used[Destructive], Cost: used[Cost], Tokens: u.counted, BytesIn: o.BytesIn, BytesOut: o.BytesOut,
	}
	if e.Agent == "" {
		e.Agent = p.Client
	}
	if u.failed {
		e.Failed = 1
	}
	g.usage.Record(&e)
}
