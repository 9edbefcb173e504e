package guard_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

const no guard.Reason = "test_no"

// everything wants every message in both directions.
var everything = []guard.Want{{Method: "*", Direction: mcp.ToServer}, {Method: "*", Direction: mcp.ToClient}}

type inspect func(x *guard.Exchange, m *mcp.Message) (guard.Verdict, error)

func (f inspect) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	return f(x, m)
}

// full is a guard with every role.
type full struct {
	inspect
	admit  func(x *guard.Exchange) (guard.Verdict, error)
	settle func(x *guard.Exchange, o guard.Outcome)
}

func (f full) Admit(_ context.Context, x *guard.Exchange) (guard.Verdict, error) { return f.admit(x) }

func (f full) Settle(_ context.Context, x *guard.Exchange, o guard.Outcome) { f.settle(x, o) }

func pass(*guard.Exchange, *mcp.Message) (guard.Verdict, error) { return guard.Pass(), nil }

func says(v guard.Verdict) inspect {
	return func(*guard.Exchange, *mcp.Message) (guard.Verdict, error) { return v, nil }
}

func fails(err error) inspect {
	return func(*guard.Exchange, *mcp.Message) (guard.Verdict, error) { return guard.Pass(), err }
}

func panics(*guard.Exchange, *mcp.Message) (guard.Verdict, error) { panic("the message made me") }

// member is a guard that wants everything and may refuse with no.
func member(name string, g guard.Guard) guard.Member {
	return guard.Member{
		Guard: g, Timeout: time.Second,
		Spec: guard.Spec{Name: name, Wants: everything, Reasons: []guard.ReasonInfo{
			{Reason: no, Status: 200, Code: guard.CodeDenied, Text: "No.", When: "In tests."},
		}},
	}
}

// observer keeps what it was told.
type observer struct {
	seen []guard.Decision
	err  error
	do   func()
}

func (o *observer) Observe(_ context.Context, _ *guard.Exchange, _ *mcp.Message, d *guard.Decision) error {
	o.seen = append(o.seen, *d)
	if o.do != nil {
		o.do()
	}
	return o.err
}

// inline runs a pending verdict on the spot.
func inline(ctx context.Context, _ time.Duration, wait func(context.Context) (guard.Verdict, error)) (guard.Verdict, error) {
	return wait(ctx)
}

// impatient gives up at once, as a host does whose guard ignores its context.
func impatient(context.Context, time.Duration, func(context.Context) (guard.Verdict, error)) (guard.Verdict, error) {
	return guard.Verdict{}, fmt.Errorf("host: %w", context.DeadlineExceeded)
}

// clock goes on by a millisecond with each look.
func clock() func() time.Time {
	t := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	return func() time.Time {
		t = t.Add(time.Millisecond)
		return t
	}
}

func host(observers ...guard.Observer) guard.Host {
	return guard.Host{Now: clock(), Decoder: mcp.NewDecoder(mcp.Config{}), Await: inline, Observers: observers}
}

func chain(t testing.TB, h guard.Host, members ...guard.Member) *guard.Chain {
	t.Helper()
	c, err := guard.New(h, members...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func message(t testing.TB, dir mcp.Direction, text string) *mcp.Message {
	t.Helper()
	m, f := mcp.NewDecoder(mcp.Config{}).Decode(dir, []byte(text))
	if f != nil {
		t.Fatal(f)
	}
	return &m
}

const callText = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read","arguments":{"card":"4111"}}}`

func call(t testing.TB) *mcp.Message { return message(t, mcp.ToServer, callText) }

// asking is an exchange whose client made the call.
func asking(t testing.TB) *guard.Exchange {
	m := call(t)
	return &guard.Exchange{ID: "x1", Revision: mcp.R20251125, Asked: guard.Asked{Kind: m.Kind, ID: m.ID, Method: m.Method, Name: m.Name}}
}
