// Package anomaly learns how each caller usually uses each tool, and says where a
// call is unusual, and why. By itself it refuses nothing: its labels are for
// policies, its events for people.
package anomaly

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/inspect/destination"
	"github.com/sallyport/sallyport/internal/inspect/wire"
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
	return guard.Define("anomaly", "Learns how each caller usually uses each tool, and labels what is unusual.", DefaultConfig(), func(c Config) (guard.Guard, error) {
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

// finding is one thing that is unusual.
type finding struct {
	signal signal
	text   string
	score  float64 // deviations; 0 where nothing is measured
	first  bool    // the first in this minute
}

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

// keys name who calls, and what.
func keys(x *guard.Exchange, tool string) (who, use recent.Key) {
	var room [512]byte
	b := append(room[:0], 'w')
	b = append(x.AppendCaller(b), '/')
	if x.Principal.IsAnonymous() && !x.Peer.Verified && x.Source.IsValid() {
		b = append(b, x.Source.Addr().Unmap().String()...)
	}
	b = guard.AppendText(b, x.Principal.Agent)
	who = digest(b)
	b = append(append(b[:0], 'u'), who[:]...)
	return who, digest(guard.AppendText(guard.AppendText(b, x.Server.Name), tool))
}

func digest(b []byte) recent.Key {
	sum := sha256.Sum256(b)
	return recent.Key(sum[:16])
}

func short(s string) uint32 {
	sum := sha256.Sum256([]byte(s))
	return binary.BigEndian.Uint32(sum[:])
}

// caller looks for tools and destinations that are new for who calls.
func (g *anomaly) caller(found []finding, who recent.Key, x *guard.Exchange, m *mcp.Message, now, cost int64) []finding {
	var hosts []string
	if g.Watch&Destinations != 0 {
		hosts = named(m)
	}
	tool := short(x.Server.Name + "/" + m.Name)
	g.memory.callers.Do(who, func(c *caller) {
		known := g.known(&c.since, &c.calls, now)
		if m.Method == "tools/call" && g.Watch&Tools != 0 && c.tools.add(tool) && known {
			found = append(found, finding{newTool, fmt.Sprintf("the first call of this tool by this caller, after %d calls of %d others", c.calls-1, len(c.tools.has)-1), 0, first(&c.told, newTool, now)})
		}
		if m.Method == "tools/call" && g.Watch&Costs != 0 {
			sum := c.spent.add(now/60_000, float64(cost), g.Deviations)
			b := &c.spent.usual
			if score := b.beyond(sum, c.spent.least()); cost > 0 && known && b.n >= 5 && score > g.Deviations {
				found = append(found, finding{spend, fmt.Sprintf("%s in this minute, usually %s, give or take %s", dollars(sum), dollars(b.mean), dollars(b.deviation(c.spent.least()))), score, first(&c.told, spend, now)})
			}
		}
		for _, h := range hosts {
			if c.hosts.add(short(h)) && known {
				found = append(found, finding{newHost, fmt.Sprintf("the first call of this caller that names %s, after %d calls and %d other destinations", h, c.calls-1, len(c.hosts.has)-1), 0, first(&c.told, newHost, now)})
			}
		}
	})
	return found
}

// known counts a call and reports whether the ones before it, and the time since
// the first, are enough to know what is usual.
func (g *anomaly) known(since *int64, calls *int32, now int64) bool {
	if *since == 0 {
		*since = now
	}
	enough := int(*calls) >= g.WarmUp && now-*since >= g.WarmUpTime.Milliseconds()
	if *calls < math.MaxInt32 {
		*calls++
	}
	return enough
}

// first reports whether nobody was told of a signal within the minute.
func first(told *[signals]int64, s signal, now int64) bool {
	minute := now / 60_000
	if told[s] == minute {
		return false
	}
	told[s] = minute
	return true
}

// use holds a call against the caller's other calls of the tool.
func (g *anomaly) use(found []finding, key recent.Key, m *mcp.Message, now int64) []finding {
	g.memory.uses.Do(key, func(u *use) {
		known := g.known(&u.since, &u.calls, now)
		n := u.rate.one(now/60_000, g.Deviations)
		b := &u.rate.usual
		if score := b.beyond(n, u.rate.least()); known && g.Watch&Rates != 0 && b.n >= 5 && score > g.Deviations {
			found = append(found, finding{rate, fmt.Sprintf("%.0f calls of this tool in this minute, usually %.1f, give or take %.1f", n, b.mean, b.deviation(u.rate.least())), score, first(&u.told, rate, now)})
		}
		if g.Watch&Calls == 0 {
			return
		}
		size := math.Log1p(float64(len(m.Params)))
		if score := u.argument.beyond(size, leastLog); known && len(m.Params) > 1024 && score > g.Deviations {
			found = append(found, finding{argumentSize, fmt.Sprintf("params of %d bytes, usually about %.0f", len(m.Params), math.Expm1(u.argument.mean)), score, first(&u.told, argumentSize, now)})
		}
		u.argument.learn(size, g.Deviations, leastLog)
		if failed, score := u.failing(); known && score > g.Deviations {
			found = append(found, finding{errorRate, fmt.Sprintf("%d of the last 16 calls of this tool failed, usually %.1f %%", failed, 100*u.errors.usual), score, first(&u.told, errorRate, now)})
		}
	})
	return found
}

// failing is how many of the last calls failed, and by how many deviations that
// is more than usual.
func (u *use) failing() (failed int, score float64) {
	failed = bits.OnesCount16(u.errors.last)
	if u.errors.n < 32 || failed < 5 {
		return failed, 0
	}
	p := min(max(u.errors.usual, 0.02), 0.98)
	return failed, (float64(failed) - 16*p) / math.Sqrt(16*p*(1-p))
}

// answered holds an answer against the others.
func (g *anomaly) answered(x *guard.Exchange, m *mcp.Message) guard.Verdict {
	c, ok := calls.Get(x)
	if !ok || c.over {
		return guard.Pass()
	}
	c.over = true
	failed := m.Kind == mcp.Failure
	if v, ok := mcp.Member(m.Result, "isError"); ok && string(v) == "true" {
		failed = true
	}
	now := g.Now().UnixMilli()
	if g.Watch&Costs != 0 && g.Cost != nil {
		if paid, ok := g.Cost(x, m); ok && paid != c.cost {
			g.memory.callers.Look(c.who, func(who *caller) { who.spent.correct(float64(paid - c.cost)) })
		}
	}
	var found []finding
	g.memory.uses.Look(c.use, func(u *use) {
		u.errors.learn(failed)
		known := int(u.calls) > g.WarmUp && now-u.since >= g.WarmUpTime.Milliseconds()
		if failed || g.Watch&Resources == 0 {
			return
		}
		size, took := math.Log1p(float64(len(m.Raw))), math.Log1p(float64(now-c.began))
		if score := u.result.beyond(size, leastLog); known && len(m.Raw) > 4096 && score > g.Deviations {
			found = append(found, finding{resultSize, fmt.Sprintf("an answer of %d bytes, usually about %.0f", len(m.Raw), math.Expm1(u.result.mean)), score, first(&u.told, resultSize, now)})
		}
		if score := u.duration.beyond(took, 2*leastLog); known && now-c.began > 1000 && score > g.Deviations {
			found = append(found, finding{duration, fmt.Sprintf("an answer after %d ms, usually about %.0f", now-c.began, math.Expm1(u.duration.mean)), score, first(&u.told, duration, now)})
		}
		u.result.learn(size, g.Deviations, leastLog)
		u.duration.learn(took, g.Deviations, 2*leastLog)
	})
	return labelled(found)
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

// labelled lets a message go on with what is unusual about it.
func labelled(found []finding) guard.Verdict {
	v := guard.Pass()
	for i := range found {
		f := &found[i]
		v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.AddLabel, Name: words[f.signal].label})
		if f.first {
			v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.Raise, Name: words[f.signal].event, Value: f.String()})
		}
	}
	return v
}

func (f *finding) String() string {
	if f.score == 0 {
		return f.text
	}
	return fmt.Sprintf("%s: %.1f deviations", f.text, f.score)
}

// verdict is what configuration makes of what was found.
func (g *anomaly) verdict(x *guard.Exchange, m *mcp.Message, found []finding) guard.Verdict {
	v := labelled(found)
	if len(found) == 0 {
		return v
	}
	texts := make([]string, len(found))
	for i := range found {
		texts[i] = words[found[i].signal].label + ": " + found[i].String()
	}
	v.Detail = strings.Join(texts, "; ")
	if g.Action == "label" {
		return v
	}
	v.Action, v.Reason = guard.Deny, Detected
	if g.Action == "hold" && g.Tickets != nil {
		v.Action, v.Ticket = guard.Hold, g.Tickets.For(x, m, "An unusual call.")
	}
	return v
}

// searched is how far into arguments hosts are looked for, and how many are
// noted. Who hides one behind that hides it from this guard, and not from egress.
const (
	searched = 64 << 10
	noted    = 16
)

// named returns the hosts that a call names.
func named(m *mcp.Message) []string {
	part, _ := mcp.Member(m.Params, "arguments")
	if m.Method == "resources/read" {
		part, _ = mcp.Member(m.Params, "uri")
	}
	if part == nil {
		return nil
	}
	var out []string
	var r wire.Reader
	_ = r.EachText(part, func(t *wire.Text) {
		if at, _ := t.Span(0, 0); t.Kind == mcp.LeafNumber || len(out) >= noted || at > searched {
			return
		}
		for _, d := range destination.Find(t.Value[:min(len(t.Value), searched)], t.Key) {
			if d.Err != nil || d.Host == "" || len(out) >= noted || m.Method == "resources/read" && d.Scheme != "" && !strings.HasPrefix(d.Scheme, "http") {
				continue
			}
			if !slices.Contains(out, d.Host) {
				out = append(out, d.Host)
			}
		}
	})
	return out
}
