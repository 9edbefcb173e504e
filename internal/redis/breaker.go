package redis

import (
	"sync"
	"sync/atomic"
)

// breaker remembers that Redis does not answer, so that calls need not find out
// one by one. Calls never close it again: one probe at a time does.
type breaker struct {
	why  atomic.Pointer[error] // nil while closed
	once atomic.Uint64         // times it opened

	mu       sync.Mutex
	failures int // in a row
}

// tolerated is how many failures in a row leave the breaker closed.
const tolerated = 2

// open returns why Redis is not asked, or nil.
func (b *breaker) open() error {
	if why := b.why.Load(); why != nil {
		return *why
	}
	return nil
}

func (b *breaker) failed(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures++; b.failures <= tolerated {
		return
	}
	if b.why.Swap(&err) == nil {
		b.once.Add(1)
	}
}

func (b *breaker) succeeded() {
	if b.why.Load() != nil {
		return // an answer that was on its way; the probe decides
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures = 0
}

// close is for the probe that was answered.
func (b *breaker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures = 0
	b.why.Store(nil)
}
