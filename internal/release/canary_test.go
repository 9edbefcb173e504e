package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
)

func TestACanaryGoesThroughItsStages(t *testing.T) {
	c := &clock{now: time.Unix(1000, 0)}
	k := keeper(t, c, Stage{Tenants: []string{"pilot"}, Decisions: 5}, Stage{Percent: 10, Decisions: 5, For: time.Minute}, Stage{Percent: 50, For: time.Minute})
	if err := offer(t, k, "1.0.0+a"); err != nil {
		t.Fatal(err)
	}
	is(t, k, "1.0.0+a", "") // there was nothing to compare it with
	if err := offer(t, k, "1.1.0+b"); err != nil {
		t.Fatal(err)
	}
	is(t, k, "1.0.0+a", "1.1.0+b")
	step := func(want string) {
		t.Helper()
		if got := k.Step(); !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	step("")
	k.Plan().Progress.Decisions.Add(5)
	step("stage 2 of 3")
	step("") // a stage counts anew
	k.Plan().Progress.Decisions.Add(5)
	step("") // and the minute is not over
	c.now = c.now.Add(time.Minute)
	step("stage 3 of 3")
	c.now = c.now.Add(time.Minute)
	step("judges everybody")
	is(t, k, "1.1.0+b", "")

	// One that disagrees too much is rejected, and does not come back by itself.
	if err := offer(t, k, "1.2.0+c"); err != nil {
		t.Fatal(err)
	}
	p := k.Plan().Progress
	p.Compared.Add(9)
	p.Disagreed.Add(9)
	step("") // too few to tell
	p.Compared.Add(1)
	step("rejected: 9 of 10 decisions")
	is(t, k, "1.1.0+b", "")
	if s := k.Status(); !strings.Contains(s.Held, "1.2.0+c was rejected") {
		t.Errorf("nobody learns of it: %+v", s)
	}
	var held *Held
	if err := k.Offer(Offer{Archive: archive(t, "1.2.0+c"), Mark: "again"}, nil); !errors.As(err, &held) {
		t.Errorf("it came back: %v", err)
	}

	// At the end of a stage that counts even if little was compared.
	if err := offer(t, k, "1.2.1+h"); err != nil {
		t.Fatal(err)
	}
	p = k.Plan().Progress
	p.Decisions.Add(5)
	p.Asked.Add(5)
	step("") // not before anything was
	p.Compared.Add(3)
	p.Disagreed.Add(2)
	step("rejected: 2 of 3 decisions")

	// So is one that reaches no answers; and one that an operator gives up.
	if err := offer(t, k, "1.3.0+d"); err != nil {
		t.Fatal(err)
	}
	p = k.Plan().Progress
	p.Asked.Add(100)
	p.Errors.Add(11)
	step("11 of 100 evaluations")
	if err := offer(t, k, "1.4.0+e"); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Rollback(""); err != nil || got != "1.1.0+b" {
		t.Fatalf("got %s, %v", got, err)
	}
	is(t, k, "1.1.0+b", "")
	if err := offer(t, k, "1.4.0+f"); !errors.As(err, &held) {
		t.Errorf("the same version again: %v", err)
	}
	if got, err := k.Release(); err != nil || got != "1.4.0+f" {
		t.Fatalf("got %s, %v", got, err)
	}
	is(t, k, "1.1.0+b", "1.4.0+f")
	if got, err := k.Promote(); err != nil || got != "1.4.0+f" {
		t.Fatalf("got %s, %v", got, err)
	}
	if _, err := k.Promote(); err == nil {
		t.Error("promoted what is not there")
	}
	if err := offer(t, k, "1.5.0+g"); err != nil {
		t.Fatal(err)
	}
	if err := offer(t, k, "1.4.0+f"); err != nil { // whoever released it takes it back
		t.Fatal(err)
	}
	is(t, k, "1.4.0+f", "")
}

func TestACanaryGoesOnAfterARestart(t *testing.T) {
	c := &clock{}
	k := keeper(t, c, Stage{Percent: 10, Decisions: 1}, Stage{Percent: 20, Decisions: 1})
	_, _ = offer(t, k, "1.0.0+a"), offer(t, k, "1.1.0+b")
	k.Plan().Progress.Decisions.Add(1)
	k.Step()
	state, archives := k.State()
	load := func(sum string) ([]byte, error) { return archives[sum], nil }
	again, err := NewKeeper(settings(c, k.Stages...), state, load)
	if err != nil {
		t.Fatal(err)
	}
	is(t, again, "1.0.0+a", "1.1.0+b")
	if p := again.Plan(); p.Stage != 1 || p.Progress == nil {
		t.Errorf("got %+v", p)
	}
	if again, err = NewKeeper(settings(c), state, load); err != nil {
		t.Fatal(err)
	}
	is(t, again, "1.0.0+a", "") // there are no stages any more
}

// fixed answers by its name.
type fixed string

func (f fixed) Decide(context.Context, policy.Step, *policy.Input) (*policy.Decision, error) {
	if f == "broken" {
		return nil, errors.New("broken")
	}
	return &policy.Decision{Detail: string(f)}, nil
}
func (f fixed) Masks() bool      { return f == "masks" }
func (f fixed) Revision() string { return string(f) }

func TestACallerStaysWithOnePolicy(t *testing.T) {
	callers := make([]*guard.Principal, 2000)
	for i := range callers {
		callers[i] = &guard.Principal{Issuer: "https://idp", Subject: fmt.Sprint("user-", i), Roles: []string{"support"}}
	}
	count := func(candidate string, percent int) (met map[int]bool) {
		s := &Split{Live: fixed("live"), Candidate: fixed(candidate), Stage: Stage{Percent: percent}, Progress: new(Progress)}
		met = make(map[int]bool)
		for i, p := range callers {
			first := s.For(p)
			for _, step := range []policy.Step{policy.Access, policy.Call} {
				d, err := s.Decide(context.Background(), step, &policy.Input{Principal: p})
				if err != nil || d.Detail != first.Revision() {
					t.Fatalf("%s met %s and %s", p.Subject, first.Revision(), d.Detail)
				}
			}
			met[i] = first.Revision() == candidate
		}
		n := 0
		for _, yes := range met {
			if yes {
				n++
			}
		}
		if low, high := len(callers)*percent/100-100, len(callers)*percent/100+100; n < low || n > high {
			t.Errorf("%d of %d callers are %d %%", n, len(callers), percent)
		}
		if want := uint64(2 * n); s.Progress.Decisions.Load() != want {
			t.Errorf("%d decisions counted, not %d", s.Progress.Decisions.Load(), want)
		}
		return met
	}
	ten, fifty, other := count("next", 10), count("next", 50), count("after", 10)
	alike := 0
	for i := range callers {
		if ten[i] && !fifty[i] {
			t.Fatalf("%s went back to the old policy in a later stage", callers[i].Subject)
		}
		if ten[i] && other[i] {
			alike++
		}
	}
	if alike > 100 {
		t.Errorf("%d callers try every new policy", alike)
	}
	s := &Split{Live: fixed("live"), Candidate: fixed("masks"), Stage: Stage{Tenants: []string{"pilot"}, Roles: []string{"tester"}}, Progress: new(Progress)}
	for _, tt := range []struct {
		p    guard.Principal
		want string
	}{
		{guard.Principal{}, "live"},
		{guard.Principal{Subject: "a", Tenant: "pilot"}, "masks"},
		{guard.Principal{Subject: "a", Tenant: "other", Roles: []string{"support"}}, "live"},
		{guard.Principal{Subject: "a", Tenant: "other", Roles: []string{"support", "tester"}}, "masks"},
	} {
		if got := s.For(&tt.p).Revision(); got != tt.want {
			t.Errorf("%+v meets %s, want %s", tt.p, got, tt.want)
		}
	}
	s.Stage.Roles = []string{policy.RoleAnonymous}
	if s.For(&guard.Principal{}) != s.Candidate || s.For(&guard.Principal{Subject: "a"}) != s.Live {
		t.Error("the role of whoever was not verified is nobody's, or everybody's")
	}
	if !s.Masks() || s.Revision() != "live" {
		t.Error("what either may do, both may")
	}
	s = &Split{Live: fixed("live"), Candidate: fixed("broken"), Stage: Stage{Percent: 100}, Progress: new(Progress)}
	if _, err := s.Decide(context.Background(), policy.Access, &policy.Input{Principal: callers[0]}); err == nil || s.Progress.Errors.Load() != 1 {
		t.Error("a candidate without an answer is not noticed, or somebody else answered")
	}
}
