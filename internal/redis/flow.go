package redis

import (
	"context"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/guard/flow"
)

//go:embed flow.lua
var flowSource string

var flowScript = redis.NewScript(flowSource)

// Flow is a [flow.Store] that replicas share. Every read goes to Redis, since a
// label must be seen as soon as it is there; reads that come while others are on
// their way go together, in the next trip. So there is one trip at a time,
// however many callers there are, and none reads what was true before it asked.
type Flow struct {
	o      Options
	client redis.UniversalClient
	now    func() time.Time
	counts struct{ reads, trips, adds, failures atomic.Uint64 }

	silence  atomic.Int64 // nanoseconds since 1970 until which Redis is not asked
	failures atomic.Int32 // in a row
	why      atomic.Pointer[error]

	mu   sync.Mutex
	next *reading // what the next trip is for; nil for none
	busy bool     // a trip is on its way, and takes next when it is back
}

// reading is the reads of one trip.
type reading struct {
	keys []flow.Key
	out  [][]flow.Label
	err  error
	done chan struct{}
}

// Flow returns a store of labels.
func (s *Shared) Flow(now func() time.Time) *Flow {
	return &Flow{o: s.o, client: s.client, now: now}
}

// FlowStatus tells how keeping labels goes.
type FlowStatus struct {
	Reads, Trips, Adds, Failures uint64
	Trouble                      string // why Redis is not asked at the moment
}

// Status tells how it goes.
func (f *Flow) Status() FlowStatus {
	s := FlowStatus{Reads: f.counts.reads.Load(), Trips: f.counts.trips.Load(), Adds: f.counts.adds.Load(), Failures: f.counts.failures.Load()}
	if why := f.why.Load(); why != nil {
		s.Trouble = (*why).Error()
	}
	return s
}

// TryRead implements flow.Store.
func (f *Flow) TryRead([]flow.Key) ([][]flow.Label, bool) { return nil, false }

// Read implements flow.Store.
func (f *Flow) Read(ctx context.Context, keys []flow.Key) ([][]flow.Label, error) {
	f.counts.reads.Add(1)
	if err := f.quiet(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	r := f.next
	if r == nil {
		r = &reading{done: make(chan struct{})}
		f.next = r
	}
	at := len(r.keys)
	r.keys = append(r.keys, keys...)
	if !f.busy {
		f.busy = true
		go f.trips()
	}
	f.mu.Unlock()
	select {
	case <-r.done:
		if r.err != nil {
			return nil, r.err
		}
		return r.out[at : at+len(keys)], nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// trips makes one trip after the other until nobody asks.
func (f *Flow) trips() {
	for {
		f.mu.Lock()
		r := f.next
		f.next = nil
		f.busy = r != nil
		f.mu.Unlock()
		if r == nil {
			return
		}
		r.out, r.err = f.read(r.keys)
		close(r.done)
	}
}

func (f *Flow) read(keys []flow.Key) ([][]flow.Label, error) {
	calls := make([]call, len(keys))
	for i := range keys {
		calls[i] = call{keys: []string{f.key(keys[i])}, args: readLabels}
	}
	// Whoever asked first may be gone; the others wait.
	if err := f.ask(context.Background(), "read", calls); err != nil {
		return nil, err
	}
	out := make([][]flow.Label, len(keys))
	for i := range calls {
		var err error
		if out[i], err = labels(calls[i].out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

var readLabels = []any{"read"}

// Add implements flow.Store.
func (f *Flow) Add(ctx context.Context, entries []flow.Entry) error {
	f.counts.adds.Add(1)
	if err := f.quiet(); err != nil {
		return err
	}
	var calls []call
	for _, e := range entries {
		args := []any{"add"}
		for _, l := range e.Labels {
			args = append(args, l.Name, max(1, l.Left.Milliseconds()), l.Source.Exchange+" "+l.Source.Server)
		}
		if len(args) > 1 {
			calls = append(calls, call{keys: []string{f.key(e.Key)}, args: args})
		}
	}
	return f.ask(ctx, "add", calls)
}

// Forget implements flow.Store.
func (f *Flow) Forget(ctx context.Context, k flow.Key) ([]flow.Label, error) {
	calls := []call{{keys: []string{f.key(k)}, args: []any{"forget"}}}
	if err := f.ask(ctx, "forget", calls); err != nil {
		return nil, err
	}
	return labels(calls[0].out)
}

// ask goes to Redis once.
func (f *Flow) ask(ctx context.Context, what string, calls []call) error {
	if len(calls) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.o.Timeout)
	defer cancel()
	f.counts.trips.Add(1)
	run(ctx, f.client, flowScript, calls)
	for i := range calls {
		if err := calls[i].out.Err(); err != nil {
			return f.failed(fmt.Errorf("redis: flow: %s: %w", what, err))
		}
	}
	f.failures.Store(0)
	f.why.Store(nil)
	f.silence.Store(0)
	return nil
}

// quiet returns why Redis is not asked at the moment, or nil.
func (f *Flow) quiet() error {
	if until := f.silence.Load(); until == 0 || f.now().UnixNano() >= until {
		return nil
	}
	if why := f.why.Load(); why != nil {
		return *why
	}
	return nil
}

// failed notes a failure. After a few in a row calls do not find out one by one,
// and after a pause, which grows, one does.
func (f *Flow) failed(err error) error {
	f.counts.failures.Add(1)
	f.why.Store(&err)
	if n := f.failures.Add(1); n > tolerated {
		pause := min(tick<<min(n-tolerated-1, 8), slowest)
		f.silence.Store(f.now().Add(pause).UnixNano())
	}
	return err
}

func (f *Flow) key(k flow.Key) string { return f.o.Prefix + ":flow:" + hex.EncodeToString(k[:]) }

func labels(c *redis.Cmd) ([]flow.Label, error) {
	list, err := c.StringSlice()
	if err != nil || len(list)%3 != 0 {
		return nil, fmt.Errorf("redis: flow: a reply of %d texts, %w", len(list), err)
	}
	var out []flow.Label
	for ; len(list) > 0; list = list[3:] {
		ms, err := strconv.ParseInt(list[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("redis: flow: %w", err)
		}
		exchange, server, _ := strings.Cut(list[2], " ")
		out = append(out, flow.Label{Name: list[0], Source: flow.Source{Exchange: exchange, Server: server}, Left: time.Duration(ms) * time.Millisecond})
	}
	return out, nil
}
