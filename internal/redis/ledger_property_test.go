package redis

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/guard/budget"
	"github.com/sallyport/sallyport/guard/budget/budgettest"
	"github.com/sallyport/sallyport/integration/testenv"
)

// fleet is some replicas of a gateway that share a Redis, and die.
type fleet struct {
	t    *testing.T
	o    Options
	all  []*Ledger
	stop []func()
}

func newFleet(t *testing.T, n int, o Options) *fleet {
	f := &fleet{t: t, o: o, all: make([]*Ledger, n), stop: make([]func(), n)}
	for i := range f.all {
		f.start(i)
	}
	t.Cleanup(f.end)
	return f
}

func (f *fleet) start(i int) {
	f.all[i] = NewLedger(New(f.o, clock(), 10_000), 10_000)
	f.stop[i] = run2(f.all[i])
}

func (f *fleet) end() {
	for i := range f.stop {
		if f.stop[i] != nil {
			f.stop[i]()
			f.stop[i] = nil
		}
	}
}

// kill ends a replica as a crash would: nothing is settled, nothing goes back. It
// returns what dies with it of an account: calls on their way, and use that Redis
// was not told of.
func (f *fleet) kill(i int, k budget.Key) (lost int64) {
	b := f.all[i]
	_ = b.l.client.Close()
	if n := b.accounts.Get([16]byte(k)); n != nil {
		n.mu.Lock()
		lost = n.promised[budget.Cost] + n.spent[budget.Cost] - n.acked[budget.Cost]
		n.mu.Unlock()
	}
	f.stop[i]()
	f.start(i)
	return lost
}

// TestBudgetsHoldWhateverReplicasDo plays random histories of four replicas that
// share an account: calls that cost less or more than was reserved, that are given
// back or forgotten, and crashes in between. What calls used is never more than
// the budget and what the statement of docs/budgets.md adds to it.
func TestBudgetsHoldWhateverReplicasDo(t *testing.T) {
	r := testenv.StartRedis(t)
	f := newFleet(t, 4, Options{Addresses: []string{r.Address}, Timeout: 30 * time.Second, Prefix: "p"})
	type play struct {
		l   *budget.Limit
		key string
	}
	var plays []play
	calls := 0
	rapid.Check(t, func(rt *rapid.T) {
		total := rapid.Int64Range(1, 2000).Draw(rt, "limit")
		l := budgettest.Limit("x", rapid.Bool().Draw(rt, "exact"), budget.Amounts{budget.Cost: total})
		l.Lease.Hold = 3 * time.Second
		key := fmt.Sprintf("%016x", rand.Uint64())
		plays = append(plays, play{l, key})
		type call struct {
			at     int
			claims []budget.Claim
		}
		var open []call
		var used, beyond, lost int64
		check := func() {
			if used > total+beyond+lost {
				rt.Fatalf("calls used %d; the budget is %d, %d were beyond reservations and %d died with replicas", used, total, beyond, lost)
			}
		}
		pick := func() call {
			n := rapid.IntRange(0, len(open)-1).Draw(rt, "call")
			c := open[n]
			open = append(open[:n], open[n+1:]...)
			return c
		}
		for range rapid.IntRange(10, 120).Draw(rt, "steps") {
			switch step := rapid.IntRange(0, 19).Draw(rt, "step"); {
			case step < 10:
				i, cost := rapid.IntRange(0, 3).Draw(rt, "replica"), rapid.Int64Range(1, 1+total/8).Draw(rt, "cost")
				claims := []budget.Claim{budgettest.Claim(l, key, cost)}
				a, err := budgettest.Reserve(t.Context(), f.all[i], claims)
				if err != nil || a.Outcome == budget.Unavailable || a.Left < 0 {
					rt.Fatalf("%+v, %v", a, err)
				}
				if calls++; a.Outcome == budget.Reserved {
					open = append(open, call{i, claims})
				}
			case step < 15 && len(open) > 0:
				c := pick()
				reserved := c.claims[0].Amounts[budget.Cost]
				cost := rapid.Int64Range(0, reserved+reserved/8).Draw(rt, "cost")
				f.all[c.at].Settle(c.claims, budget.Amounts{cost, 1, 0, 0})
				f.all[c.at].Settle(c.claims, budget.Amounts{cost, 1, 0, 0}) // once more, by mistake
				used, beyond = used+cost, beyond+max(0, cost-reserved)
			case step < 18 && len(open) > 0:
				c := pick()
				f.all[c.at].Settle(c.claims, budget.Amounts{})
			case step == 18:
				time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
			case step == 19 && rapid.IntRange(0, 3).Draw(rt, "luck") == 0:
				i := rapid.IntRange(0, 3).Draw(rt, "replica")
				lost += f.kill(i, budgettest.Key("x/"+key))
				var others []call
				for _, c := range open {
					if c.at != i {
						others = append(others, c)
					} else {
						used += c.claims[0].Amounts[budget.Cost] // their servers may have done their work
					}
				}
				open = others
			}
			check()
		}
		claim := budgettest.Claim(l, key, 0)
		s, err := f.all[0].Read(t.Context(), &claim)
		if left, _ := s.Left(budget.Cost); err != nil || left < 0 || s.Used[budget.Cost] > total || s.Used[budget.Cost] < 0 {
			rt.Fatalf("%+v, %v", s, err)
		}
		for _, c := range open {
			f.all[c.at].Settle(c.claims, c.claims[0].Amounts)
			used += c.claims[0].Amounts[budget.Cost]
		}
		check()
	})
	t.Logf("%d histories, %d calls", len(plays), calls)
	f.end() // what replicas hold goes back
	reader := ledger(t, f.o)
	for _, p := range plays {
		claim := budgettest.Claim(p.l, p.key, 0)
		testenv.Eventually(t, time.Minute, "nothing is reserved, since nobody lives who needs it", func() bool {
			s, err := reader.Read(t.Context(), &claim)
			if err != nil {
				t.Fatal(err)
			}
			return s.Held == budget.Amounts{}
		})
	}
}

// TestBudgetsOutliveAFailover has four replicas use up budgets while sentinels
// replace the server, and one replica die.
func TestBudgetsOutliveAFailover(t *testing.T) {
	t.Parallel() // it waits more than it computes, with servers of its own
	master := testenv.StartRedis(t)
	second := testenv.StartRedis(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(master.Port()), "--repl-diskless-sync-delay", "0")
	sentinel := testenv.StartRedis(t, "--sentinel", fmt.Sprintf(
		"sentinel monitor main 127.0.0.1 %d 1\nsentinel down-after-milliseconds main 1500\nsentinel failover-timeout main 3000\n", master.Port()))
	o := Options{Addresses: []string{sentinel.Address}, Master: "main", Timeout: time.Second, Prefix: "f"}
	f := newFleet(t, 4, o)
	const total, cost = 60_000, 10
	l := budgettest.Limit("x", false, budget.Amounts{budget.Cost: total})
	l.Lease.Hold = 30 * time.Second // nobody is given up for dead
	testenv.Eventually(t, time.Minute, "the sentinel knows the second server", func() bool {
		c := connect(Options{Addresses: []string{sentinel.Address}, Timeout: 5 * time.Second})
		defer c.Close()
		found, err := c.Do(t.Context(), "sentinel", "replicas", "main").Slice()
		return err == nil && len(found) == 1
	})
	copied := connect(Options{Addresses: []string{second.Address}, Timeout: 5 * time.Second})
	defer copied.Close()
	testenv.Eventually(t, time.Minute, "the second server follows", func() bool {
		size, err := copied.DBSize(t.Context()).Result()
		return err == nil && size > 0 // the replicas
	})
	var used, refused atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(2 * time.Minute)
	for i := range f.all {
		wg.Go(func() {
			for time.Now().Before(end) {
				claims := []budget.Claim{budgettest.Claim(l, "a", cost)}
				a, err := budgettest.Reserve(t.Context(), f.all[i], claims)
				switch {
				case err != nil:
					t.Error(err)
					return
				case a.Outcome == budget.Exhausted:
					if refused.Add(1) > 40 {
						return
					}
					time.Sleep(20 * time.Millisecond)
				case a.Outcome == budget.Reserved:
					used.Add(cost)
					time.Sleep(time.Millisecond)
					f.all[i].Settle(claims, budget.Amounts{cost, 1, 0, 0})
					if used.Load() > total/4 && i == 0 && master != nil {
						master.Stop()
						master = nil
					}
				default:
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	if refused.Load() == 0 {
		t.Error("the budget was never used up")
	}
	// What replicas held when the server was lost, and its successor did not know.
	const bound int64 = total + 4*min(100*cost, total/8)
	if n := used.Load(); n > bound {
		t.Errorf("%d used of %d; the bound is %d", n, total, bound)
	} else {
		t.Logf("%d used of %d; the bound is %d", n, total, bound)
	}
	claim := budgettest.Claim(l, "a", 0)
	testenv.Eventually(t, time.Minute, "the account is told all", func() bool {
		s, err := f.all[1].Read(t.Context(), &claim)
		return err == nil && s.Used[budget.Cost]+s.Overrun >= used.Load() && s.Held[budget.Cost] == 0
	})
}
