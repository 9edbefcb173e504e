// Package quota limits how many calls may be made in a span of time.
package quota

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Reasons of this guard.
const (
	QuotaExceeded    guard.Reason = "quota_exceeded"
	QuotaUnavailable guard.Reason = "quota_unavailable"
)

// Labels of this guard.
const labelUnshared = "quota.unshared"

// Port is what the guard needs from outside.
type Port struct {
	// Limiter returns what counts under a configuration. Without it the guard is
	// left out.
	Limiter func(Config) (Limiter, error)
	Rules   []Rule // that stand elsewhere in the configuration
}

// Spec presents the guard to the chain.
func Spec(p Port) guard.Spec {
	return guard.Define("quota", "Limits how many calls may be made in a span of time.", DefaultConfig(), func(c Config) (guard.Guard, error) {
		rules := append(append([]Rule(nil), c.Rules...), p.Rules...)
		if err := validate(rules); err != nil || p.Limiter == nil || len(rules) == 0 {
			return nil, err
		}
		l, err := p.Limiter(c)
		if err != nil {
			return nil, err
		}
		g := &quota{limiter: l}
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
}

type quota struct {
	limiter Limiter
	rules   []rule
}

// taken is what one exchange was charged. A pending question writes it from
// another goroutine, which may be late: whoever comes second gives back.
type taken struct {
	charges []Charge
	first   [2]Charge

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
	var who Key
	for i := range q.rules {
		r := &q.rules[i]
		if !r.counts(x, m) {
			continue
		}
		if t == nil {
			t = new(taken)
			t.charges = t.first[:0]
			who = caller(x)
		}
		t.charges = append(t.charges, r.charge(x, m, &who))
	}
	if t == nil {
		return guard.Pass(), nil
	}
	a, known := q.limiter.TryTake(t.charges)
	if known && a.Outcome != Admitted {
		return refuse(a, t.charges), nil
	}
	t.next, _ = charged.Get(x)
	charged.Set(x, t)
	if known {
		t.state = held
		return verdict(a, t.charges), nil
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
		if late == over {
			q.limiter.Return(t.charges)
		}
	}
	return verdict(a, t.charges), nil
}

// Settle gives back the calls that did not reach their server.
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
		if was == held && !o.Reached {
			q.limiter.Return(t.charges)
		}
	}
}

func verdict(a Answer, charges []Charge) guard.Verdict {
	if a.Outcome != Admitted {
		return refuse(a, charges)
	}
	v := guard.Pass()
	if a.Unshared {
		v.Obligations = []guard.Obligation{{Kind: guard.AddLabel, Name: labelUnshared}}
	}
	return v
}

func refuse(a Answer, charges []Charge) guard.Verdict {
	l := charges[a.Charge].Limit
	if a.Outcome == Unavailable {
		v := guard.Refuse(QuotaUnavailable, fmt.Sprintf("rule %s: %v", l.Name, a.Cause))
		v.Obligations = []guard.Obligation{{Kind: guard.RetryAfter, Value: "1"}}
		return v
	}
	// A whole second more than nothing: who comes back at once is refused again.
	wait := strconv.FormatInt(max(1, int64((a.After+time.Second-1)/time.Second)), 10)
	v := guard.Refuse(QuotaExceeded, "rule "+l.Name)
	v.Hint = "Limit " + l.Name + ": " + text(l.Windows) + ". Try again in " + wait + " s."
	v.Obligations = []guard.Obligation{{Kind: guard.RetryAfter, Value: wait}}
	return v
}

// text writes windows as a configuration does.
func text(windows []Window) string {
	var b []byte
	for i, w := range windows {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(strconv.AppendUint(b, uint64(w.Count), 10), '/')
		switch w.Per {
		case time.Second:
			b = append(b, "second"...)
		case time.Minute:
			b = append(b, "minute"...)
		case time.Hour:
			b = append(b, "hour"...)
		case 24 * time.Hour:
			b = append(b, "day"...)
		default:
			b = append(b, w.Per.String()...)
		}
	}
	return string(b)
}
