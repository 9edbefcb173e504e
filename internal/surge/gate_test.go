package surge

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/surge"
)

// fixed are valves whose limit does not move.
func fixed(limit int, change func(c *surge.Config)) *Valves {
	c := surge.Default()
	c.Limit = surge.LimitConfig{Min: limit, Start: limit, Max: limit}
	c.Lend, c.Queue.Time = 100, time.Minute
	if change != nil {
		change(&c)
	}
	return New(func() time.Duration { return 0 }, c)
}

// enter lets a call in, or says that it waits.
func enter(t testing.TB, v *Valves, c surge.Call) *surge.Call {
	t.Helper()
	if a, known := v.Enter(&c); known && a.Outcome != surge.Admitted {
		t.Fatalf("refused: %+v", a)
	}
	return &c
}

func at(c *surge.Call) place { return c.State.(*ticket).at }

func of(tenant, caller string, class int) surge.Call {
	return surge.Call{Server: "crm", Work: "w", Tenant: tenant, Caller: caller, Class: class, Weight: 1}
}

// Who waits goes in by class, then by tenant, then by caller, then by time.
func TestTheOrderOfTheQueue(t *testing.T) {
	v := fixed(2, nil)
	one, two := enter(t, v, of("acme", "a", 0)), enter(t, v, of("acme", "b", 0))
	batch := enter(t, v, of("quiet", "q", 1))
	more := enter(t, v, of("acme", "a", 0))
	third := enter(t, v, of("acme", "c", 0))
	other := enter(t, v, of("other", "o", 0))
	for i, want := range []*surge.Call{other, third, more, batch} {
		if at(want) != waiting {
			t.Fatalf("turn %d: in too early", i)
		}
		leave := one
		if i%2 == 1 {
			leave = two
		}
		v.Leave(leave, surge.Done)
		if at(want) != inside {
			t.Fatalf("turn %d: not in", i)
		}
		if i%2 == 0 {
			one = want
		} else {
			two = want
		}
	}
}

// A less urgent class gets one turn in ten, however many urgent calls wait.
func TestBatchWorkDoesNotStarve(t *testing.T) {
	v := fixed(1, nil)
	in := enter(t, v, of("a", "x", 0))
	batch := enter(t, v, of("a", "y", 1))
	for turn := 1; at(batch) == waiting; turn++ {
		if turn > 10 {
			t.Fatal("batch work starves")
		}
		next := enter(t, v, of("a", "x", 0))
		v.Leave(in, surge.Done)
		in = next
	}
}

// A tenant with three parts gets three calls where others get one.
func TestSharesFollowWeights(t *testing.T) {
	v := fixed(8, nil)
	heavy, light := of("heavy", "h", 0), of("light", "l", 0)
	heavy.Weight = 3
	var in []*surge.Call
	for range 8 {
		in = append(in, enter(t, v, of("first", "f", 0)))
	}
	for range 20 {
		enter(t, v, heavy)
		enter(t, v, light)
	}
	for _, c := range in {
		v.Leave(c, surge.Done)
	}
	g := v.gates["crm"]
	if h, l := g.tenants["heavy"].in, g.tenants["light"].in; h != 6 || l != 2 {
		t.Errorf("%d and %d calls of 8", h, l)
	}
}

// What is not lent is there for a tenant that comes.
func TestWhoComesFindsRoomBesideATenantThatWantsAll(t *testing.T) {
	v := fixed(10, func(c *surge.Config) { c.Lend = 80 })
	for range 20 {
		enter(t, v, of("greedy", "g", 0))
	}
	if n := v.Status()[0]; n.Calls != 8 || n.Waiting != 12 {
		t.Fatalf("%+v", n)
	}
	for range 2 {
		if c := enter(t, v, of("modest", "m", 0)); at(c) != inside {
			t.Error("the modest tenant waits")
		}
	}
	if c := enter(t, v, of("modest", "m", 1)); at(c) != waiting {
		t.Error("batch work took what is kept for urgent calls")
	}
}

// A full queue gives way to a tenant that has less in it, and to nobody else.
func TestOneTenantCannotFillTheQueue(t *testing.T) {
	v := fixed(1, func(c *surge.Config) { c.Queue.Length = 4 })
	enter(t, v, of("greedy", "g", 0))
	var queue []*surge.Call
	for range 4 {
		queue = append(queue, enter(t, v, of("greedy", "g", 0)))
	}
	c := of("greedy", "g2", 0)
	if a, known := v.Enter(&c); !known || a.Outcome != surge.Strained { // nobody else is there
		t.Errorf("a fifth: %+v, %v", a, known)
	}
	modest := enter(t, v, of("modest", "m", 0))
	if at(modest) != waiting || at(queue[3]) != outside {
		t.Error("the greedy tenant's last call did not give way")
	}
	if a, err := v.Wait(t.Context(), queue[3]); err != nil || a.Outcome != surge.Excess {
		t.Errorf("who gave way: %+v, %v", a, err)
	}
	enter(t, v, of("modest", "m", 0)) // two and two
	c = of("modest", "m", 0)
	if a, known := v.Enter(&c); !known || a.Outcome == surge.Admitted {
		t.Errorf("more than half of the queue: %+v, %v", a, known)
	}
	batch := of("third", "t", 1)
	if a, known := v.Enter(&batch); !known {
		t.Errorf("batch work displaced an urgent call: %+v", a)
	}
}

// Idle is who has few calls for his limit, and is well.
func TestWhenAServerIsIdle(t *testing.T) {
	v := fixed(4, nil)
	if !v.Idle("crm") || !v.Idle("never seen") {
		t.Error("nobody is there")
	}
	one := enter(t, v, of("a", "x", 0))
	if !v.Idle("crm") {
		t.Error("one call of four")
	}
	two := enter(t, v, of("a", "x", 0))
	if v.Idle("crm") {
		t.Error("half of the limit is in use")
	}
	v.Leave(one, surge.Done)
	v.Leave(two, surge.Done)
	v.gates["crm"].law.doubt = true
	if v.Idle("crm") {
		t.Error("it was slow when looked at last")
	}
}

func TestWhoWaitsIsToldWhenTheTimeIsOver(t *testing.T) {
	v := fixed(1, func(c *surge.Config) { c.Queue.Time = 5 * time.Millisecond })
	enter(t, v, of("a", "x", 0))
	c := enter(t, v, of("b", "y", 0))
	if a, err := v.Wait(t.Context(), c); err != nil || a.Outcome != surge.Strained || a.After <= 0 {
		t.Errorf("%+v, %v", a, err)
	}
	if s := v.Status()[0]; s.Waiting != 0 || s.Tenants != 1 {
		t.Errorf("%+v", s)
	}
}

// A caller that is gone takes no place, whether it left before, while or after it
// waited; and a place is given back once.
func TestWhoHasLeftTakesNoPlace(t *testing.T) {
	v := fixed(1, nil)
	one := enter(t, v, of("a", "x", 0))
	two := enter(t, v, of("a", "x", 0))
	v.Leave(two, surge.Unsent) // settled before anybody waited for it
	if _, err := v.Wait(t.Context(), two); err == nil {
		t.Error("who has left is let in")
	}
	three := enter(t, v, of("a", "x", 0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a, err := v.Wait(ctx, three); err == nil {
		t.Errorf("who gave up got %+v", a)
	}
	v.Leave(three, surge.Unsent)
	v.Leave(one, surge.Done)
	v.Leave(one, surge.Done)
	v.Replied(one)
	if s := v.Status()[0]; s.Calls != 0 || s.Waiting != 0 || s.Tenants != 0 {
		t.Errorf("%+v", s)
	}
}

// What was learned of a server outlives a configuration; a server that nobody
// uses any more is forgotten.
func TestAConfigurationChangesWhatHolds(t *testing.T) {
	v := fixed(1, nil)
	enter(t, v, of("a", "x", 0))
	c := enter(t, v, of("a", "x", 0))
	gone := of("a", "x", 0)
	gone.Server = "old"
	v.Leave(enter(t, v, gone), surge.Done)
	next := *v.config.Load()
	next.Limit = surge.LimitConfig{Min: 2, Start: 2, Max: 2}
	v.Configure(next)
	if at(c) != inside {
		t.Error("there is room now")
	}
	v.Configure(next)
	if s := v.Status(); len(s) != 1 || s[0].Server != "crm" {
		t.Errorf("%+v", s)
	}
}

// Many at once: never more than the limit, and nobody is lost.
func TestManyAtOnce(t *testing.T) {
	began := time.Now()
	c := surge.Default()
	c.Limit, c.Queue.Time = surge.LimitConfig{Min: 5, Start: 5, Max: 5}, 20*time.Millisecond
	v := New(func() time.Duration { return time.Since(began) }, c)
	var wg sync.WaitGroup
	var mu sync.Mutex
	in, most, admitted, refused := 0, 0, 0, 0
	for i := range 40 {
		wg.Go(func() {
			for range 50 {
				c := of(fmt.Sprint("t", i%4), fmt.Sprint("c", i), i%2)
				a, known := v.Enter(&c)
				if !known {
					a, _ = v.Wait(t.Context(), &c)
				}
				if a.Outcome != surge.Admitted {
					mu.Lock()
					refused++
					mu.Unlock()
					v.Leave(&c, surge.Unsent)
					continue
				}
				mu.Lock()
				in, admitted = in+1, admitted+1
				most = max(most, in)
				mu.Unlock()
				time.Sleep(50 * time.Microsecond)
				v.Replied(&c)
				mu.Lock()
				in--
				mu.Unlock()
				v.Leave(&c, surge.Done)
			}
		})
	}
	wg.Wait()
	if s := v.Status()[0]; most > 5 || admitted+refused != 2000 || s.Calls != 0 || s.Waiting != 0 || s.Tenants != 0 {
		t.Errorf("at most %d at once; %d admitted, %d refused; %+v", most, admitted, refused, s)
	}
}
