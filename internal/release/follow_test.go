package release

import (
	"testing"
	"time"
)

func TestReplicasFollowTheNewestCommand(t *testing.T) {
	c := &clock{now: time.Unix(1000, 0)}
	stages := []Stage{{Percent: 10, Decisions: 100}}
	a, b := keeper(t, c, stages...), keeper(t, c, stages...)
	both := func(revision string) {
		t.Helper()
		_, _ = offer(t, a, revision), offer(t, b, revision)
	}
	follow := func(want bool) {
		t.Helper()
		did, err := b.Follow(*a.Status().Command)
		if did != want || err != nil {
			t.Fatalf("followed: %v, %v; want %v", did, err, want)
		}
		if again, err := b.Follow(*a.Status().Command); again || err != nil {
			t.Fatalf("followed twice: %v", err)
		}
	}
	must := func(_ string, err error) {
		t.Helper()
		c.now = c.now.Add(time.Second)
		if err != nil {
			t.Fatal(err)
		}
	}
	both("1.0.0+a")
	both("1.1.0+b")
	must(a.Promote())
	follow(true)
	is(t, b, "1.1.0+b", "")
	must(a.Rollback(""))
	follow(true)
	is(t, b, "1.0.0+a", "")
	both("1.1.0+b") // is held by both
	is(t, b, "1.0.0+a", "")
	must(a.Release())
	follow(true)
	is(t, a, "1.0.0+a", "1.1.0+b")
	is(t, b, "1.0.0+a", "1.1.0+b")
	p := a.Plan().Progress
	p.Compared.Add(10)
	p.Disagreed.Add(10)
	if a.Step() == "" {
		t.Fatal("not rejected")
	}
	c.now = c.now.Add(time.Second)
	follow(true)
	is(t, b, "1.0.0+a", "")
	both("1.2.0+c")
	must(a.Rollback("")) // the candidate's end
	follow(true)
	is(t, b, "1.0.0+a", "")
	if s := b.Status(); s.Pin == nil || s.Pin.From != "1.2.0+c" || s.Held == "" {
		t.Errorf("got %+v", s)
	}

	// An old command, one from the future, and one about what is not kept.
	old := Command{Do: DoRollback, Revision: "1.1.0+b", From: "9.0.0+z", At: time.Unix(1000, 0)}
	if did, err := b.Follow(old); did || err != nil {
		t.Errorf("an old command: %v", err)
	}
	old.At = c.now.Add(time.Hour)
	if did, err := b.Follow(old); did || err != nil {
		t.Errorf("a command from the future: %v", err)
	}
	old.At, old.Revision = c.now, "7.0.0+x"
	if did, err := b.Follow(old); did || err == nil {
		t.Error("followed to what is not kept")
	}
	if did, err := b.Follow(old); did || err != nil {
		t.Errorf("told twice: %v", err)
	}
	is(t, b, "1.0.0+a", "")
}
