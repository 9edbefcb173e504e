// Package quota limits how many calls may be made in a span of time.
package quota

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/recent"
	"github.com/sallyport/sallyport/mcp"
)

// Reasons of this guard.
const (
	QuotaExceeded    guard.Reason = "quota_exceeded"
	QuotaUnavailable guard.Reason = "quota_unavailable"
)

// Labels of this guard.
const (
	labelUnshared = "quota.unshared"
	labelLent     = "quota.lent"
)

// Port is what the guard needs from outside.
type Port struct {
	// Limiter returns what counts under a configuration. Without it the guard is
	// left out.
	Limiter func(Config) (Limiter, error)
	Rules   []Rule // that stand elsewhere in the configuration

	// Idle reports whether a server has little to do, so that limits of its callers
	// may be exceeded by what they lend. Without it nothing is lent.
	Idle func(server string) bool
}

// Spec presents the guard to the chain.
func Spec(p Port) guard.Spec {
	s := guard.Define("quota", "Limits how many calls may be made in a span of time.", Default(), func(c Config) (guard.Guard, error) {
		rules := append([]Rule(nil), c.Rules...)
		for _, r := range p.Rules {
			r.Lend = c.Lend
			rules = append(rules, r)
		}
		if err := validate(rules); err != nil || p.Limiter == nil || len(rules) == 0 {
			return nil, err
		}
		l, err := p.Limiter(c)
		if err != nil {
			return nil, err
		}
		g := &quota{limiter: l, idle: p.Idle, headers: c.Headers, memo: recent.NewPlaces[known]()}
		for _, r := range rules {
			g.rules = append(g.rules, compile(r, c.Lease))
		}
		return g, nil
	}, guard.Want{Method: "*", Direction: mcp.ToServer}).WithReasons(
		guard.ReasonInfo{Reason: QuotaExceeded, Status: 429, Code: guard.CodeQuota, Text: "The quota of calls is used up. Wait for the seconds that Retry-After and error.data.hint say, then try again.",
			When: "A limit of `gateway.rate_limiting` or `guards.quota.rules` has no room; the hint names it."},
		guard.ReasonInfo{Reason: QuotaUnavailable, Status: 503, Code: guard.CodeNotJudged, Text: "The gateway cannot count calls at the moment and therefore passes none on. Try again later.",
			When: "Redis cannot be asked, and `on_error` of the rule is `deny`. The receipt's detail says why."},
	)
	s.Informs = true
	return s
}

type quota struct {
	limiter  Limiter
	idle     func(server string) bool
	rules    []rule
	headers  bool
	memo     *memo
	policies sync.Map // of the headers, by the rules that they are about
}

// RequestsOnly reports rules that count what a host must tell when a call is over.
func (q *quota) RequestsOnly() error {
	for i := range q.rules {
		if l := &q.rules[i].limit; l.Kind != Calls {
			return fmt.Errorf("rule %s: it has to see when a call is over, and what it brought", l.Name)
		}
	}
	return nil
}

// taken is what one exchange was charged. A pending question writes it from
// another goroutine, which may be late: whoever comes second gives back.
type taken struct {
	charges []Charge
	rules   []uint8 // whose they are
	first   [2]Charge
	firstOf [2]uint8
	duties  [4]guard.Obligation
	parts   parts
	partOf  [4]part // of the first charges

	mu    sync.Mutex
	state state
	next  *taken // of an earlier message of the exchange
}

type state uint8

const (
	asked   state = iota // an answer is pending
	held                 // the calls are charged
	over                 // the exchange is over, and they are returned if charged
	reached              // the exchange is over, and they stay charged
)

var charged = guard.NewSlot[*taken]()

// Inspect charges a message to every rule that counts it.
func (q *quota) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	var t *taken
	looked, idle := false, false
	for i := range q.rules {
		r := &q.rules[i]
		if !r.counts(x, m) {
			continue
		}
		if t == nil {
			t = new(taken)
			t.charges, t.rules = t.first[:0], t.firstOf[:0]
		}
		var room [512]byte
		text, of := r.text(room[:0], x, m)
		k := keyed(q.memo, text, of)
		if r.lends && q.idle != nil && !looked {
			looked, idle = true, q.idle(x.Server.Name)
		}
		t.charges = append(t.charges, Charge{Limit: &r.limit, Key: k.key, Group: k.group, Lend: idle && r.lends})
		if n := len(t.rules); q.headers && r.own && r.parted && n < len(t.partOf) {
			t.partOf[n] = t.parts.add(r, x, m)
		}
		t.rules = append(t.rules, uint8(i))
	}
	if t == nil {
		return guard.Pass(), nil
	}
	a, known := q.limiter.TryTake(t.charges)
	if known && a.Outcome != Admitted {
		return q.refuse(a, t), nil
	}
	t.next, _ = charged.Get(x)
	charged.Set(x, t)
	if known {
		t.state = held
		return q.verdict(a, t), nil
	}
	return guard.Verdict{Pending: func(ctx context.Context) (guard.Verdict, error) { return q.wait(ctx, t) }}, nil
}

// wait asks a limiter that has to ask somebody else.
func (q *quota) wait(ctx context.Context, t *taken) (guard.Verdict, error) {
	a, err := q.limiter.Take(ctx, t.charges)
	if err != nil {
		return guard.Verdict{}, fmt.Errorf("quota: take: %w", err)
	}
	if a.Outcome == Admitted {
		t.mu.Lock()
		late := t.state
		if late == asked {
			t.state = held
		}
		t.mu.Unlock()
		switch late {
		case over:
			q.limiter.Return(t.charges)
		case reached: // the call went on without this answer
			q.end(t, 0)
		}
	}
	return q.verdict(a, t), nil
}

// Settle gives back the calls that did not reach their server, and counts what
// those brought that did.
func (q *quota) Settle(_ context.Context, x *guard.Exchange, o guard.Outcome) {
	t, _ := charged.Get(x)
	for ; t != nil; t = t.next {
		t.mu.Lock()
		was := t.state
		t.state = over
		if o.Reached {
			t.state = reached
		}
		t.mu.Unlock()
		switch {
		case was != held:
		case o.Reached:
			q.end(t, o.BytesIn+o.BytesOut)
		default:
			q.limiter.Return(t.charges)
		}
	}
}

// end settles charges of a call that reached its server: it is in flight no more,
// and brought so many bytes, of which one unit is charged.
func (q *quota) end(t *taken, size int64) {
	units := min(max(0, size)/Unit, math.MaxUint32)
	for i := range t.charges {
		switch t.charges[i].Limit.Kind {
		case InFlight:
			q.limiter.Return(t.charges[i : i+1])
		case Bytes:
			if units > 0 {
				q.limiter.Spend(t.charges[i:i+1], uint32(units))
			}
		}
	}
}

func (q *quota) verdict(a Answer, t *taken) guard.Verdict {
	if a.Outcome != Admitted {
		return q.refuse(a, t)
	}
	v := guard.Pass()
	duties := t.duties[:0]
	if a.Unshared {
		duties = append(duties, guard.Obligation{Kind: guard.AddLabel, Name: labelUnshared})
	}
	for i := range t.charges {
		if t.charges[i].Lent {
			duties = append(duties, guard.Obligation{Kind: guard.AddLabel, Name: labelLent})
			break
		}
	}
	v.Obligations = q.inform(duties, t, -1, 0)
	return v
}
