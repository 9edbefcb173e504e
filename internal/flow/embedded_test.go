package flow

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/flow"
	"github.com/sallyport/sallyport/guard/flow/flowtest"
)

func TestEmbeddedIsAStore(t *testing.T) {
	flowtest.Run(t, func(*testing.T) (one, other flow.Store) {
		e := NewEmbedded(time.Now, 10_000)
		return e, e
	})
}

// Whoever has many identities sheds nobody's labels by filling the store.
func TestAFullStoreForgetsNothingThatIsNotOver(t *testing.T) {
	now := time.Unix(1000, 0)
	e := NewEmbedded(func() time.Time { return now }, 10)
	entry := func(name string, d time.Duration) []flow.Entry {
		return []flow.Entry{{Key: flowtest.Key(name), Labels: []flow.Label{{Name: "pii", Left: d}}}}
	}
	if err := e.Add(t.Context(), entry("victim", time.Hour)); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := range 100 {
		err = e.Add(t.Context(), entry(fmt.Sprint(i), time.Minute))
	}
	if !errors.Is(err, errFull) || e.Keys() != 10 {
		t.Errorf("%d keys, %v", e.Keys(), err)
	}
	if got, _ := e.TryRead([]flow.Key{flowtest.Key("victim")}); len(got[0]) != 1 {
		t.Error("the victim's label is gone")
	}
	if err := e.Add(t.Context(), entry("victim", 2*time.Hour)); err != nil {
		t.Errorf("a key that is there needs no room: %v", err)
	}
	now = now.Add(2 * time.Minute)
	e.Sweep()
	if err := e.Add(t.Context(), entry("new", time.Hour)); err != nil || e.Keys() != 2 {
		t.Errorf("after their time: %d keys, %v", e.Keys(), err)
	}
}
