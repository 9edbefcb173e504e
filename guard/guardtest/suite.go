package guardtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// suite is one guard with one configuration.
type suite struct {
	spec    guard.Spec
	guard   guard.Guard
	config  Config
	reasons map[guard.Reason]bool

	questions []question
}

// answer is what a guard said, told without its memory.
func (s *suite) answer(t *testing.T, v guard.Verdict, err error) string {
	if err == nil && v.Pending != nil {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if v, err = v.Pending(ctx); err == nil && v.Pending != nil {
			t.Error("a pending verdict is pending again")
		}
	}
	if err != nil {
		return "error: " + err.Error()
	}
	if v.Action != guard.Allow && !s.reasons[v.Reason] {
		t.Errorf("refuses with the reason %q, which it does not declare", v.Reason)
	}
	return fmt.Sprintf("%s %v", describe(v), v.Edits)
}

// inspect asks about a message as a chain would, and checks that the guard left
// it and the exchange as they were.
func (s *suite) inspect(t *testing.T, q *question) string {
	x, m := q.exchange(), q.message()
	wasX, wasM := *q.exchange(), *q.message()
	v, err := s.guard.Inspect(t.Context(), x, m)
	said := s.answer(t, v, err)
	if !same(m, &wasM) {
		t.Errorf("%s: the guard changed the message", q.name)
	}
	if !sameExchange(x, &wasX) {
		t.Errorf("%s: the guard changed the exchange", q.name)
	}
	return said
}

func same(a, b *mcp.Message) bool {
	return a.Direction == b.Direction && a.Kind == b.Kind && a.Method == b.Method && a.Name == b.Name &&
		bytes.Equal(a.Raw, b.Raw) && bytes.Equal(a.ID, b.ID) && bytes.Equal(a.Params, b.Params) &&
		bytes.Equal(a.Result, b.Result) && bytes.Equal(a.Error, b.Error)
}

// sameExchange compares what is not a guard's own to change: slots and labels
// are.
func sameExchange(a, b *guard.Exchange) bool {
	return a.ID == b.ID && reflect.DeepEqual(a.Server, b.Server) && reflect.DeepEqual(a.Principal, b.Principal) && a.Source == b.Source &&
		a.Verb == b.Verb && a.Path == b.Path && reflect.DeepEqual(a.Headers, b.Headers) && a.Revision == b.Revision &&
		a.Session == b.Session && a.Started.Equal(b.Started) && reflect.DeepEqual(a.Asked, b.Asked) && len(a.Labels()) == 0
}

// everyMessage puts all questions to a chain of the guard alone, which turns
// panics, undeclared reasons and impossible edits or duties into defects.
func (s *suite) everyMessage(t *testing.T) {
	c := s.chain(t)
	for _, q := range s.questions {
		x, m := q.exchange(), q.message()
		if q.dir == mcp.ToServer && x.Headers != nil {
			s.sound(t, q.name+", admission", c.Admit(t.Context(), x))
		}
		s.sound(t, q.name, c.Run(t.Context(), x, m))
		if err := c.Settle(t.Context(), x, guard.Outcome{Ending: guard.Completed, Reached: true, Status: 200}); err != nil {
			t.Errorf("%s: %v", q.name, err)
		}
		s.inspect(t, &q)
	}
}

// sound reports a defect that a decision's journal shows.
func (s *suite) sound(t *testing.T, name string, d guard.Decision) {
	for _, e := range d.Journal {
		var broken *guard.Defect
		if errors.As(e.Err, &broken) {
			t.Errorf("%s: %v\n%s", name, broken, broken.Stack)
		}
	}
}

func (s *suite) chain(t *testing.T) *guard.Chain {
	var now time.Time
	var mu sync.Mutex
	h := guard.Host{
		Decoder: decoder(),
		Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(time.Microsecond)
			return now
		},
		Await: func(ctx context.Context, limit time.Duration, wait func(context.Context) (guard.Verdict, error)) (guard.Verdict, error) {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			return wait(ctx)
		},
	}
	c, err := guard.New(h, guard.Member{Spec: s.spec, Guard: s.guard, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// nothingKnown asks about empty exchanges and messages: a response without a
// seen request, a refusal before the body came.
func (s *suite) nothingKnown(t *testing.T) {
	for _, dir := range []mcp.Direction{mcp.ToServer, mcp.ToClient} {
		x, m := &guard.Exchange{}, &mcp.Message{Direction: dir}
		v, err := s.guard.Inspect(t.Context(), x, m)
		s.answer(t, v, err)
	}
	admitter, ok := s.guard.(guard.Admitter)
	if !ok {
		return
	}
	for name, h := range map[string]guard.Headers{"no headers": nil, "an empty block": Headers{}, "odd values": Headers{
		":authority": "\x00", "host": "[", "origin": "://", "authorization": "Bearer \xff", "content-length": "-1",
	}} {
		x := &guard.Exchange{Headers: h}
		v, err := admitter.Admit(t.Context(), x)
		if len(v.Edits) > 0 {
			t.Errorf("%s: an admission with edits", name)
		}
		s.answer(t, v, err)
	}
}

// nothingKept poisons a message after its inspection: later answers, and what
// was said, must not change with it.
func (s *suite) nothingKept(t *testing.T) {
	if s.config.Varies {
		return
	}
	for _, q := range s.questions {
		x, m := q.exchange(), q.message()
		v, err := s.guard.Inspect(t.Context(), x, m)
		before := s.answer(t, v, err)
		said := describe(v)
		for i := range m.Raw {
			m.Raw[i] = 0xff
		}
		if now := describe(v); now != said {
			t.Errorf("%s: the verdict points into the message: it said %s and says %s", q.name, said, now)
		}
		if settler, ok := s.guard.(guard.Settler); ok {
			settler.Settle(t.Context(), x, guard.Outcome{Ending: guard.Completed})
		}
		if again := s.inspect(t, &q); again != before {
			t.Errorf("%s: said %s, and after the message was overwritten %s", q.name, before, again)
		}
	}
}

// describe tells what a host keeps of a verdict once the message is gone. Edits
// are made while it is there.
func describe(v guard.Verdict) string {
	return fmt.Sprintf("%s %s %q %v %v %v", v.Action, v.Reason, v.Detail, v.Obligations, v.Ticket, v.Principal)
}

// sameAnswer asks twice, in two exchanges.
func (s *suite) sameAnswer(t *testing.T) {
	if s.config.Varies {
		return
	}
	for _, q := range s.questions {
		if a, b := s.inspect(t, &q), s.inspect(t, &q); a != b {
			t.Errorf("%s: said %s, then %s", q.name, a, b)
		}
	}
}

// manyAtOnce asks from several goroutines; the race detector looks on.
func (s *suite) manyAtOnce(t *testing.T) {
	c := s.chain(t)
	all := s.questions
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for i := range all {
				q := &all[(i+n*len(all)/4)%len(all)]
				x := q.exchange()
				if x.Headers != nil {
					c.Admit(t.Context(), x)
				}
				c.Run(t.Context(), x, q.message())
				_ = c.Settle(t.Context(), x, guard.Outcome{Ending: guard.Reset})
			}
		})
	}
	wg.Wait()
}

// contextEnds asks with a context that has ended: neither the question nor what
// is pending may hang or panic.
func (s *suite) contextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, q := range s.questions {
		v, err := s.guard.Inspect(ctx, q.exchange(), q.message())
		if err != nil || v.Pending == nil {
			continue
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = v.Pending(ctx)
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: what is pending does not end with its context", q.name)
		}
	}
}

// settling ends exchanges in every way, of which the guard has seen nothing.
func (s *suite) settling(t *testing.T) {
	if _, ok := s.guard.(guard.Settler); !ok {
		return
	}
	c := s.chain(t)
	for _, e := range []guard.Ending{guard.Completed, guard.Refused, guard.Reset, guard.TimedOut, guard.Broken} {
		for _, reached := range []bool{false, true} {
			x := &guard.Exchange{}
			for range 2 { // the chain passes on the first only
				if err := c.Settle(t.Context(), x, guard.Outcome{Ending: e, Reached: reached}); err != nil {
					t.Errorf("%s: %v", e, err)
				}
			}
		}
	}
}
