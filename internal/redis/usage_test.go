package redis

import (
	"fmt"
	"testing"
	"time"

	port "github.com/sallyport/sallyport/guard/budget"
	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/budget"
)

func TestUsageOfAllReplicasIsCountedOnce(t *testing.T) {
	l := replica(t, Options{Addresses: []string{testenv.StartRedis(t).Address}})
	keep := func() time.Duration { return time.Hour }
	now := time.Now()
	one, two := NewUsage(l, keep), NewUsage(l, keep)
	var rows []budget.Row
	for i := range 450 { // in several parts
		rows = append(rows, budget.Row{Day: budget.DayOf(now), Key: budget.Key{Tenant: "a\"[,\x1f", Tool: fmt.Sprint(i)}, Counts: budget.Counts{Calls: 1, Cost: 2, BytesOut: 3}})
	}
	for range 2 { // as after a lost answer
		if err := one.Add(t.Context(), 1, rows); err != nil {
			t.Fatal(err)
		}
	}
	if err := two.Add(t.Context(), 1, rows[:1]); err != nil {
		t.Fatal(err)
	}
	if err := one.Add(t.Context(), 2, rows[:1]); err != nil {
		t.Fatal(err)
	}
	u := budget.NewUsage(NewUsage(l, keep))
	u.Record(&port.Entry{At: now, Tenant: "late", Calls: 1, Cost: 5})
	got, err := u.Query(t.Context(), budget.Query{From: now, To: now, By: []string{"tenant"}})
	if err != nil || len(got) != 2 || got[0].Calls != 452 || got[0].Cost != 904 || got[0].BytesOut != 3*452 || got[0].Tenant != rows[0].Tenant || got[1].Cost != 5 {
		t.Errorf("%+v, %v", got, err)
	}
	ttl, err := l.client.PTTL(t.Context(), one.key(budget.DayOf(now))).Result()
	if err != nil || ttl <= 0 || ttl > time.Hour {
		t.Errorf("the day is kept for %v, %v", ttl, err)
	}
}
