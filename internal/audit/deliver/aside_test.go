package deliver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/ledger"
)

// siem is a receiver that says no, or breaks, over a batch with a receipt of one
// tenant in it, and names none, as webhooks do. Each delivery takes it a while.
type siem struct {
	mu     sync.Mutex
	worse  error // what it says of them; nil: it takes them
	word   string
	calls  int
	got    []string // tenant and number, first arrivals
	seen   map[string]bool
	away   error
	spends time.Duration
}

func (s *siem) Deliver(ctx context.Context, items []*Item) (Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	time.Sleep(s.spends)
	if s.away != nil {
		return Outcome{}, s.away
	}
	for _, it := range items {
		if s.worse != nil && bytes.Contains(it.Body, []byte(cmp.Or(s.word, `"tenant":"x"`))) {
			return Outcome{}, s.worse
		}
	}
	if s.seen == nil {
		s.seen = make(map[string]bool)
	}
	for _, it := range items {
		first := !s.seen[it.ID]
		s.seen[it.ID] = true
		if it.Kind == Receipt && first {
			s.got = append(s.got, fmt.Sprintf("%s %d", factsOf(it.Kind, it.line).Tenant, it.Seq))
		}
	}
	return Outcome{}, nil
}

func (s *siem) Close() error { return nil }

// of returns the numbers of a tenant's receipts as they arrived first.
func (s *siem) of(tenant string) []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []uint64
	for _, one := range s.got {
		var seq uint64
		if n, _ := fmt.Sscanf(strings.TrimPrefix(one, tenant+" "), "%d", &seq); n == 1 && strings.HasPrefix(one, tenant+" ") {
			out = append(out, seq)
		}
	}
	return out
}

func (s *siem) set(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

func (s *siem) spec() Spec {
	return Spec{Name: "siem", Kind: "double", Open: func() (Sink, error) { return s, nil }, Items: 500, Bytes: 1 << 20, Wait: 5 * time.Millisecond, Timeout: time.Second, Retry: 20 * time.Millisecond}
}

const (
	hostile = `,"tenant":"x","subject":"mallory","name":"{"`
	decent  = `,"tenant":"y","subject":"ada"`
)

// dead returns the numbers of the dead letters.
func dead(t *testing.T, g *testLog) (out []uint64) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Folder(g.dir, "siem"), DeadFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, l := range letters(t, text) {
		out = append(out, l.Seq)
	}
	return out
}

// Tenant x makes every second receipt, and the receiver refuses each of them: those of
// others are not behind, in order, and those of x are all dead letters, in order.
func TestACallerWhoseReceiptsAreRefusedHoldsUpNobodyElse(t *testing.T) {
	g := openLogOf(t, t.TempDir(), 64<<10)
	s := &siem{worse: Refuse("what is that name"), spends: time.Millisecond}
	set := openSet(t, g, s.spec())
	g.add(10, decent)
	eventually(t, "the first", func() bool { return len(s.of("y")) == 10 })
	const pairs = 400
	for range pairs {
		g.add(1, hostile)
		g.add(1, decent)
	}
	eventually(t, "those of y", func() bool { return len(s.of("y")) == pairs+10 })
	s.set(func() {
		// One by one, with what it takes to find each, it would be twice as many as there are.
		if st := set.Status()[0]; s.calls > pairs || int(st.Dead) > pairs/2 {
			t.Errorf("%d deliveries, and %d dead letters, before y had its own", s.calls, st.Dead)
		}
	})
	eventually(t, "those of x", func() bool { return set.Status()[0].Dead == pairs })
	st := set.Status()[0]
	if st.State != "running" || st.Lag != 0 || st.Aside == nil || len(st.Aside.Callers) != 1 {
		t.Errorf("%+v", st)
	}
	y, x := s.of("y"), dead(t, g)
	if !slices.IsSorted(y) || len(slices.Compact(y)) != pairs+10 {
		t.Error("not in order, or not all, of y")
	}
	if !slices.IsSorted(x) || len(slices.Compact(slices.Clone(x))) != pairs || x[0] != 11 {
		t.Errorf("not in order, or not all, of x: %d", len(x))
	}
	// The receiver learns to read them: nothing of x is lost, and x is one of the others again.
	s.set(func() { s.worse = nil })
	for range calm + 10 {
		g.add(1, hostile)
		g.add(1, decent)
	}
	eventually(t, "x is forgiven", func() bool { return len(s.of("x")) == calm+10 && set.Status()[0].Aside == nil })
	if x := s.of("x"); !slices.IsSorted(x) {
		t.Error("not in order, of x")
	}
	eventually(t, "what was taken is counted once", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return set.Status()[0].Delivered == uint64(len(s.seen))
	})
	closeSet(set, time.Minute)
	g.close()
}

// A hundred refused receipts one after the other look like a system that takes
// nothing any more. It took others, and takes those again: so it is the receipts.
func TestAFloodOfRefusedReceiptsStopsNoSink(t *testing.T) {
	for _, restart := range []bool{false, true} {
		g := openLogOf(t, t.TempDir(), 64<<10)
		s := &siem{worse: Refuse("what is that name")}
		set := openSet(t, g, s.spec())
		g.add(5, decent)
		eventually(t, "the first", func() bool { return len(s.of("y")) == 5 })
		if restart { // the sink does not know any more what it was that was taken, but where
			closeSet(set, time.Minute)
			set = openSet(t, g, s.spec())
		}
		g.add(5*mostPoison, hostile)
		g.add(5, decent)
		eventually(t, "the last", func() bool { return len(s.of("y")) == 10 })
		eventually(t, "all of x", func() bool { return set.Status()[0].Dead == 5*mostPoison })
		// And if it is the system, it is not given up by the thousand.
		s.set(func() { s.away = Refuse("nothing today") })
		g.add(5*mostPoison, decent)
		eventually(t, "failing", func() bool { return set.Status()[0].State == "failing" })
		if n := set.Status()[0].Dead; n > 7*mostPoison {
			t.Errorf("%d dead letters", n)
		}
		closeSet(set, time.Millisecond)
		g.close()
	}
}

// A receipt over which the receiver breaks is never refused, and comes again for ever:
// apart from the others.
func TestAReceiptThatBreaksTheReceiverHoldsUpNobodyElse(t *testing.T) {
	g := openLogOf(t, t.TempDir(), 64<<10)
	s := &siem{worse: errors.New("status 500")}
	set := openSet(t, g, s.spec())
	g.add(5, decent)
	eventually(t, "the first", func() bool { return len(s.of("y")) == 5 })
	for range 50 {
		g.add(1, hostile)
		g.add(1, decent)
	}
	eventually(t, "those of y", func() bool { return len(s.of("y")) == 55 })
	st := set.Status()[0]
	if st.Dead != 0 || st.Aside == nil {
		t.Errorf("%+v", st)
	}
	if n, some := set.Behind(); !some || n > st.Aside.At.Segment {
		t.Errorf("what is set aside may be removed: %d, %v", n, some)
	}
	eventually(t, "it is said why", func() bool { return set.Status()[0].AsideError == "status 500" })
	closeSet(set, 50*time.Millisecond)
	set = openSet(t, g, s.spec()) // over a restart, too
	s.set(func() { s.worse = nil })
	eventually(t, "those of x", func() bool { return len(s.of("x")) == 50 })
	if x := s.of("x"); !slices.IsSorted(x) {
		t.Error("not in order")
	}
	closeSet(set, time.Minute)
	g.close()
}

func TestAnOutageSetsNobodyAside(t *testing.T) {
	g := openLogOf(t, t.TempDir(), 64<<10)
	s := &siem{}
	set := openSet(t, g, s.spec())
	g.add(5, decent)
	eventually(t, "the first", func() bool { return len(s.of("y")) == 5 })
	s.set(func() { s.away = errors.New("connection refused") })
	g.add(100, decent)
	eventually(t, "failing", func() bool { st := set.Status()[0]; return st.State == "failing" && st.Retries > 10 })
	if st := set.Status()[0]; st.Aside != nil || st.Dead > 0 {
		t.Errorf("%+v", st)
	}
	s.set(func() { s.away = nil })
	eventually(t, "all", func() bool { return len(s.of("y")) == 105 })
	if err := consecutive(s.of("y"), 1, 105); err != nil {
		t.Error(err)
	}
	closeSet(set, time.Minute)
	g.close()
}

// A replay from before what is set aside has all again; one from after it skips
// nothing of it.
func TestAReplayLosesNothingOfWhatIsSetAside(t *testing.T) {
	g := openLogOf(t, t.TempDir(), 64<<10)
	s := &siem{worse: errors.New("status 500")}
	set := openSet(t, g, s.spec())
	g.add(5, decent)
	eventually(t, "the first", func() bool { return len(s.of("y")) == 5 })
	g.add(20, hostile)
	g.add(20, decent)
	eventually(t, "those of y", func() bool { return len(s.of("y")) == 25 })
	for _, from := range []uint64{40, 3} {
		if _, err := set.Replay("siem", g.at.Add(time.Duration(from)*time.Second)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the end", func() bool { st := set.Status()[0]; return st.Lag == 0 && st.Aside != nil })
	}
	s.set(func() { s.worse = nil })
	eventually(t, "those of x", func() bool { return len(s.of("x")) == 20 })
	if err := consecutive(s.of("x"), 6, 25); err != nil {
		t.Error(err)
	}
	closeSet(set, time.Minute)
	g.close()
}

// The system is away when a replay is asked for, and a caller is set aside again from
// an earlier place: what was in hand of it is not delivered before what comes again.
func TestAReplayOfWhoIsSetAsideAgainSkipsNothing(t *testing.T) {
	g := openLogOf(t, t.TempDir(), 64<<10)
	s := &siem{}
	set := openSet(t, g, s.spec())
	g.add(5, decent)
	g.add(5, hostile)
	g.add(5, decent)
	eventually(t, "the first", func() bool { return len(s.of("y")) == 10 && len(s.of("x")) == 5 })
	s.set(func() { s.worse = errors.New("status 500") })
	g.add(5, hostile)
	g.add(5, decent)
	eventually(t, "x is in hand", func() bool { st := set.Status()[0]; return st.Lag == 0 && st.AsideError != "" })
	s.set(func() { s.away = errors.New("connection refused") })
	g.add(1, decent)
	eventually(t, "failing", func() bool { return set.Status()[0].State == "failing" })
	if _, err := set.Replay("siem", g.at); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it begins anew", func() bool { st := set.Status()[0]; return st.Aside == nil && st.At.Seq == 0 && st.Retries > 10 })
	s.set(func() { s.away, s.seen, s.got = nil, nil, nil })
	eventually(t, "x is set aside again", func() bool { st := set.Status()[0]; return st.Aside != nil && st.Lag == 0 })
	s.set(func() { s.worse = nil })
	eventually(t, "those of x", func() bool { return set.Status()[0].AsideLag == 0 })
	if x := s.of("x"); len(x) != 10 || !slices.IsSorted(x) {
		t.Errorf("of x: %d", x)
	}
	closeSet(set, time.Minute)
	g.close()
}

// A sink takes little, and what it took last is not kept any more: a flood of refused
// receipts is still no reason to take the system for broken.
func TestAFloodOfRefusedReceiptsStopsNoSinkWhoseLastOneIsGone(t *testing.T) {
	g := openLogOf(t, t.TempDir(), 64<<10)
	s := &siem{worse: Refuse("what is that name")}
	spec := s.spec()
	spec.Filter = Filter{Kinds: []Kind{Receipt}, Tenants: []string{"x", "y"}}
	set := openSet(t, g, spec)
	g.add(5, decent)
	eventually(t, "the first", func() bool { return len(s.of("y")) == 5 })
	g.add(500, `,"tenant":"z","subject":"zoe"`)
	eventually(t, "the rest", func() bool { st := set.Status()[0]; return st.Lag == 0 && st.At.Segment > 1 })
	if err := os.Remove(filepath.Join(g.dir, ledger.SegmentFile(1))); err != nil {
		t.Fatal(err)
	}
	g.add(2*mostPoison, hostile)
	g.add(5, decent)
	eventually(t, "the last", func() bool { return len(s.of("y")) == 10 })
	eventually(t, "all of x", func() bool { return set.Status()[0].Dead == 2*mostPoison })
	closeSet(set, time.Minute)
	g.close()
}

// Whoever can make one receipt over which the receiver breaks does not keep what he does
// afterwards from it, and where nobody is identified not what anybody does.
func TestAReceiptThatBreaksTheReceiverHidesNothingThatComesAfterIt(t *testing.T) {
	g := openLogOf(t, t.TempDir(), 64<<10)
	s := &siem{worse: errors.New("status 500"), word: `"name":"poison"`}
	var late atomic.Int64
	o := g.options()
	o.Now = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	set := New(o)
	if err := set.Apply([]Spec{s.spec()}); err != nil {
		t.Fatal(err)
	}
	const one = `,"subject":"ada"`
	g.add(5, one)
	eventually(t, "the first", func() bool { return len(s.of("")) == 5 })
	for range 8 {
		g.add(1, one+`,"name":"poison"`)
		g.add(5, one)
	}
	eventually(t, "it waits", func() bool { return set.Status()[0].AsideError == "status 500" })
	if n := set.Status()[0].Dead; n > 0 {
		t.Errorf("%d dead letters at once", n)
	}
	eventually(t, "the rest", func() bool {
		late.Add(int64(brokenFor / 60))
		return len(s.of("")) == 45 && set.Status()[0].Dead == 8
	})
	if took := time.Duration(late.Load()); took < brokenFor {
		t.Errorf("it took %s", took)
	}
	if all := s.of(""); !slices.IsSorted(all) {
		t.Error("not in order")
	}
	closeSet(set, time.Minute)
	g.close()
}

// sayer is a siem that names what it does not take, and asks for it again.
type sayer struct{ *siem }

func (s sayer) Deliver(ctx context.Context, items []*Item) (Outcome, error) {
	var out Outcome
	var good []*Item
	for i, it := range items {
		if bytes.Contains(it.Body, []byte(`"tenant":"x"`)) {
			out.Again, out.Why = append(out.Again, i), errors.New("status 500 for one")
		} else {
			good = append(good, it)
		}
	}
	_, err := s.siem.Deliver(ctx, good)
	return out, err
}

func TestAReceiptThatIsAskedForAgainForEverHoldsUpNobodyElse(t *testing.T) {
	g := openLogOf(t, t.TempDir(), 64<<10)
	s := sayer{&siem{}}
	spec := s.spec()
	spec.Open = func() (Sink, error) { return s, nil }
	set := openSet(t, g, spec)
	g.add(5, decent)
	eventually(t, "the first", func() bool { return len(s.of("y")) == 5 })
	g.add(1, hostile)
	eventually(t, "it is set aside", func() bool { st := set.Status()[0]; return st.Aside != nil && st.Lag == 0 })
	g.add(5, hostile)
	g.add(600, decent)
	eventually(t, "those of y", func() bool { return len(s.of("y")) == 605 })
	if st := set.Status()[0]; st.Dead != 0 || st.Aside == nil {
		t.Errorf("%+v", st)
	}
	closeSet(set, time.Minute)
	g.close()
}

// Whoever has himself set aside, and waits until retention has removed what he did, is
// not gone without a word.
func TestWhatIsRemovedWhileItIsSetAsideIsSaid(t *testing.T) {
	g := openLogOf(t, t.TempDir(), 64<<10)
	s := &siem{worse: errors.New("status 500")}
	set := openSet(t, g, s.spec())
	g.add(5, decent)
	eventually(t, "the first", func() bool { return len(s.of("y")) == 5 })
	g.add(5, hostile)
	eventually(t, "x is set aside", func() bool { return set.Status()[0].AsideError != "" })
	g.add(700, decent)
	eventually(t, "the rest", func() bool { st := set.Status()[0]; return st.Lag == 0 && st.At.Segment > st.Aside.At.Segment+1 })
	last := set.Status()[0].At.Segment
	closeSet(set, 50*time.Millisecond)
	for n := uint64(1); n < last; n++ {
		if err := os.Remove(filepath.Join(g.dir, ledger.SegmentFile(n))); err != nil {
			t.Fatal(err)
		}
	}
	s.set(func() { s.worse = nil })
	set = openSet(t, g, s.spec())
	eventually(t, "it is said", func() bool { return set.Status()[0].Missed >= 5 })
	eventually(t, "it goes on", func() bool { return set.Status()[0].AsideLag == 0 })
	closeSet(set, time.Minute)
	g.close()
}
