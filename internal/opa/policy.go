package opa

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/memo"
)

// Settings are what a Policy is run with.
type Settings struct {
	CacheTTL time.Duration // how long a decision is used again; 0: never
	Places   int           // of the cache; 0 means 65,536
	Deadline time.Duration // of one evaluation; 0 means half a second
	Now      func() time.Time
	Counts   *memo.Counts // what happens is added to it; nil for the Policy's own

	Preparation time.Duration // for working out, once, what reads no input; 0 means 5 s
}

// Defaults.
const (
	defaultPlaces   = 1 << 16
	defaultDeadline = 500 * time.Millisecond // an evaluation takes some 20 microseconds; the rest is patience with a busy machine

	defaultPreparation = 5 * time.Second
)

// Policy is one bundle, ready to decide. It is immutable but for its cache, and
// safe for concurrent use.
type Policy struct {
	Settings
	revision string
	masks    bool
	compiler *ast.Compiler
	store    storage.Store
	txn      storage.Transaction // for reading; nobody writes
	base     base
	near     *ast.Term // what rules find at input[near]; nil for nothing
	access   *step
	call     *step // nil: everything that access lets through is allowed
	memo     *memo.Decisions
	values   *memo.Table[ast.Value]
}

// step is one prepared question.
type step struct {
	query ast.Body
	qc    ast.QueryCompiler
	reads reads
}

// Stats says how a Policy is doing.
type Stats = memo.Stats

// Stats returns the counts so far.
func (p *Policy) Stats() Stats { return p.memo.Stats() }

// Revision names the bundle: its own revision, and a digest of its content.
func (p *Policy) Revision() string { return p.revision }

// Masks reports whether the policy says that it masks results.
func (p *Policy) Masks() bool { return p.masks }

func (p *Policy) now() time.Time { return p.Now() }

var allowed = &policy.Decision{Allow: true}

// Decide implements policy.Decider.
func (p *Policy) Decide(ctx context.Context, s policy.Step, in *policy.Input) (*policy.Decision, error) {
	st := p.access
	if s == policy.Call {
		if st = p.call; st == nil {
			return allowed, nil
		}
	}
	if !p.memo.On() || st.reads.whole {
		d, _, err := p.evaluate(ctx, st, in)
		return d, err
	}
	var own [512]byte
	key := memo.Key(own[:0], s, in)
	now := p.Now()
	if d := p.memo.Get(key, now); d != nil {
		return d, nil
	}
	d, read, err := p.evaluate(ctx, st, in)
	if err != nil {
		return nil, err
	}
	if read&volatile != 0 {
		p.memo.Uncacheable()
		return d, nil
	}
	p.memo.Put(key, now, d)
	return d, nil
}

var errDeadline = errors.New("opa: evaluation took longer than its deadline")

// evaluate asks the policy, and returns which members of the input it read.
func (p *Policy) evaluate(ctx context.Context, st *step, in *policy.Input) (*policy.Decision, uint32, error) {
	p.memo.Evaluated()
	o := &input{Object: emptyObject, in: in, own: p}
	term := &ast.Term{Value: o}
	if st.reads.whole {
		v, err := o.full()
		if err != nil {
			return p.unreadable(err)
		}
		term.Value = v
	}
	b := take(p.Deadline)
	defer b.leave()
	var got ast.Value
	err := topdown.NewQuery(st.query).WithQueryCompiler(st.qc).WithCompiler(p.compiler).WithStore(p.store).WithTransaction(p.txn).
		WithInput(term).WithCancel(b.cancel).WithVirtualCache(&b.memory).WithBaseCache(p.base).WithStrictBuiltinErrors(true).WithMetrics(noMetrics).WithTime(epoch).
		Iter(ctx, func(r topdown.QueryResult) error {
			got = r[answer].Value
			return nil
		})
	switch {
	case o.err != nil:
		return p.unreadable(o.err)
	case err != nil && topdown.IsCancel(err):
		p.memo.TimedOut()
		return nil, 0, errDeadline
	case err != nil:
		p.memo.Failed()
		return nil, 0, fmt.Errorf("opa: evaluate: %w", err)
	case got == nil:
		if st == p.call {
			return allowed, o.read, nil
		}
		return &policy.Decision{Reason: policy.PolicyDenied, Detail: "the policy says nothing about this"}, o.read, nil
	}
	d, err := decision(got)
	if err != nil {
		p.memo.Failed()
		return nil, 0, err
	}
	return d, o.read, nil
}

// unreadable refuses arguments that a policy wants to read and cannot.
func (p *Policy) unreadable(err error) (*policy.Decision, uint32, error) {
	if errors.Is(err, errNumber) {
		return &policy.Decision{Reason: policy.ArgumentNotAllowed, Detail: err.Error()}, volatile, nil
	}
	p.memo.Failed()
	return nil, 0, err
}

const answer = ast.Var("answer")

var (
	emptyObject = ast.NewObject()
	noMetrics   = metrics.NoOp()
	epoch       = time.Unix(0, 1) // no builtin that is left reads it
)
