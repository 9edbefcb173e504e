package redis

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/revocation"
)

// desk is a replica's list of revocations, which follows the shared one.
func desk(t *testing.T, address string, change func(*revocation.Options)) *revocation.List {
	t.Helper()
	shared := Connect(Options{Addresses: []string{address}, Timeout: 5 * time.Second, Prefix: "test"})
	o := revocation.Options{Shared: Revocations{shared}, Most: 1000, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	if change != nil {
		change(&o)
	}
	l, err := revocation.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; _ = shared.Close() })
	return l
}

func has(l *revocation.List, subject string) func() bool {
	return func() bool { return l.Revoked(&guard.Principal{Subject: subject}) != nil }
}

func names(l *revocation.List) (out []string) {
	for _, e := range l.All() {
		out = append(out, e.Value)
	}
	slices.Sort(out)
	return out
}

func TestReplicasLearnOfRevocationsAndOfTheirEnd(t *testing.T) {
	r := testenv.StartRedis(t)
	one, two := desk(t, r.Address, nil), desk(t, r.Address, nil)
	told := make(chan bool, 10)
	two.Tell(func() { told <- true })
	e, err := one.Add(t.Context(), revocation.Entry{Kind: "subject", Value: "ana", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "the other replica to know", has(two, "ana"))
	<-told
	late := desk(t, r.Address, nil)
	testenv.Eventually(t, time.Minute, "one that began later to know", has(late, "ana"))
	if _, err := late.Remove(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "all to know of the end", func() bool { return !has(one, "ana")() && !has(two, "ana")() })
	if err := two.Stale(); err != nil {
		t.Error(err)
	}
}

// Announcements are lost, Redis comes back without what it held, and a replica
// begins meanwhile: everybody knows everything in the end.
func TestNothingIsForgottenWhenRedisIs(t *testing.T) {
	r := testenv.StartRedis(t)
	wire := testenv.StartProxy(t, r.Address)
	one, two := desk(t, r.Address, nil), desk(t, wire.Address, nil)
	if _, err := one.Add(t.Context(), revocation.Entry{Kind: "subject", Value: "ana"}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "ana", has(two, "ana"))

	wire.Reset(true) // two hears nothing
	if _, err := one.Add(t.Context(), revocation.Entry{Kind: "subject", Value: "bo"}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "trouble", func() bool { return two.Status().Trouble != nil })
	if !has(two, "ana")() || has(two, "bo")() || two.Stale() != nil {
		t.Errorf("without Redis the last known list does not count: %v, %v", names(two), two.Stale())
	}
	wire.Reset(false)
	testenv.Eventually(t, time.Minute, "bo, whose announcement was lost", has(two, "bo"))

	r.Stop()
	testenv.Eventually(t, time.Minute, "trouble", func() bool { return one.Status().Trouble != nil })
	if _, err := one.Add(t.Context(), revocation.Entry{Kind: "subject", Value: "cy"}); !errors.Is(err, revocation.ErrUnshared) || !has(one, "cy")() {
		t.Errorf("revoked without Redis: %v", err)
	}
	if _, err := one.Remove(t.Context(), one.All()[0].ID); err == nil || len(one.All()) != 3 {
		t.Errorf("undone without Redis: %v", err)
	}
	r.Start(t) // empty
	want := []string{"ana", "bo", "cy"}
	late := desk(t, r.Address, nil)
	for name, l := range map[string]*revocation.List{"one": one, "two": two, "late": late} {
		testenv.Eventually(t, time.Minute, name+" to know all", func() bool {
			return slices.Equal(names(l), want) && l.Status().Trouble == nil && l.Status().Unsent == 0
		})
	}
}

func TestAListThatWasNeverReadMustNotBeReliedOn(t *testing.T) {
	r := testenv.StartRedis(t)
	r.Stop()
	file := filepath.Join(t.TempDir(), "revoked.json")
	l := desk(t, r.Address, func(o *revocation.Options) { o.File = file })
	testenv.Eventually(t, time.Minute, "trouble", func() bool { return l.Status().Trouble != nil })
	if l.Stale() == nil {
		t.Error("nobody is revoked, it says, and never asked")
	}
	r.Start(t)
	testenv.Eventually(t, time.Minute, "a list", func() bool { return l.Stale() == nil })
	if _, err := l.Add(t.Context(), revocation.Entry{Kind: "subject", Value: "ana"}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "the file", func() bool {
		k, err := revocation.Open(revocation.Options{File: file, Most: 9, Now: time.Now, Shared: Revocations{}, Log: slog.New(slog.DiscardHandler)})
		return err == nil && has(k, "ana")() && k.Status().Unsent == 0
	})
	r.Stop()
	again := desk(t, r.Address, func(o *revocation.Options) { o.File = file })
	if !has(again, "ana")() || again.Stale() != nil {
		t.Error("the last known list is in the file, and does not count")
	}
	strict := desk(t, r.Address, func(o *revocation.Options) { o.File, o.MaxStale = file, time.Millisecond })
	if strict.Stale() == nil {
		t.Error("it is older than max_stale")
	}
}

// Whoever can write to Redis cannot empty the list by damaging it.
func TestADamagedListIsNotTaken(t *testing.T) {
	r := testenv.StartRedis(t)
	l := desk(t, r.Address, nil)
	if _, err := l.Add(t.Context(), revocation.Entry{Kind: "subject", Value: "ana"}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "a list", func() bool { return l.Stale() == nil })
	command(t, r, "hset", "test:revocations", "x", `{"kind":"subject","value":"bo"}`)
	command(t, r, "hincrby", "test:revocations", "#version", 1)
	testenv.Eventually(t, time.Minute, "trouble", func() bool { return l.Status().Trouble != nil })
	if !slices.Equal(names(l), []string{"ana"}) {
		t.Errorf("%v", names(l))
	}
	command(t, r, "hdel", "test:revocations", "x")
	testenv.Eventually(t, time.Minute, "the end of trouble", func() bool { return l.Status().Trouble == nil })
	command(t, r, "del", "test:revocations")
	testenv.Eventually(t, time.Minute, "the list's return", func() bool {
		_, entries, err := Revocations{Connect(Options{Addresses: []string{r.Address}, Timeout: 5 * time.Second, Prefix: "test"})}.Read(t.Context())
		return err == nil && len(entries) == 1
	})
	if !has(l, "ana")() {
		t.Error("a list that was deleted is forgotten")
	}
}

func TestEntriesThatAreOverLeaveRedis(t *testing.T) {
	r := testenv.StartRedis(t)
	shared := Revocations{Connect(Options{Addresses: []string{r.Address}, Timeout: 5 * time.Second, Prefix: "test"})}
	defer shared.Close()
	l, err := revocation.Open(revocation.Options{Shared: shared, Most: 9, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	var over []*revocation.Entry
	for _, name := range []string{"ana", "bo"} {
		e, err := l.Add(t.Context(), revocation.Entry{Kind: "subject", Value: name, Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		over = append(over, &e)
	}
	if _, err := l.Add(t.Context(), revocation.Entry{Kind: "subject", Value: "bo"}); err != nil { // for ever, meanwhile
		t.Fatal(err)
	}
	if err := shared.Sweep(t.Context(), over); err != nil {
		t.Fatal(err)
	}
	if _, left, err := shared.Read(t.Context()); err != nil || len(left) != 1 || left[0].Value != "bo" {
		t.Errorf("%v, %v", left, err)
	}
}
