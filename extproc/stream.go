package extproc

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/sallyport/sallyport/guard"
)

// stream joins a machine to its gRPC stream. The lock is needed because a
// deadline or a drain may answer while the next message is awaited.
type stream struct {
	log    *slog.Logger
	listed bool // of Process's goroutine

	mu     sync.Mutex
	m      *machine
	timer  *time.Timer
	armed  phase // what the timer is for; begin when it is not running
	closed bool  // Process has returned, so nothing can be sent any more
}

// linger is how long an upstream may take to end a stream after the response.
const linger = 250 * time.Millisecond

// step handles one message, and reports whether the exchange is an open event
// stream now.
func (st *stream) step(ctx context.Context, req *extprocv3.ProcessingRequest) (open bool, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := st.m.step(ctx, req); err != nil {
		return false, err
	}
	st.arm()
	return st.m.phase == events, nil
}

// arm gives each phase that waits for an upstream its deadline; Envoy has none
// for this body mode.
func (st *stream) arm() {
	if st.m.phase == st.armed {
		return // a deadline is for the whole phase, however many chunks come
	}
	if st.timer != nil {
		st.timer.Stop()
		st.timer = nil
	}
	st.armed = begin
	switch st.m.phase {
	case holding:
		st.timer = time.AfterFunc(st.m.snap.Limits.ResponseTime, st.expire)
	case lingering:
		st.timer = time.AfterFunc(linger, st.expire)
	case events:
		until := st.m.x.Principal.Expires
		if until.IsZero() {
			return
		}
		st.timer = time.AfterFunc(time.Until(until), st.expire)
	default:
		return
	}
	st.armed = st.m.phase
}

// expire answers for a server that began a reply and did not end it.
func (st *stream) expire() {
	st.alone(func(ctx context.Context) {
		switch {
		case st.m.phase != st.armed: // the last chunk was quicker
		case st.m.phase == holding:
			st.m.late(ctx)
		case st.m.phase == lingering:
			st.m.emit(nil, true)
		case st.m.phase == events:
			st.m.outlived(ctx, guard.IdentityExpired, "the token expired while the stream was open")
		}
	})
}

// revoke ends the stream if it is open and its client was revoked for this
// reason.
func (st *stream) revoke(why string) {
	st.alone(func(ctx context.Context) {
		if st.m.phase == events {
			st.m.outlived(ctx, guard.IdentityRevoked, why+" while the stream was open")
			st.arm()
		}
	})
}

func (st *stream) drain() {
	st.alone(func(ctx context.Context) {
		if st.m.phase == events || st.m.phase == lingering {
			st.m.interrupt(ctx)
			st.arm()
		}
	})
}

// alone runs f between two messages, on a goroutine that is not Process's. If
// sending fails there, receiving fails too, and Process ends.
func (st *stream) alone(f func(context.Context)) {
	st.mu.Lock()
	defer st.mu.Unlock()
	defer func() {
		if p := recover(); p != nil {
			st.log.Error("ext_proc: panic", "panic", p, "stack", string(debug.Stack()), "exchange", st.m.x.ID)
			st.m.abandon()
		}
	}()
	if st.closed {
		return
	}
	ctx, cancel := context.WithTimeout(guard.WithTrace(context.Background(), &st.m.x.Trace), settleTime)
	defer cancel()
	f(ctx)
}

// close settles the exchange; err is what ended it.
func (st *stream) close(ctx context.Context, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.closed = true
	if st.timer != nil {
		st.timer.Stop()
	}
	defer st.survive()
	if err := st.m.settle(ctx, err); err != nil {
		st.log.ErrorContext(ctx, "ext_proc: settle", "err", err, "exchange", st.m.x.ID)
	}
}

// survive keeps a panic outside of Process's protection from ending the
// gateway.
func (st *stream) survive() {
	if p := recover(); p != nil {
		st.log.Error("ext_proc: panic", "panic", p, "stack", string(debug.Stack()), "exchange", st.m.x.ID)
	}
}
