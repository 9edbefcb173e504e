package budget

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard"
)

// memo remembers whom calls are charged to that come again, since the digests of
// accounts take longer than all else that is decided. It is bounded: whoever shares
// a place with another takes it over.
type memo struct {
	seed   maphash.Seed // nobody outside can choose texts that share a place
	places [4096]atomic.Pointer[known]
}

// known is all that follows from who calls which tool, and for what.
type known struct {
	text    []byte
	until   time.Time // when the first of its accounts begins anew; zero for never
	project string
	claims  []Claim // without amounts
	called  []called
}

// called is what receipts call one claim. One budget can have several accounts; the
// first has the measure.
type called struct{ measure, low string }

// find returns where what is known of a text is kept, and that, or nil.
func (m *memo) find(text []byte, now time.Time) (*atomic.Pointer[known], *known) {
	place := &m.places[maphash.Bytes(m.seed, text)%uint64(len(m.places))]
	k := place.Load()
	if k == nil || !bytes.Equal(k.text, text) || !k.until.IsZero() && !now.Before(k.until) {
		return place, nil
	}
	return place, k
}

// charged returns whom a call is charged to.
func (g *budgets) charged(x *guard.Exchange, c *caller, now time.Time) *known {
	var room [512]byte
	place, k := g.memo.find(c.text(room[:0], x), now)
	if k != nil {
		return k
	}
	g.finish(x, c)
	k = &known{text: bytes.Clone(c.text(room[:0], x)), project: c.project}
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
	place.Store(k)
	return k
}
