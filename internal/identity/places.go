package identity

import (
	"net/netip"
	"sync"

	"github.com/sallyport/sallyport/internal/recent"
)

const (
	questions  = 64      // that are under way to one issuer at a time
	strange    = 48      // of them, about tokens that were never good here
	fromOne    = 24      // of these, from one address
	remembered = 1 << 16 // good tokens that are told from others
)

// places are the questions that may be under way to one issuer. Anybody can make
// up tokens: those that were never good leave room for those that were, and the
// ones of one address leave room for the others'.
type places struct {
	good *recent.Table[bool]

	mu        sync.Mutex
	taken     int
	strangers int
	from      map[netip.Prefix]int // strangers
}

func newPlaces() *places {
	return &places{good: recent.New[bool](remembered), from: make(map[netip.Prefix]int)}
}

// enter takes a place for a question about a token, and returns how to leave it;
// nil when there is none.
func (p *places) enter(token digest, source netip.Addr) (leave func()) {
	known := p.knows(token)
	at := neighbourhood(source)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken >= questions || !known && (p.strangers >= strange || p.from[at] >= fromOne) {
		return nil
	}
	p.taken++
	if known {
		return func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.taken--
		}
	}
	p.strangers++
	p.from[at]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.taken--
		p.strangers--
		if p.from[at]--; p.from[at] == 0 {
			delete(p.from, at)
		}
	}
}

// vouched notes that a token is good.
func (p *places) vouched(token digest) {
	p.good.Do(recent.Key(token[:16]), func(v *bool) { *v = true })
}

func (p *places) knows(token digest) (known bool) {
	p.good.Look(recent.Key(token[:16]), func(v *bool) { known = *v })
	return known
}

// neighbourhood is what counts as one address: of IPv6, whoever has one has its
// whole /64.
func neighbourhood(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // of no address: the zero prefix
	return p
}
