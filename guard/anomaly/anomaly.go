// Package anomaly learns how each caller usually uses each tool, and says where a
// call is unusual, and why. By itself it refuses nothing: its labels are for
// policies, its events for people.
package anomaly

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/recent"
	"github.com/sallyport/sallyport/mcp"
)

// Detected is the reason of this guard.
const Detected guard.Reason = "anomaly_detected"

// Ports are what the guard needs from outside.
type Ports struct {
	// Memory returns what is remembered, for a configuration. Without it the
	// guard is left out.
	Memory  func(Config) *Memory
	Now     func() time.Time
	Tickets *guard.Tickets
	Watch   Watch // nothing: the guard is left out

	// Cost is what a request may cost, or what the call cost that a reply answers, in
	// millionths of a dollar; false where nobody knows. Nil leaves costs out.
	Cost func(x *guard.Exchange, m *mcp.Message) (int64, bool)
}

// Watch is what is looked for, in the words of [words].
type Watch uint8

// What can be looked for.
const (
	Rates        Watch = 1 << iota // spikes
	Tools                          // that are new to a caller
	Destinations                   // likewise
	Calls                          // sizes of arguments, and errors
	Resources                      // sizes of results, and durations
	Costs                          // what a caller spends in a minute

	Behaviour = Rates | Tools | Destinations | Calls | Costs
)

// Spec presents the guard to the chain.
func Spec(p Ports) guard.Spec {
	return guard.Define("anomaly", "Learns how each caller usually uses each tool, and labels what is unusual.", Default(), func(c Config) (guard.Guard, error) {
		if err := c.validate(); err != nil || p.Memory == nil || p.Watch == 0 {
			return nil, err
		}
		return &anomaly{Config: c, Ports: p, memory: p.Memory(c)}, nil
	},
		guard.Want{Method: "tools/call", Direction: mcp.ToServer},
		guard.Want{Method: "resources/read", Direction: mcp.ToServer},
		guard.Want{Method: "tools/call", Direction: mcp.ToClient},
	).WithReasons(guard.ReasonInfo{Reason: Detected, Status: 200, Code: guard.CodeDenied, Text: "This call is unusual for you, and such calls are not let through here. Ask whoever runs the gateway.",
		When: "`guards.anomaly.action` is `deny` or `hold`, and the call is unlike what this caller usually does; the detail says in what."})
}

type anomaly struct {
	Config
	Ports
	memory *Memory
}

// RequestsOnly says that errors, results and durations show in answers only.
func (g *anomaly) RequestsOnly() error {
	return errors.New("it has to see what servers answer, to learn what is usual")
}

// call is what one exchange remembers until its answer.
type call struct {
	who   recent.Key
	use   recent.Key
	cost  int64 // that it may have
	began int64
	over  bool
}

var calls = guard.NewSlot[*call]()

// Inspect holds a call against what is usual, and learns from it.
func (g *anomaly) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	if m.Direction == mcp.ToClient {
		if m.IsResponse() {
			return g.answered(x, m), nil
		}
		return guard.Pass(), nil
	}
	if g.ignored(x.Server.Name, m.Name) {
		return guard.Pass(), nil
	}
	who, use := keys(x, m.Name)
	now := g.Now().UnixMilli()
	var found []finding
	var cost int64
	if g.Watch&Costs != 0 && g.Cost != nil && m.Method == "tools/call" {
		cost, _ = g.Cost(x, m)
	}
	if g.Watch&(Tools|Destinations|Costs) != 0 {
		found = g.caller(found, who, x, m, now, cost)
	}
	if m.Method == "tools/call" {
		found = g.use(found, use, m, now)
		calls.Set(x, &call{who: who, use: use, began: now, cost: cost})
	}
	return g.verdict(x, m, found), nil
}

// Settle learns that a call which reached its server got no answer.
func (g *anomaly) Settle(_ context.Context, x *guard.Exchange, o guard.Outcome) {
	c, ok := calls.Get(x)
	if !ok || c.over || !o.Reached || o.Ending == guard.Completed && o.Status < 400 {
		return
	}
	c.over = true
	g.memory.uses.Look(c.use, func(u *use) { u.errors.learn(true) })
}
