// Package flowtest holds what every flow.Store must do.
package flowtest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/flow"
)

// Run checks the stores that fresh makes. Each call of fresh gives two ends of one
// new store: of two replicas, or the same end twice where there is but one. It
// works in real time.
func Run(t *testing.T, fresh func(t *testing.T) (one, other flow.Store)) {
	for name, do := range map[string]func(*testing.T, flow.Store, flow.Store){
		"nothing is carried at first":                                     nothing,
		"what is added is carried, at the other end too":                  added,
		"a label ends with its time":                                      ends,
		"a label that is added again is carried for the longer time":      again,
		"a label that is added again for less time ends no sooner":        shorter,
		"one key does not carry what another does":                        apart,
		"several keys are read in the order that they were asked for":     several,
		"what is forgotten is gone, at the other end too, and is told":    forgotten,
		"what Add has kept, the next Read sees, with many at once":        visible,
		"a read whose context is over comes to an end":                    over,
		"the source is the last one, with any characters that a name has": source,
		"a store that knows at once says the same as one that is asked":   alike,
		"labels are only added: nothing that others add takes one away":   monotone,
		"a key carries as many labels as a configuration can have follow": crowd,
		"an entry without labels changes nothing":                         hollow,
		"what was forgotten can be carried again":                         relapse,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, other := fresh(t)
			do(t, one, other)
		})
	}
}

// Key returns a key for a name.
func Key(name string) flow.Key {
	sum := sha256.Sum256([]byte(name))
	return flow.Key(sum[:16])
}

// read reads as the guard does.
func read(ctx context.Context, s flow.Store, keys ...flow.Key) ([][]flow.Label, error) {
	if all, known := s.TryRead(keys); known {
		return all, nil
	}
	return s.Read(ctx, keys)
}

func label(name string, d time.Duration) flow.Label {
	return flow.Label{Name: name, Source: flow.Source{Exchange: "x-" + name, Server: "web"}, Left: d}
}

func add(t *testing.T, s flow.Store, k flow.Key, labels ...flow.Label) {
	t.Helper()
	if err := s.Add(t.Context(), []flow.Entry{{Key: k, Labels: labels}}); err != nil {
		t.Fatal(err)
	}
}

// carried returns the names that a key carries, sorted.
func carried(t *testing.T, s flow.Store, k flow.Key) []string {
	t.Helper()
	all, err := read(t.Context(), s, k)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	return names(all[0])
}

func names(list []flow.Label) []string {
	out := []string{}
	for _, l := range list {
		if l.Left <= 0 {
			out = append(out, "over:"+l.Name)
		}
		out = append(out, l.Name)
	}
	slices.Sort(out)
	return out
}

func is(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, append([]string{}, want...)) {
		t.Errorf("carried %v, want %v", got, want)
	}
}

const long = time.Hour

func nothing(t *testing.T, one, other flow.Store) {
	is(t, carried(t, one, Key("a")))
	is(t, carried(t, other, Key("a")))
}

func added(t *testing.T, one, other flow.Store) {
	add(t, one, Key("a"), label("pii", long), label("untrusted", long))
	is(t, carried(t, one, Key("a")), "pii", "untrusted")
	is(t, carried(t, other, Key("a")), "pii", "untrusted")
	all, err := read(t.Context(), other, Key("a"))
	if err != nil || all[0][0].Left > long || all[0][0].Left < long-time.Minute {
		t.Errorf("%v, %v", all, err)
	}
}

func ends(t *testing.T, one, other flow.Store) {
	add(t, one, Key("a"), label("short", 300*time.Millisecond), label("long", long))
	for end := time.Now().Add(20 * time.Second); slices.Contains(carried(t, other, Key("a")), "short"); {
		if time.Now().After(end) {
			t.Fatal("it does not end")
		}
		time.Sleep(20 * time.Millisecond)
	}
	is(t, carried(t, one, Key("a")), "long")
	add(t, one, Key("b"), label("short", 50*time.Millisecond))
	time.Sleep(200 * time.Millisecond)
	is(t, carried(t, other, Key("b")))
}

func again(t *testing.T, one, other flow.Store) {
	add(t, one, Key("a"), label("pii", 200*time.Millisecond))
	add(t, other, Key("a"), label("pii", long))
	time.Sleep(400 * time.Millisecond)
	is(t, carried(t, one, Key("a")), "pii")
}

func shorter(t *testing.T, one, other flow.Store) {
	add(t, one, Key("a"), label("pii", long))
	add(t, other, Key("a"), label("pii", 100*time.Millisecond))
	time.Sleep(300 * time.Millisecond)
	is(t, carried(t, one, Key("a")), "pii")
}

func apart(t *testing.T, one, other flow.Store) {
	add(t, one, Key("a"), label("pii", long))
	is(t, carried(t, one, Key("b")))
	is(t, carried(t, other, Key("b")))
}

func several(t *testing.T, one, other flow.Store) {
	if err := one.Add(t.Context(), []flow.Entry{{Key: Key("a"), Labels: []flow.Label{label("pii", long)}}, {Key: Key("b"), Labels: []flow.Label{label("secret", long)}}}); err != nil {
		t.Fatal(err)
	}
	all, err := read(t.Context(), other, Key("b"), Key("c"), Key("a"))
	if err != nil || len(all) != 3 {
		t.Fatalf("%v, %v", all, err)
	}
	is(t, names(all[0]), "secret")
	is(t, names(all[1]))
	is(t, names(all[2]), "pii")
}

func forgotten(t *testing.T, one, other flow.Store) {
	add(t, one, Key("a"), label("pii", long), label("secret", long))
	were, err := other.Forget(t.Context(), Key("a"))
	if err != nil {
		t.Fatal(err)
	}
	is(t, names(were), "pii", "secret")
	is(t, carried(t, one, Key("a")))
	were, err = one.Forget(t.Context(), Key("a"))
	if err != nil || len(were) != 0 {
		t.Errorf("what is gone is told again: %v, %v", were, err)
	}
}

// The attack: read what is untrusted at one replica, and write at another before
// word gets there.
func visible(t *testing.T, one, other flow.Store) {
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := range 25 {
				k := Key(fmt.Sprintf("%d/%d", w, i))
				if err := one.Add(t.Context(), []flow.Entry{{Key: k, Labels: []flow.Label{label("untrusted", long)}}}); err != nil {
					t.Errorf("add: %v", err)
					return
				}
				got, err := read(t.Context(), other, k)
				if err != nil || len(got[0]) != 1 {
					t.Errorf("%v, %v: not seen", got, err)
					return
				}
			}
		})
	}
	all.Wait()
}

func over(t *testing.T, one, _ flow.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan struct{})
	go func() { _, _ = read(ctx, one, Key("a")); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("it waits")
	}
}

func source(t *testing.T, one, other flow.Store) {
	add(t, one, Key("a"), label("pii", long))
	want := flow.Source{Exchange: "0192-|x", Server: "crm|2 \"é\""}
	add(t, one, Key("a"), flow.Label{Name: "pii", Source: want, Left: long})
	all, err := read(t.Context(), other, Key("a"))
	if err != nil || len(all[0]) != 1 || all[0][0].Source != want {
		t.Errorf("%v, %v", all, err)
	}
}

func alike(t *testing.T, one, _ flow.Store) {
	add(t, one, Key("a"), label("pii", long))
	asked, err := one.Read(t.Context(), []flow.Key{Key("a")})
	if err != nil {
		t.Fatal(err)
	}
	if all, known := one.TryRead([]flow.Key{Key("a")}); known && !slices.Equal(names(all[0]), names(asked[0])) {
		t.Errorf("%v and %v", all, asked)
	}
}

func monotone(t *testing.T, one, other flow.Store) {
	add(t, one, Key("a"), label("restricted", long))
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := []flow.Store{one, other}[i%2].Add(t.Context(), []flow.Entry{{Key: Key("a"), Labels: []flow.Label{label(fmt.Sprintf("l%02d", i), long)}}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := carried(t, one, Key("a")); len(got) != 21 {
		t.Errorf("%v", got)
	}
}

func crowd(t *testing.T, one, other flow.Store) {
	var list []flow.Label
	var want []string
	for i := range 36 {
		l := label(fmt.Sprintf("l%02d-%057d", i, i), long)
		list, want = append(list, l), append(want, l.Name)
	}
	add(t, one, Key("a"), list...)
	is(t, carried(t, other, Key("a")), want...)
}

func hollow(t *testing.T, one, other flow.Store) {
	add(t, one, Key("a"))
	if err := one.Add(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	is(t, carried(t, other, Key("a")))
}

func relapse(t *testing.T, one, other flow.Store) {
	add(t, one, Key("a"), label("pii", long))
	if _, err := other.Forget(t.Context(), Key("a")); err != nil {
		t.Fatal(err)
	}
	add(t, other, Key("a"), label("secret", long))
	is(t, carried(t, one, Key("a")), "secret")
}
