// Package loop notices agents that go in circles: the same call again and again,
// calls that go round between tools or agents, calls that fail and are made again
// at once, and calls that cause ever more calls. It tells the agent what it saw.
package loop

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/recent"
	"github.com/sallyport/sallyport/mcp"
)

// Reasons of this guard.
const (
	LoopDetected  guard.Reason = "loop_detected"
	RetryStorm    guard.Reason = "retry_storm"
	CallTreeLimit guard.Reason = "call_tree_limit"
)

// Ports are what the guard needs from outside.
type Ports struct {
	// Memory returns what is remembered, for a configuration. Without it the
	// guard is left out: nobody asked for it.
	Memory  func(Config) (*Memory, error)
	Now     func() time.Time
	Tickets *guard.Tickets
	Share   func(Event) // tells other replicas, without waiting; nil without any
}

// Spec presents the guard to the chain.
func Spec(p Ports) guard.Spec {
	return guard.Define("loop", "Notices agents that go in circles, retry what fails without pause, or cause ever more calls.", Default(), func(c Config) (guard.Guard, error) {
		if err := c.validate(); err != nil || p.Memory == nil {
			return nil, err
		}
		memory, err := p.Memory(c)
		if err != nil {
			return nil, err
		}
		return &loop{Config: c, Ports: p, memory: memory}, nil
	}, guard.Want{Method: "tools/call", Direction: mcp.ToServer}, guard.Want{Method: "tools/call", Direction: mcp.ToClient}).WithReasons(
		guard.ReasonInfo{Reason: LoopDetected, Status: 200, Code: guard.CodeDenied, Text: "You are going in circles: this call, or this round of calls, has had the same answers again and again. Do something else.",
			When: "The same call got the same answer `guards.loop.repeats` times in a row, or a cycle of calls went round `guards.loop.rounds` times. The hint says what was seen, and when the call passes again."},
		guard.ReasonInfo{Reason: RetryStorm, Status: 200, Code: guard.CodeQuota, Text: "This tool has failed again and again. Wait, or do something else.",
			When: "Calls of the tool by this caller failed `guards.loop.errors` times in a row. After the seconds that the hint says, one call passes; if it succeeds, the others do too."},
		guard.ReasonInfo{Reason: CallTreeLimit, Status: 200, Code: guard.CodeDenied, Text: "Too many calls have come of one call. Do with fewer.",
			When: "By its trace context, the call stands deeper than `guards.loop.depth` within others, or the call that it came of has caused more than `guards.loop.fan_out`."},
	)
}

type loop struct {
	Config
	Ports
	memory *Memory
}

// rest is how long a call that was refused has to stay away; then one passes, to
// see whether things have changed. It is shorter than any pause that ends a row.
func (g *loop) rest() time.Duration { return min(30*time.Second, g.Within/2) }

// RequestsOnly says that the guard tells loops from work by the answers.
func (g *loop) RequestsOnly() error {
	return errors.New("it has to see what servers answer, to tell a loop from polling")
}

// Inspect judges a call by those before it, and remembers answers.
func (g *loop) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	if m.Direction == mcp.ToClient {
		if m.IsResponse() {
			g.answered(x, m)
		}
		return guard.Pass(), nil
	}
	l := g.limits(x.Server.Name, m.Name)
	if l.off {
		return guard.Pass(), nil
	}
	p := where(x, m)
	c := &call{Event: describe(x, m, &p), ignore: l.ignore}
	calls.Set(x, c)
	now := g.Now().UnixMilli()
	f := g.tree(c, &p, now)
	if f.reason == "" {
		f = g.row(c, l, now)
	}
	if f.reason == "" {
		f = g.round(c, now)
	}
	if f.reason == "" {
		return g.pass(x, &p), nil
	}
	return g.refuse(x, m, &f, l), nil
}

// pass lets a call go on, with its place among others for those that come of it.
func (g *loop) pass(x *guard.Exchange, p *place) guard.Verdict {
	v := guard.Pass()
	if p.header {
		if state := p.onward(x); state != "" {
			v.Obligations = []guard.Obligation{{Kind: guard.SetHeader, Name: "tracestate", Value: state}}
		}
	}
	return v
}

// finding is what speaks against a call.
type finding struct {
	reason guard.Reason
	text   string // what was seen
	wait   int64  // milliseconds until one call passes; 0 for never
	first  bool   // nobody was told yet
}

// tree judges the call's place among those that it came from.
func (g *loop) tree(c *call, p *place, now int64) finding {
	if p.trace == "" {
		return finding{}
	}
	if p.depth+1 > g.Depth {
		return finding{CallTreeLimit, fmt.Sprintf("this call stands within %d others, and at most %d may", p.depth, g.Depth-1), 0, true}
	}
	// Calls without one around them have their caller in its place.
	parent := append(c.Conversation[:len(c.Conversation):len(c.Conversation)], p.parent...)
	if p.parent == "" {
		parent = append(parent, c.Caller[:]...)
	}
	var n int
	g.memory.fans.Do(digest('f', parent), func(f *fan) { n = f.add(now, g.Within.Milliseconds()) })
	if n > g.FanOut {
		return finding{CallTreeLimit, fmt.Sprintf("one call has caused more than %d within %s", g.FanOut, span(g.Within.Milliseconds())), g.Within.Milliseconds() / 2, n == g.FanOut+1}
	}
	return finding{}
}

// row judges the call by those of the same kind just before it.
func (g *loop) row(c *call, l limits, now int64) (f finding) {
	pause, rest := g.Within.Milliseconds(), g.rest().Milliseconds()
	judge := func(key recent.Key, most int, reason guard.Reason, text string) {
		g.memory.rows.Look(key, func(r *row) {
			n := r.length(now, pause)
			if n < most || now-r.last >= rest || r.polls(now, g.PollTime.Milliseconds()) {
				return
			}
			f = finding{reason, fmt.Sprintf(text, n, span(r.last-r.first)), rest - (now - r.last), !r.told}
			r.told = true
		})
	}
	if judge(c.Call, l.repeats, LoopDetected, "the same call got the same answer %d times in %s"); f.reason == "" {
		judge(c.Tool, l.errors, RetryStorm, "calls of this tool failed %d times in a row in %s")
	}
	return f
}

// round looks for a cycle that the call would go on with.
func (g *loop) round(c *call, now int64) (f finding) {
	pause, rest := g.Within.Milliseconds(), g.rest().Milliseconds()
	for _, key := range [...]recent.Key{c.Caller, c.Conversation} {
		if key == (recent.Key{}) || f.reason != "" {
			continue
		}
		g.memory.rings.Look(key, func(r *ring) {
			found, ok := r.cycle(word(c.Call), now, g.Rounds, pause, g.PollTime.Milliseconds())
			last := int64(0)
			if ok {
				last = r.back(0).at
			}
			if !ok || now-last >= rest {
				return
			}
			by := ""
			if found.agents > 1 {
				by = fmt.Sprintf(" by %d agents", found.agents)
			}
			f = finding{LoopDetected, fmt.Sprintf("a cycle of %d calls%s went round %d times with the same answers in %s", found.period, by, g.Rounds, span(last-found.since)), rest - (now - last), r.told < found.since}
			r.told = now
		})
	}
	return f
}

// refuse tells agent and operators what was seen.
func (g *loop) refuse(x *guard.Exchange, m *mcp.Message, f *finding, l limits) guard.Verdict {
	tool := name(x.Server.Name) + "/" + name(m.Name)
	v := guard.Refuse(f.reason, tool+": "+f.text)
	v.Hint = tool + ": " + f.text + "."
	if f.wait > 0 {
		seconds := strconv.FormatInt((f.wait+999)/1000, 10)
		v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.RetryAfter, Value: seconds})
		v.Hint += " Do something else, or try again in " + seconds + " s."
	}
	if f.first { // who hammers on would fill the log otherwise
		v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.Raise, Name: string(f.reason), Value: v.Detail})
	}
	if l.hold && g.Tickets != nil {
		v.Action, v.Ticket = guard.Hold, g.Tickets.For(x, m, "An agent goes in circles: "+v.Detail+".")
	}
	return v
}

// answered remembers what came of a call.
func (g *loop) answered(x *guard.Exchange, m *mcp.Message) {
	c, ok := calls.Get(x)
	if !ok || c.over {
		return
	}
	c.Answer, c.Failed = answer(m)
	g.learn(c)
}

// Settle remembers a call that reached its server and got no answer.
func (g *loop) Settle(_ context.Context, x *guard.Exchange, o guard.Outcome) {
	c, ok := calls.Get(x)
	if !ok || c.over || !o.Reached || o.Ending == guard.Completed && o.Status < 400 {
		return
	}
	c.Answer, c.Failed = noAnswer, true
	g.learn(c)
}

func (g *loop) learn(c *call) {
	c.over = true
	c.At = g.Now().UnixMilli()
	if c.ignore && !c.Failed {
		c.Answer = anyAnswer
	}
	g.memory.Learn(&c.Event, g.Within)
	if g.Share != nil {
		g.Share(c.Event)
	}
}

// name shows a name in a hint, which is one short line.
func name(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == 0xfffd {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 100 {
		s = strings.ToValidUTF8(s[:100], "") + "..."
	}
	return s
}

// span writes milliseconds for people.
func span(ms int64) string {
	if ms < 1000 {
		return strconv.FormatInt(ms, 10) + " ms"
	}
	return strconv.FormatInt((ms+500)/1000, 10) + " s"
}
