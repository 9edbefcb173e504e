package budget

import (
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/recent"
)

// memo remembers whom calls are charged to that come again, since the digests of
// accounts take longer than all else that is decided.
type memo = recent.Places[known]

// known is all that follows from who calls which tool, and for what.
type known struct {
	until   time.Time // when the first of its accounts begins anew; zero for never
	project string
	claims  []Claim // without amounts
	called  []called
}

// called is what receipts call one claim. One budget can have several accounts; the
// first has the measure.
type called struct{ measure, low string }

// charged returns whom a call is charged to.
func (g *budgets) charged(x *guard.Exchange, c *caller, now time.Time) *known {
	var room [512]byte
	text := c.text(room[:0], x)
	if k := g.memo.Get(text); k != nil && (k.until.IsZero() || now.Before(k.until)) {
		return k
	}
	g.finish(x, c)
	k := known{project: c.project}
	for _, a := range g.accounts {
		if a.concerns(c.server, c.tool) {
			k.claims = a.claims(k.claims, c, Amounts{}, now)
		}
	}
	for i := range k.claims {
		n := called{low: "budget." + k.claims[i].Limit.Name + ".low"}
		if i == 0 || k.claims[i-1].Limit.Name != k.claims[i].Limit.Name {
			n.measure = "claims." + k.claims[i].Limit.Name
		}
		k.called = append(k.called, n)
		if ends := k.claims[i].Ends; !ends.IsZero() && (k.until.IsZero() || ends.Before(k.until)) {
			k.until = ends
		}
	}
	return g.memo.Put(text, k)
}
