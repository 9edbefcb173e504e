package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/revocation"
)

const issuer = "https://id.example"

func open(t testing.TB, change func(*revocation.Options)) *revocation.List {
	t.Helper()
	o := revocation.Options{Most: 100, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	if change != nil {
		change(&o)
	}
	l, err := revocation.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func add(t testing.TB, l *revocation.List, e revocation.Entry) revocation.Entry {
	t.Helper()
	e, err := l.Add(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestWhomAnEntryMeans(t *testing.T) {
	now := time.Now()
	ana := guard.Principal{Subject: "ana", Issuer: issuer, Client: "desk", Agent: "agent-7", Actors: []string{"agent-7", "planner"},
		TokenID: "t1", Issued: now.Add(-time.Minute), Peer: "spiffe://corp/desk"}
	for _, c := range []struct {
		name  string
		entry revocation.Entry
		means bool
	}{
		{"the subject", revocation.Entry{Kind: "subject", Value: "ana", Issuer: issuer}, true},
		{"the subject of any issuer", revocation.Entry{Kind: "subject", Value: "ana"}, true},
		{"another issuer's subject of this name", revocation.Entry{Kind: "subject", Value: "ana", Issuer: "https://other.example"}, false},
		{"a subject whose name begins alike", revocation.Entry{Kind: "subject", Value: "an"}, false},
		{"the agent that acts", revocation.Entry{Kind: "subject", Value: "agent-7", Issuer: issuer}, true},
		{"an agent further up the chain", revocation.Entry{Kind: "subject", Value: "planner", Issuer: issuer}, true},
		{"the client", revocation.Entry{Kind: "client", Value: "desk", Issuer: issuer}, true},
		{"a client called as the subject is", revocation.Entry{Kind: "client", Value: "ana"}, false},
		{"the token", revocation.Entry{Kind: "token", Value: "t1"}, true},
		{"another token", revocation.Entry{Kind: "token", Value: "t2"}, false},
		{"the peer", revocation.Entry{Kind: "peer", Value: "spiffe://corp/desk"}, true},
		{"tokens from before this one", revocation.Entry{Kind: "subject", Value: "ana", IssuedBefore: now.Add(-2 * time.Minute)}, false},
		{"tokens from up to this one", revocation.Entry{Kind: "subject", Value: "ana", IssuedBefore: now}, true},
	} {
		l := open(t, nil)
		add(t, l, revocation.Entry{Kind: "token", Value: "of somebody else", Issuer: issuer})
		e := add(t, l, c.entry)
		if got := l.Revoked(&ana); (got != nil) != c.means || got != nil && got.ID != e.ID {
			t.Errorf("%s: %v", c.name, got)
		}
		if got := l.Revoked(&guard.Principal{Subject: "bo", Issuer: issuer, Client: "till", TokenID: "t9", Peer: "spiffe://corp/till"}); got != nil {
			t.Errorf("%s: it means everybody: %v", c.name, got)
		}
		if _, err := l.Remove(t.Context(), e.ID); err != nil {
			t.Fatal(err)
		}
		if got := l.Revoked(&ana); got != nil {
			t.Errorf("%s: undone, and still %v", c.name, got)
		}
	}
}

// Whoever leaves iat out must not be spared for it.
func TestATokenWithoutABirthIsNotSpared(t *testing.T) {
	l := open(t, nil)
	add(t, l, revocation.Entry{Kind: "subject", Value: "ana", IssuedBefore: time.Now()})
	if l.Revoked(&guard.Principal{Subject: "ana"}) == nil {
		t.Error("it was")
	}
}

func TestAnEntryEndsByItself(t *testing.T) {
	now := time.Now()
	l := open(t, func(o *revocation.Options) { o.Now = func() time.Time { return now } })
	e := add(t, l, revocation.Entry{Kind: "subject", Value: "ana", Expires: now.Add(time.Minute)})
	ana := &guard.Principal{Subject: "ana"}
	if l.Revoked(ana) == nil {
		t.Error("it does not count")
	}
	now = now.Add(time.Minute)
	if got := l.Revoked(ana); got != nil || len(l.All()) != 0 {
		t.Errorf("%v counts still", got)
	}
	e.Expires = time.Time{}
	if again := add(t, l, e); again.ID != e.ID || l.Revoked(ana) == nil || len(l.All()) != 1 {
		t.Errorf("another entry in its place: %+v", l.All())
	}
}

func TestWhatCouldHaveNoEffectIsRefused(t *testing.T) {
	l := open(t, nil)
	for name, e := range map[string]revocation.Entry{
		"a kind of nobody":          {Kind: "tenant", Value: "acme"},
		"nobody":                    {Kind: "subject"},
		"a name longer than any":    {Kind: "subject", Value: strings.Repeat("a", 600)},
		"a name with a line break":  {Kind: "subject", Value: "a\nb"},
		"what is over":              {Kind: "subject", Value: "ana", Expires: time.Now().Add(-time.Second)},
		"a peer's token":            {Kind: "peer", Value: "spiffe://a/b", IssuedBefore: time.Now()},
		"a note of several letters": {Kind: "subject", Value: "ana", Note: strings.Repeat("n", 300)},
	} {
		if _, err := l.Add(t.Context(), e); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if n := len(l.All()); n != 0 {
		t.Errorf("%d entries", n)
	}
}

func TestTheListIsBounded(t *testing.T) {
	l := open(t, func(o *revocation.Options) { o.Most = 3 })
	for i := range 3 {
		add(t, l, revocation.Entry{Kind: "token", Value: fmt.Sprint(i)})
	}
	if _, err := l.Add(t.Context(), revocation.Entry{Kind: "token", Value: "more"}); !errors.Is(err, revocation.ErrFull) {
		t.Errorf("a fourth of three: %v", err)
	}
	add(t, l, revocation.Entry{Kind: "token", Value: "1", Note: "in its own place"})
}

func TestTheFileOutlivesTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revoked.json")
	file := func(o *revocation.Options) { o.File = path }
	l := open(t, file)
	e := add(t, l, revocation.Entry{Kind: "subject", Value: "ana", Issuer: issuer})
	add(t, l, revocation.Entry{Kind: "client", Value: "desk", Expires: time.Now().Add(time.Hour)})
	ana := &guard.Principal{Subject: "ana", Issuer: issuer}
	l = open(t, file)
	if l.Revoked(ana) == nil || l.Revoked(&guard.Principal{Client: "desk", Issuer: issuer}) == nil {
		t.Fatal("forgotten")
	}
	if _, err := l.Remove(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	if open(t, file).Revoked(ana) != nil {
		t.Error("undone, and back after a restart")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	// Half a file must not pass for an empty list.
	for _, text := range []string{"", "{", `{"version":2}`, `{"version":1,"revocations":[{"kind":"subject"}]}`, `{"version":1,"revocations":[null]}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := revocation.Open(revocation.Options{File: path, Most: 9, Now: time.Now}); err == nil {
			t.Errorf("%q is taken for a list", text)
		}
	}
}

func TestAFileThatCannotBeWrittenIsToldAndDoesNotUndo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	l := open(t, func(o *revocation.Options) { o.File = filepath.Join(dir, "revoked.json") })
	if _, err := l.Add(t.Context(), revocation.Entry{Kind: "subject", Value: "ana"}); err == nil {
		t.Error("no error")
	}
	if l.Revoked(&guard.Principal{Subject: "ana"}) == nil || l.Status().Trouble == nil {
		t.Error("it does not count, or the status does not say")
	}
}

// The list changes while everybody asks.
func TestAskingAndChangingAtOnce(t *testing.T) {
	l := open(t, nil)
	always := add(t, l, revocation.Entry{Kind: "subject", Value: "ana"})
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				if e := l.Revoked(&guard.Principal{Subject: "ana", Issuer: issuer, TokenID: "t"}); e == nil || e.ID != always.ID {
					t.Errorf("ana is %v", e)
					return
				}
			}
		})
	}
	for i := range 300 {
		e := add(t, l, revocation.Entry{Kind: "subject", Value: fmt.Sprint(i), Issuer: issuer})
		if _, err := l.Remove(t.Context(), e.ID); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	all.Wait()
}

func BenchmarkNobodyIsRevoked(b *testing.B) { benchmark(b, 0) }
func BenchmarkTenThousandAre(b *testing.B)  { benchmark(b, 10_000) }

func benchmark(b *testing.B, n int) {
	l := open(b, func(o *revocation.Options) { o.Most = n + 1 })
	kinds := []revocation.Kind{revocation.Subject, revocation.Client, revocation.Token, revocation.Peer}
	for i := range n {
		kind := kinds[i%len(kinds)]
		e := revocation.Entry{Kind: kind, Value: fmt.Sprintf("somebody-%d", i)}
		if i%2 == 0 {
			e.Issuer = issuer
		}
		if _, err := l.Add(context.Background(), e); err != nil {
			b.Fatal(err)
		}
	}
	p := &guard.Principal{Subject: "ana@example.com", Issuer: issuer, Client: "desk", TokenID: "5f0c2a1e-7d1c-4c58-9b9b", Agent: "agent-7", Actors: []string{"agent-7"}}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if l.Revoked(p) != nil {
				b.Fatal("revoked")
			}
		}
	})
}
