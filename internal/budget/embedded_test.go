package budget_test

import (
	"fmt"
	"testing"
	"time"

	port "github.com/sallyport/sallyport/guard/budget"
	"github.com/sallyport/sallyport/guard/budget/budgettest"
	"github.com/sallyport/sallyport/internal/budget"
)

func TestEmbeddedIsALedger(t *testing.T) {
	budgettest.Run(t, func(*testing.T) port.Ledger { return budget.NewEmbedded(time.Now, 1000) })
}

func TestWhoMakesUpKeysGetsOneAccountForAll(t *testing.T) {
	e := budget.NewEmbedded(time.Now, 10)
	l := budgettest.Limit("x", false, port.Amounts{port.Cost: 5})
	admitted := 0
	for i := range 1000 {
		claims := []port.Claim{budgettest.Claim(l, fmt.Sprint(i), 1)}
		if a, _ := e.TryReserve(claims); a.Outcome == port.Reserved {
			admitted++
		}
	}
	if admitted > 15 || e.Keys() > 11 || e.Crowded() == 0 {
		t.Errorf("%d calls of 1000 made-up keys admitted, %d accounts", admitted, e.Keys())
	}
}

func TestAccountsThatSayNothingAreForgotten(t *testing.T) {
	now := time.Now()
	e := budget.NewEmbedded(func() time.Time { return now }, 1000)
	l := budgettest.Limit("x", false, port.Amounts{port.Cost: 5})
	claims := []port.Claim{budgettest.Claim(l, "a", 1)}
	e.TryReserve(claims)
	now = now.Add(2 * time.Hour)
	if e.Sweep(); e.Keys() != 1 {
		t.Error("an account with a reservation was forgotten")
	}
	e.Settle(claims, port.Amounts{})
	if e.Sweep(); e.Keys() != 0 {
		t.Error("an account of the past is kept")
	}
}

func BenchmarkReserveAndSettle(b *testing.B) {
	e := budget.NewEmbedded(time.Now, 1000)
	l := budgettest.Limit("x", false, port.Amounts{port.Most, port.Most, 0, 0})
	claim := budgettest.Claim(l, "a", 1)
	b.ReportAllocs()
	for b.Loop() {
		claims := [1]port.Claim{claim}
		if a, _ := e.TryReserve(claims[:]); a.Outcome != port.Reserved {
			b.Fatal("refused")
		}
		e.Settle(claims[:], claim.Amounts)
	}
}
