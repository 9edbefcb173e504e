package redis

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/budget"
	"github.com/sallyport/sallyport/guard/budget/budgettest"
	"github.com/sallyport/sallyport/integration/testenv"
)

func TestWhatBudgetsDoWithoutRedis(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := testenv.StartRedis(t)
			p := testenv.StartProxy(t, r.Address)
			b := ledger(t, Options{Addresses: []string{p.Address}, Timeout: f.timeout(), Prefix: "x"})
			limit := func(name string, e budget.OnError) *budget.Limit {
				l := budgettest.Limit(name, true, budget.Amounts{budget.Cost: 60})
				l.OnError = e
				return l
			}
			deny, allow, local := limit("deny", budget.OnErrorDeny), limit("allow", budget.OnErrorAllow), limit("local", budget.OnErrorLocal)
			spend := func(l *budget.Limit, cost int64) budget.Answer {
				began := time.Now()
				claims := []budget.Claim{budgettest.Claim(l, "a", cost)}
				a, err := budgettest.Reserve(t.Context(), b, claims)
				if took := time.Since(began); err != nil || took > time.Minute { // far less, but the machine may be busy
					t.Errorf("%v after %v", err, took)
				}
				b.Settle(claims, claims[0].Amounts)
				return a
			}
			for _, l := range []*budget.Limit{deny, allow, local} {
				testenv.Eventually(t, time.Minute, "a call is counted", func() bool { return spend(l, 20).Outcome == budget.Reserved })
			}
			for _, l := range []*budget.Limit{deny, allow, local} {
				told(t, l.Name+"/a", b)
			}
			f.breaks(t, r, p)
			testenv.Eventually(t, time.Minute, "the breaker opens", func() bool {
				if a := spend(deny, 10); a.Outcome == budget.Reserved {
					t.Error("admitted, though nobody keeps account")
				}
				return b.l.open() != nil
			})
			for range 3 {
				if a := spend(deny, 10); a.Outcome != budget.Unavailable || a.Cause == nil {
					t.Errorf("deny: %+v", a)
				}
				if a := spend(allow, 30); a.Outcome != budget.Reserved || !a.Unshared {
					t.Errorf("allow: %+v", a)
				}
			}
			n := 0
			for range 20 {
				a := spend(local, 10)
				if a.Outcome == budget.Reserved {
					n++
				} else if a.Outcome != budget.Exhausted || a.Measure != budget.Cost {
					t.Errorf("local: %+v", a)
				}
			}
			if n != 4 { // the only replica's share of the 40 that were left
				t.Errorf("local: %d calls", n)
			}
			f.mend(t, r, p)
			testenv.Eventually(t, time.Minute, "Redis is asked again", func() bool { return b.l.open() == nil })
			// What was used meanwhile is counted, and what was used before is not forgotten.
			for _, l := range []*budget.Limit{allow, local} {
				claim := budgettest.Claim(l, "a", 0)
				testenv.Eventually(t, time.Minute, l.Name+" is told", func() bool {
					s, err := b.Read(t.Context(), &claim)
					return err == nil && s.Used[budget.Cost] == 60
				})
				if a := spend(l, 1); a.Outcome != budget.Exhausted {
					t.Errorf("%s afterwards: %+v", l.Name, a)
				}
			}
			testenv.Eventually(t, time.Minute, "calls are counted", func() bool { return spend(deny, 40).Outcome == budget.Reserved })
			if a := spend(deny, 1); a.Outcome != budget.Exhausted {
				t.Errorf("deny afterwards: %+v", a)
			}
		})
	}
}

func TestForgottenScriptsAreSentAgain(t *testing.T) {
	r := testenv.StartRedis(t)
	b := ledger(t, Options{Addresses: []string{r.Address}})
	l := budgettest.Limit("x", true, budget.Amounts{budget.Cost: 2})
	for range 2 {
		claims := []budget.Claim{budgettest.Claim(l, "a", 1)}
		if a, err := budgettest.Reserve(t.Context(), b, claims); err != nil || a.Outcome != budget.Reserved {
			t.Fatalf("%+v, %v", a, err)
		}
		command(t, r, "script", "flush")
	}
}
