package memo

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/policy"
)

func TestADecisionIsUsedUntilItIsTooOld(t *testing.T) {
	d := NewDecisions(8, time.Minute, nil)
	began := time.Unix(1000, 0)
	yes := &policy.Decision{Allow: true}
	d.Put([]byte("k"), began, yes)
	for _, c := range []struct {
		after time.Duration
		want  *policy.Decision
	}{{0, yes}, {30 * time.Second, yes}, {time.Minute - 1, yes}, {time.Minute, nil}, {time.Hour, nil}} {
		if got := d.Get([]byte("k"), began.Add(c.after)); got != c.want {
			t.Errorf("after %v: %v", c.after, got)
		}
	}
	d.Evaluated()
	s := d.Stats()
	if s.Hits != 3 || s.HitRate != 0.75 || s.AgeMax < 59 || s.AgeMax > 60 || s.AgeMean < 29 || s.AgeMean > 31 {
		t.Errorf("%+v", s)
	}
	if d.Get([]byte("K"), began) != nil {
		t.Error("another key has the decision")
	}
}

func TestATableStaysBoundedAndKeepsKeysApart(t *testing.T) {
	table := NewTable[uint32](64)
	var all sync.WaitGroup
	for w := range uint32(4) {
		all.Go(func() {
			for i := range uint32(2000) {
				n := w*10000 + i
				key := binary.BigEndian.AppendUint32(nil, n)
				table.Put(key, 0, &n)
				if v, _ := table.Get(key, 0); v != nil && *v != n {
					t.Errorf("the value of %d is %d", n, *v)
				}
			}
		})
	}
	all.Wait()
	if len(table.slots) != 64 {
		t.Errorf("%d places", len(table.slots))
	}
}

func TestLongNamesOfServersDoNotFillTheMemory(t *testing.T) {
	table, v := NewTable[int](4), new(int)
	table.Put(make([]byte, maxKey), 0, v)
	table.Put(make([]byte, maxKey+1), 0, v)
	if got, _ := table.Get(make([]byte, maxKey), 0); got != v {
		t.Error("a key of the allowed length is not kept")
	}
	if got, _ := table.Get(make([]byte, maxKey+1), 0); got != nil {
		t.Error("a longer key is kept")
	}
}
