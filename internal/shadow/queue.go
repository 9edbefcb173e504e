// Package shadow asks a second policy what a first one was asked, off the data
// path, and reports where the two disagree.
package shadow

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
)

// Queue holds decisions that wait to be made again. What does not find room is
// dropped and counted: nobody waits for a comparison.
type Queue struct {
	tasks   chan *task
	held    atomic.Int64 // bytes of params that wait
	dropped atomic.Uint64
}

// maxHeld bounds the bytes of params that wait: callers choose how large they are.
const maxHeld = 64 << 20

// NewQueue returns a queue with room for n decisions.
func NewQueue(n int) *Queue { return &Queue{tasks: make(chan *task, n)} }

// Dropped returns how many decisions found no room.
func (q *Queue) Dropped() uint64 { return q.dropped.Load() }

// task is one decision to be made again. It owns all that its input points to.
type task struct {
	of        *Pair
	byOther   bool // Other made it, and Base is to make it again
	step      policy.Step
	in        policy.Input
	principal guard.Principal
	server    guard.Server
	got       *policy.Decision // nil: no answer
}

// Pair is two policies that are compared.
type Pair struct {
	Base, Other policy.Decider
	Queue       *Queue
	Sample      float64 // share of decisions that is compared, 0 to 1
	Report      *Report
	URIs        mcp.Exposure // how much of the URIs of resources the report says

	// Done, if set, is told how each comparison came out: whether the two
	// agree, whether Other was asked for it, and whether that failed.
	Done func(agree, failed, asked bool)
}

// Note has a decision compared that Base, or else Other, has just made. It does
// not wait, and keeps nothing of in.
func (p *Pair) Note(byOther bool, step policy.Step, in *policy.Input, got *policy.Decision, err error) {
	if p.Sample < 1 && rand.Float64() >= p.Sample { //nolint:gosec // a sample, and no secret
		return
	}
	size := int64(len(in.Params))
	if len(p.Queue.tasks) == cap(p.Queue.tasks) || !p.Queue.hold(size) { // before anything is copied
		p.Queue.dropped.Add(1)
		return
	}
	t := &task{of: p, byOther: byOther, step: step, in: *in, principal: *in.Principal, server: *in.Server, got: got}
	if err != nil {
		t.got = nil
	}
	t.in.Principal, t.in.Server = &t.principal, &t.server
	t.in.Method, t.in.Target.Name = strings.Clone(in.Method), strings.Clone(in.Target.Name)
	t.in.Labels, t.in.Params = slices.Clone(in.Labels), slices.Clone(in.Params)
	if in.Budget != nil { // what is left now, and not when the task's turn comes
		left := in.Remaining()
		t.in.Budget = func() json.RawMessage { return left }
	}
	if t.in.Time.IsZero() {
		t.in.Time = time.Now()
	}
	select {
	case p.Queue.tasks <- t:
	default:
		p.Queue.held.Add(-size)
		p.Queue.dropped.Add(1)
	}
}

// hold makes room for params of a size, if there is any.
func (q *Queue) hold(size int64) bool {
	if q.held.Add(size) <= maxHeld {
		return true
	}
	q.held.Add(-size)
	return false
}

// Run makes decisions again until ctx ends.
func (q *Queue) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-q.tasks:
			t.run(ctx)
		}
	}
}

func (t *task) run(ctx context.Context) {
	p := t.of
	defer p.Queue.held.Add(-int64(len(t.in.Params)))
	d := p.Other
	if t.byOther {
		d = p.Base
	}
	again, err := d.Decide(ctx, t.step, &t.in)
	if err != nil {
		again = nil
	}
	before, after := t.got, again
	if t.byOther {
		before, after = after, before
	}
	a := compare(before, after)
	p.Report.add(t, a, before, after)
	if p.Done != nil {
		p.Done(a == Agree, !t.byOther && err != nil, !t.byOther)
	}
}

// Watched is a decider whose decisions are compared with those of another.
type Watched struct {
	policy.Decider
	Pair *Pair
}

// Decide implements policy.Decider.
func (w *Watched) Decide(ctx context.Context, s policy.Step, in *policy.Input) (*policy.Decision, error) {
	d, err := w.Decider.Decide(ctx, s, in)
	w.Pair.Note(false, s, in, d, err)
	return d, err
}
