package opa

import (
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// memory is what one evaluation remembers of rules that it has evaluated. A
// decision evaluates few: they are found faster in a row than in the tree of
// maps that the evaluator would make. Whatever does not fit goes to that tree.
type memory struct {
	frames []frame
	depth  int
}

const (
	row     = 24 // rules in a row
	longest = 8  // terms of a reference in the row
)

type frame struct {
	n    int
	row  [row]result
	rest topdown.VirtualCache
}

type result struct {
	n     int
	ref   [longest]*ast.Term
	value *ast.Term // nil: undefined
}

func (m *memory) top() *frame { return &m.frames[m.depth-1] }

// Push begins a frame, as the evaluator does where a rule replaces input or data.
func (m *memory) Push() {
	if m.depth == len(m.frames) {
		m.frames = append(m.frames, frame{})
	}
	m.depth++
	f := m.top()
	f.n, f.rest = 0, nil
}

// Pop ends the frame.
func (m *memory) Pop() {
	f := m.top()
	clear(f.row[:f.n])
	f.n, f.rest = 0, nil
	m.depth--
}

// Get returns the value of a rule, or that it is undefined.
func (m *memory) Get(ref ast.Ref) (*ast.Term, bool) {
	f := m.top()
	for i := f.n - 1; i >= 0; i-- {
		if r := &f.row[i]; r.n == len(ref) && r.is(ref) {
			return r.value, r.value == nil
		}
	}
	if f.rest != nil {
		return f.rest.Get(ref)
	}
	return nil, false
}

// is compares from the end, where references differ.
func (r *result) is(ref ast.Ref) bool {
	for i := len(ref) - 1; i >= 0; i-- {
		if r.ref[i] != ref[i] && !ast.ValueEqual(r.ref[i].Value, ref[i].Value) {
			return false
		}
	}
	return true
}

// Put notes the value of a rule; nil for undefined.
func (m *memory) Put(ref ast.Ref, value *ast.Term) {
	f := m.top()
	for i := f.n - 1; i >= 0; i-- {
		if r := &f.row[i]; r.n == len(ref) && r.is(ref) {
			r.value = value
			return
		}
	}
	if f.n == row || len(ref) > longest {
		if f.rest == nil {
			f.rest = topdown.NewVirtualCache()
		}
		f.rest.Put(ref, value)
		return
	}
	r := &f.row[f.n]
	r.n, r.value = len(ref), value
	copy(r.ref[:], ref) // the evaluator uses the slice again
	f.n++
}

// Keys returns the rules of the frame that have a value.
func (m *memory) Keys() []ast.Ref {
	f := m.top()
	var keys []ast.Ref
	for i := range f.row[:f.n] {
		if r := &f.row[i]; r.value != nil {
			keys = append(keys, append(ast.Ref(nil), r.ref[:r.n]...))
		}
	}
	if f.rest != nil {
		keys = append(keys, f.rest.Keys()...)
	}
	return keys
}

// base finds data where it is, instead of asking the store.
type base struct{ data ast.Object }

func (b base) Get(ref ast.Ref) ast.Value {
	if len(ref) == 1 {
		return nil // the evaluator asks the store
	}
	v, err := b.data.Find(ref[1:])
	if err != nil {
		return nil
	}
	return v
}

func (base) Put(ast.Ref, ast.Value) {}

// bench is where an evaluation works; benches are used again.
type bench struct {
	memory
	cancel topdown.Cancel
	timer  *time.Timer
}

var benches sync.Pool

// take returns a bench on which the evaluator has until a deadline.
func take(deadline time.Duration) *bench {
	b, ok := benches.Get().(*bench)
	if !ok {
		b = &bench{cancel: topdown.NewCancel()}
		b.timer = time.AfterFunc(deadline, b.cancel.Cancel)
	} else {
		b.timer.Reset(deadline)
	}
	b.Push()
	return b
}

// leave gives the bench back, unless its time was up.
func (b *bench) leave() {
	inTime := b.timer.Stop()
	for b.depth > 0 {
		b.Pop()
	}
	if inTime {
		benches.Put(b)
	}
}
