package trace

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
)

// Options are what a process traces with.
type Options struct {
	Upload    Uploader
	Resource  *resourcev1.Resource // what is said of the gateway
	Queue     int                  // exchanges that may wait to be sent
	PerSecond int                  // traces that are kept in a second at most, and as many again that are kept for what happened in them
	Timeout   time.Duration        // of one batch
	Log       *slog.Logger
}

// Tracer keeps traces and sends them. Exchanges never wait for it.
type Tracer struct {
	o       Options
	queue   chan *record
	relay   relay
	chosen  bucket // by chance
	notable bucket // for what happened
	pool    sync.Pool
	quit    chan struct{}
	done    chan struct{}

	sent, dropped, failed, capped atomic.Uint64
	broken                        bool // of the sender
}

// New begins to send. Close ends that.
func New(o Options) *Tracer {
	t := &Tracer{o: o, queue: make(chan *record, o.Queue), quit: make(chan struct{}), done: make(chan struct{})}
	t.chosen.rate, t.notable.rate = float64(o.PerSecond), float64(o.PerSecond)
	t.pool.New = func() any { return new(record) }
	t.relay.lost = &t.dropped
	go t.run()
	return t
}

// Counts are totals since the start, of spans but for Capped.
type Counts struct {
	Sent    uint64
	Dropped uint64 // the queue was full
	Failed  uint64 // the receiver did not take them
	Capped  uint64 // traces that were not kept because there were too many
}

// Counts returns what became of spans.
func (t *Tracer) Counts() Counts {
	return Counts{t.sent.Load(), t.dropped.Load(), t.failed.Load(), t.capped.Load()}
}

// take asks b for room for one more trace.
func (t *Tracer) take(b *bucket) bool {
	if b.take(time.Now()) {
		return true
	}
	t.capped.Add(1)
	return false
}

// bucket bounds how many traces are kept in a second. A flood of requests, of
// which each would be kept, must not become one of spans.
type bucket struct {
	mu   sync.Mutex
	rate float64
	left float64
	at   time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.IsZero() {
		b.left = b.rate
	} else if d := now.Sub(b.at); d > 0 {
		b.left = min(b.rate, b.left+b.rate*d.Seconds())
	}
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
