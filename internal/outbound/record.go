package outbound

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Recorder keeps a receipt of each answer, and counts them. It outlives judges.
type Recorder struct {
	allowed, refused sync.Map // by workload and by reason: *atomic.Uint64
	sent, received   sync.Map // bytes by workload, likewise
}

func count(m *sync.Map, key string) { add(m, key, 1) }

func add(m *sync.Map, key string, by int64) {
	n, ok := m.Load(key)
	if !ok {
		n, _ = m.LoadOrStore(key, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(uint64(max(0, by)))
}

func totals(m *sync.Map) map[string]uint64 {
	out := make(map[string]uint64)
	m.Range(func(key, n any) bool { out[key.(string)] = n.(*atomic.Uint64).Load(); return true })
	return out
}

// Allowed returns how many requests and tunnels each workload was let out with.
func (r *Recorder) Allowed() map[string]uint64 { return totals(&r.allowed) }

// Sent returns how many bytes each workload sent, in what has ended.
func (r *Recorder) Sent() map[string]uint64 { return totals(&r.sent) }

// Received returns how many it got.
func (r *Recorder) Received() map[string]uint64 { return totals(&r.received) }

// Refused returns how many were not, by reason.
func (r *Recorder) Refused() map[string]uint64 { return totals(&r.refused) }

// Close keeps the closing receipt of what went out, and counts its bytes. x has what
// the proxy was told of it.
func (j *Judge) Close(ctx context.Context, x *guard.Exchange, o *guard.Outcome) {
	add(&j.Recorder.sent, x.Out.Workload, o.BytesIn)
	add(&j.Recorder.received, x.Out.Workload, o.BytesOut)
	for _, w := range j.Observers {
		if w, ok := w.(guard.Witness); ok {
			w.Ended(ctx, x, o)
		}
	}
}

// Exchange is one request on its way through a judge.
type Exchange struct {
	ID      string
	Source  netip.AddrPort
	Headers guard.Headers // for the trace; not kept
	Request
}

// Guard is what receipts call the judge by.
const Guard = "egress_listener"

// Decide judges a request and keeps its receipt. Nothing goes out without one, where
// receipts are to be kept.
func (j *Judge) Decide(ctx context.Context, e *Exchange) Answer {
	began := time.Now()
	a := j.Judge(ctx, &e.Request)
	if err := ctx.Err(); err != nil && a.Allow {
		a.refuse(guard.DeadlineExceeded, err.Error())
	}
	x := &guard.Exchange{
		ID: e.ID, Source: e.Source, Verb: e.Method, Headers: e.Headers, Started: began,
		Principal: guard.Principal{Peer: e.Peer}, Peer: guard.Peer{Verified: e.Peer != "", Name: e.Peer}, Out: &a.Out,
	}
	d := &guard.Decision{Reason: a.Reason, Guard: Guard, Detail: a.Detail, Direction: mcp.ToServer, At: began, Took: time.Since(began)}
	if a.Allow {
		d.Action, d.Guard = guard.Allow, ""
	}
	for _, o := range j.Observers {
		if err := o.Observe(context.WithoutCancel(ctx), x, nil, d); err != nil && a.Allow {
			a.refuse(guard.ReceiptUnavailable, err.Error())
		}
	}
	if a.Allow {
		count(&j.Recorder.allowed, a.Out.Workload)
	} else {
		count(&j.Recorder.refused, string(a.Reason))
	}
	return a
}
