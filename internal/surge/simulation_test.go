package surge

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/surge"
)

// world is a server with its callers in a time of its own, in which a test may
// say how long things take.
type world struct {
	now    time.Duration
	events events
	valves *Valves
	random *rand.Rand

	workers int // calls that the server works on at once; others wait there
	service func(now time.Duration, working int) time.Duration
	fails   func(now time.Duration) bool
	resumes func(at time.Duration) time.Duration // of what would end at a moment in which all stands still; the moment itself otherwise
	working int
	line    []*visit
	peak    int // most calls at the server, since it was set to 0

	pending []*visit // in the valve's queue
	looked  uint64   // turns that were looked at
}

type visit struct {
	call  *surge.Call
	began time.Duration
	done  func(v *visit, a surge.Outcome, took time.Duration)
}

type event struct {
	at time.Duration
	do func()
}
type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any          { o := *e; x := o[len(o)-1]; *e = o[:len(o)-1]; return x }

func newWorld(workers int, service time.Duration) *world {
	w := &world{workers: workers, random: rand.New(rand.NewPCG(1, 2))}
	w.service = func(time.Duration, int) time.Duration { return service }
	w.fails = func(time.Duration) bool { return false }
	w.resumes = func(at time.Duration) time.Duration { return at }
	w.valves = New(func() time.Duration { return w.now }, surge.Default())
	return w
}

func (w *world) after(d time.Duration, do func()) { heap.Push(&w.events, event{w.now + d, do}) }

func (w *world) until(t time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= t {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
		w.admitted()
	}
	w.now = t
}

func (w *world) arrive(c surge.Call, done func(v *visit, a surge.Outcome, took time.Duration)) {
	v := &visit{call: &c, began: w.now, done: done}
	switch a, known := w.valves.Enter(v.call); {
	case !known:
		w.pending = append(w.pending, v)
		w.after(w.valves.config.Load().Queue.Time, func() {
			if i := slices.Index(w.pending, v); i >= 0 && v.call.State.(*ticket).at == waiting {
				w.pending = slices.Delete(w.pending, i, i+1)
				a := v.call.State.(*ticket).gate.refusal(v.call.State.(*ticket))
				w.valves.Leave(v.call, surge.Unsent)
				done(v, a.Outcome, w.now-v.began)
			}
		})
	case a.Outcome == surge.Admitted:
		w.serve(v)
	default:
		done(v, a.Outcome, 0)
	}
}

// admitted looks whose turn it became.
func (w *world) admitted() {
	g := w.valves.gates["crm"]
	turns := g.grants + g.counts.displaced
	if turns == w.looked {
		return
	}
	w.looked = turns
	for i := 0; i < len(w.pending); i++ {
		v := w.pending[i]
		t := v.call.State.(*ticket)
		if t.at == waiting {
			continue
		}
		w.pending = slices.Delete(w.pending, i, i+1)
		i--
		if t.at == inside {
			w.serve(v)
		} else {
			v.done(v, t.refusal.Outcome, w.now-v.began)
		}
	}
}

func (w *world) serve(v *visit) {
	w.line = append(w.line, v)
	w.peak = max(w.peak, w.working+len(w.line))
	w.work()
}

func (w *world) work() {
	for w.working < w.workers && len(w.line) > 0 {
		v := w.line[0]
		w.line = w.line[1:]
		w.working++
		took := w.service(w.now, w.working+len(w.line))
		took += time.Duration((w.random.Float64() - 0.5) * 0.1 * float64(took))
		w.after(w.resumes(w.now+took)-w.now, func() {
			w.working--
			w.valves.Replied(v.call)
			end := surge.Done
			if w.fails(w.now) {
				end = surge.Failed
			}
			w.valves.Leave(v.call, end)
			v.done(v, surge.Admitted, w.now-v.began)
			w.work()
		})
	}
}

// busy are clients of a tenant that each make the next call when the last one is
// answered, or a while after it was refused.
func (w *world) busy(clients int, c surge.Call, tally *tally) {
	for i := range clients {
		call := c
		call.Caller = string(rune('a' + i%26))
		var next func()
		next = func() {
			w.arrive(call, func(_ *visit, a surge.Outcome, took time.Duration) {
				tally.add(a, took)
				pause := time.Duration(0)
				if a != surge.Admitted {
					pause = 50 * time.Millisecond
				}
				w.after(pause, next)
			})
		}
		w.after(time.Duration(w.random.IntN(20))*time.Millisecond, next)
	}
}

// steady makes calls of a tenant at an even rate, whatever becomes of them.
func (w *world) steady(every time.Duration, c surge.Call, tally *tally) {
	var next func()
	next = func() {
		w.arrive(c, func(_ *visit, a surge.Outcome, took time.Duration) { tally.add(a, took) })
		w.after(every/2+time.Duration(w.random.Int64N(int64(every))), next)
	}
	w.after(0, next)
}

type tally struct {
	outcomes [3]int
	took     []time.Duration
}

func (t *tally) add(a surge.Outcome, took time.Duration) {
	t.outcomes[a]++
	if a == surge.Admitted {
		t.took = append(t.took, took)
	}
}

func (t *tally) quantile(q float64) time.Duration {
	if len(t.took) == 0 {
		return 0
	}
	s := slices.Clone(t.took)
	slices.Sort(s)
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

func (w *world) limit() int { return w.valves.gates["crm"].limit() }

func crm(tenant string) surge.Call {
	return surge.Call{Server: "crm", Work: "tools/call find", Tenant: tenant, Weight: 1}
}

// A server with 32 workers gets about as many calls.
func TestTheLimitFollowsWhatTheServerCanBear(t *testing.T) {
	w := newWorld(32, 20*time.Millisecond)
	var all tally
	w.steady(50*time.Millisecond, crm("a"), new(tally)) // a quiet morning
	w.until(10 * time.Second)
	w.busy(100, crm("a"), &all)
	w.until(20 * time.Second)
	w.peak = 0
	low, high := 1000, 0
	for range 80 {
		w.until(w.now + 100*time.Millisecond)
		low, high = min(low, w.limit()), max(high, w.limit())
	}
	t.Logf("limit %d to %d, at the server at most %d; p50 %v, p99 %v; %v", low, high, w.peak, all.quantile(.5), all.quantile(.99), all.outcomes)
	if low < 25 || high > 48 {
		t.Errorf("the limit moves between %d and %d; the server has 32 workers", low, high)
	}
}

func TestAServerThatBecomesTenTimesSlowerIsNotOverrunAndRecovers(t *testing.T) {
	for _, kind := range []string{"workers", "contention"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(32, 20*time.Millisecond)
			factor := 1
			w.service = func(_ time.Duration, n int) time.Duration {
				if kind == "contention" && n > 8*1 && factor > 1 { // the more it has, the slower it gets
					return time.Duration(factor) * 20 * time.Millisecond * time.Duration(n) / 8
				}
				return time.Duration(factor) * 20 * time.Millisecond
			}
			var before, during, after tally
			now := &before
			w.steady(50*time.Millisecond, crm("a"), new(tally))
			w.until(5 * time.Second)
			for i := range 100 {
				call := crm("a")
				call.Caller = string(rune('a' + i%26))
				var next func()
				next = func() {
					w.arrive(call, func(_ *visit, a surge.Outcome, took time.Duration) {
						now.add(a, took)
						pause := time.Duration(0)
						if a != surge.Admitted {
							pause = 50 * time.Millisecond
						}
						w.after(pause, next)
					})
				}
				next()
			}
			w.until(15 * time.Second)
			most := w.limit()
			factor, now, w.peak = 10, &during, 0
			w.until(16 * time.Second)
			peak := w.peak
			w.peak = 0
			low, high := 1000, 0
			for range 140 {
				w.until(w.now + 100*time.Millisecond)
				low, high = min(low, w.limit()), max(high, w.limit())
			}
			slowPeak := w.peak
			factor, now = 1, &after
			w.until(45 * time.Second)
			t.Logf("before: limit %d, %d calls, p50 %v; slow: at first at most %d at the server, then %d, limit %d to %d, %d calls, p50 %v; after: limit %d, %d calls, p50 %v",
				most, len(before.took), before.quantile(.5), peak, slowPeak, low, high, len(during.took), during.quantile(.5), w.limit(), len(after.took), after.quantile(.5))
			if peak > most+2 || slowPeak > 48 {
				t.Errorf("it was overrun: %d, then %d calls at once", peak, slowPeak)
			}
			if kind == "contention" && slowPeak > 36 {
				t.Errorf("%d calls at once at a server that 8 slow down", slowPeak)
			}
			if w.limit() < 20 {
				t.Errorf("it did not recover: limit %d", w.limit())
			}
		})
	}
}

// A machine that stands still for a moment, as it does for want of CPU, does not
// take the limit away.
func TestPausesOfTheMachineAreNoStrain(t *testing.T) {
	w := newWorld(32, 20*time.Millisecond)
	w.steady(50*time.Millisecond, crm("a"), new(tally))
	w.until(5 * time.Second)
	const every, length = 700 * time.Millisecond, 150 * time.Millisecond
	w.resumes = func(at time.Duration) time.Duration {
		if into := at % every; into < length {
			return at - into + length
		}
		return at
	}
	var all tally
	w.busy(100, crm("a"), &all)
	w.until(10 * time.Second)
	low, high, sum := 1000, 0, 0
	const looks = 150
	for range looks {
		w.until(w.now + 100*time.Millisecond)
		low, high, sum = min(low, w.limit()), max(high, w.limit()), sum+w.limit()
	}
	t.Logf("limit %d to %d, on average %d; %d calls", low, high, sum/looks, len(all.took))
	if low < 12 || sum/looks < 24 || high > 48 {
		t.Errorf("limit %d to %d, on average %d; the server has 32 workers", low, high, sum/looks)
	}
}

// Calls of one kind that differ a lot by their arguments make the limit neither fall
// nor rise by and by.
func TestTheLimitStaysWhereCallsDiffer(t *testing.T) {
	for _, workers := range []int{16, 100} {
		for _, spread := range []float64{0.3, 1} { // of the logarithm
			w := newWorld(workers, 0)
			w.service = func(time.Duration, int) time.Duration {
				return time.Duration(1e8 * math.Exp(spread*w.random.NormFloat64()-spread*spread/2))
			}
			w.steady(50*time.Millisecond, crm("a"), new(tally))
			w.until(10 * time.Second)
			w.busy(3*workers, crm("a"), new(tally))
			w.until(25 * time.Second)
			low, high, sum := 1000, 0, 0
			const looks = 300
			for range looks {
				w.until(w.now + 100*time.Millisecond)
				low, high, sum = min(low, w.limit()), max(high, w.limit()), sum+w.limit()
			}
			t.Logf("%d workers, spread %.1f: limit %d to %d, on average %d", workers, spread, low, high, sum/looks)
			if n := sum / looks; n < workers*3/4 || n > workers*5/4 {
				t.Errorf("%d workers, spread %.1f: the limit is %d on average", workers, spread, n)
			}
		}
	}
}

// One tenant at ten times its share does not touch another, whatever chance brings.
func TestAGreedyTenantDoesNotSlowAnotherDown(t *testing.T) {
	run := func(seed uint64, greedy int) (*tally, *tally, int) {
		w := newWorld(32, 20*time.Millisecond)
		w.random = rand.New(rand.NewPCG(seed, 2))
		var modest, other tally
		w.steady(10*time.Millisecond, crm("modest"), new(tally))
		w.until(5 * time.Second)
		if greedy > 0 {
			w.busy(greedy, crm("greedy"), &other)
		}
		w.until(7 * time.Second)
		w.steady(10*time.Millisecond, crm("modest"), &modest)
		w.until(19 * time.Second)
		return &modest, &other, w.limit()
	}
	for seed := range uint64(2) {
		alone, _, _ := run(seed, 0)
		beside, greedy, limit := run(seed, 160)
		t.Logf("alone p50 %v, p99 %v; beside p50 %v, p99 %v, %v; greedy %v; limit %d", alone.quantile(.5), alone.quantile(.99), beside.quantile(.5), beside.quantile(.99), beside.outcomes, greedy.outcomes, limit)
		if a, b := alone.quantile(.99), beside.quantile(.99); b > a*12/10 {
			t.Errorf("p99 went from %v to %v", a, b)
		}
		if n := beside.outcomes[surge.Strained] + beside.outcomes[surge.Excess]; n > 0 {
			t.Errorf("%d calls of the modest tenant were refused", n)
		}
		if greedy.outcomes[surge.Excess] == 0 {
			t.Error("nothing of the greedy tenant was refused")
		}
		if n := len(greedy.took); n < 14*32*40 { // the server can do 32 calls in 20 ms
			t.Errorf("the greedy tenant got %d calls in 14 s; most of the room is lent", n)
		}
	}
}
