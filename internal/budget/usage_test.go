package budget_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	port "github.com/sallyport/sallyport/guard/budget"
	"github.com/sallyport/sallyport/internal/budget"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func at() time.Time { return noon }

func entry(tenant, tool string, cost int64) *port.Entry {
	return &port.Entry{At: noon, Tenant: tenant, Server: "crm", Tool: tool, Calls: 1, Cost: cost}
}

func memory() *budget.Memory {
	return budget.NewMemory(at, func() time.Duration { return 48 * time.Hour })
}

func TestUsageIsGroupedAndFiltered(t *testing.T) {
	u := budget.NewUsage(memory())
	u.Record(entry("acme", "search", 5))
	u.Record(entry("acme", "delete", 7))
	if err := u.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	u.Record(entry("other", "search", 100)) // not stored yet, and shown
	for _, c := range []struct {
		by   []string
		only string
		want string
	}{
		{[]string{"tenant"}, "", "other/ 100 1 acme/ 12 2 "},
		{[]string{"tool"}, "", "/search 105 2 /delete 7 1 "},
		{nil, "acme", "acme/delete 7 1 acme/search 5 1 "},
		{[]string{}, "", "/ 112 3 "},
	} {
		q := budget.Query{From: noon, To: noon, By: c.by}
		if c.only != "" {
			q.Match = func(k *budget.Key) bool { return k.Tenant == c.only }
		}
		rows, err := u.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, r := range rows {
			got += fmt.Sprintf("%s/%s %d %d ", r.Tenant, r.Tool, r.Cost, r.Calls)
		}
		if got != c.want {
			t.Errorf("by %v of %q: %q, want %q", c.by, c.only, got, c.want)
		}
	}
	if rows, err := u.Query(t.Context(), budget.Query{From: noon.AddDate(0, 0, -9), To: noon.AddDate(0, 0, -1)}); err != nil || len(rows) != 0 {
		t.Errorf("of other days: %v, %v", rows, err)
	}
}

func TestWhoMakesUpToolsFillsNoMemory(t *testing.T) {
	u := budget.NewUsage(memory())
	u.Bound(100, 48*time.Hour)
	for i := range 5000 {
		u.Record(entry(fmt.Sprint("tenant", i%7), fmt.Sprint("tool", i), 1))
	}
	rows, err := u.Query(t.Context(), budget.Query{From: noon, To: noon})
	if err != nil || len(rows) > 200 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	sum := int64(0)
	for _, r := range rows {
		sum += r.Cost
	}
	if sum != 5000 {
		t.Errorf("%d of 5000 were counted", sum)
	}
}

// broken stores a batch and says that it did not.
type broken struct {
	budget.Store
	numbers []uint64
}

func (b *broken) Add(_ context.Context, number uint64, _ []budget.Row) error {
	b.numbers = append(b.numbers, number)
	return errors.New("no answer")
}

func TestABatchIsSentAgainUnderItsNumber(t *testing.T) {
	b := &broken{Store: memory()}
	u := budget.NewUsage(b)
	u.Record(entry("acme", "x", 3))
	for range 2 {
		if err := u.Flush(t.Context()); err == nil {
			t.Fatal("no error")
		}
		u.Record(entry("acme", "x", 4))
	}
	if len(b.numbers) != 2 || b.numbers[0] != b.numbers[1] {
		t.Errorf("numbers %v", b.numbers)
	}
	if rows, err := u.Query(t.Context(), budget.Query{From: noon, To: noon, By: []string{"tenant"}}); err != nil || len(rows) != 1 || rows[0].Cost != 11 {
		t.Errorf("%+v, %v", rows, err)
	}
}

func TestOldDaysAreForgotten(t *testing.T) {
	now := noon
	u := budget.NewUsage(budget.NewMemory(func() time.Time { return now }, func() time.Duration { return 48 * time.Hour }))
	u.Record(entry("acme", "x", 3))
	_ = u.Flush(t.Context())
	now = noon.AddDate(0, 0, 4)
	u.Record(&port.Entry{At: now, Tenant: "acme", Calls: 1, Cost: 1})
	_ = u.Flush(t.Context())
	if rows, err := u.Query(t.Context(), budget.Query{From: noon, To: now, By: []string{"day"}}); err != nil || len(rows) != 1 || rows[0].Day != "2026-11-30" {
		t.Errorf("%+v, %v", rows, err)
	}
}

func BenchmarkRecord(b *testing.B) {
	u := budget.NewUsage(memory())
	e := entry("acme", "search", 5)
	b.ReportAllocs()
	for b.Loop() {
		u.Record(e)
	}
}
