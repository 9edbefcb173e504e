package anomaly

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/recent"
	"github.com/sallyport/sallyport/mcp"
)

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
