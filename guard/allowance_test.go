package guard_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// reader looks at texts, each of which takes a millisecond.
type reader struct {
	texts int
	clock *time.Time
	read  *int
	waits time.Duration
}

func (r reader) Inspect(_ context.Context, x *guard.Exchange, _ *mcp.Message) (guard.Verdict, error) {
	for range r.texts {
		if x.Over(8 << 10) {
			return guard.Verdict{}, fmt.Errorf("reader: inspect: %w", guard.ErrOverBudget)
		}
		*r.clock = r.clock.Add(time.Millisecond)
		*r.read++
	}
	if r.waits > 0 {
		return guard.Verdict{Pending: func(context.Context) (guard.Verdict, error) {
			*r.clock = r.clock.Add(r.waits)
			return guard.Pass(), nil
		}}, nil
	}
	return guard.Pass(), nil
}

func TestTheTimeToLookIntoAMessageIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		budget  time.Duration
		over    guard.Action
		onError guard.Action
		readers []reader
		action  guard.Action
		read    int
	}{
		"no budget":                             {0, guard.Deny, guard.Deny, []reader{{texts: 100}, {texts: 100}}, guard.Allow, 200},
		"within it":                             {100 * time.Millisecond, guard.Deny, guard.Deny, []reader{{texts: 30}, {texts: 60}}, guard.Allow, 90},
		"one guard takes too long":              {10 * time.Millisecond, guard.Deny, guard.Deny, []reader{{texts: 100}}, guard.Deny, 10},
		"several together do":                   {10 * time.Millisecond, guard.Deny, guard.Deny, []reader{{texts: 6}, {texts: 6}}, guard.Deny, 10},
		"on_error does not excuse it":           {10 * time.Millisecond, guard.Deny, guard.Allow, []reader{{texts: 100}}, guard.Deny, 10},
		"the operator does":                     {10 * time.Millisecond, guard.Allow, guard.Deny, []reader{{texts: 100}, {texts: 100}}, guard.Allow, 10},
		"waiting for somebody is not looking":   {10 * time.Millisecond, guard.Deny, guard.Deny, []reader{{texts: 5, waits: time.Hour}, {texts: 4}}, guard.Allow, 9},
		"nothing is left for the second to use": {10 * time.Millisecond, guard.Deny, guard.Deny, []reader{{texts: 10}, {texts: 0}}, guard.Deny, 10},
	} {
		clock, read := time.Unix(1000, 0), 0
		var members []guard.Member
		for i, r := range c.readers {
			r.clock, r.read = &clock, &read
			spec := guard.Spec{Name: fmt.Sprintf("reader%d", i), Wants: []guard.Want{{Method: "*"}}}.Scanning()
			members = append(members, guard.Member{Spec: spec, Guard: r, OnError: c.onError, Timeout: time.Second})
		}
		chain, err := guard.New(guard.Host{
			Now: func() time.Time { return clock }, Decoder: mcp.NewDecoder(mcp.Config{}), Budget: c.budget, OverBudget: c.over,
			Await: func(ctx context.Context, _ time.Duration, wait func(context.Context) (guard.Verdict, error)) (guard.Verdict, error) {
				return wait(ctx)
			},
		}, members...)
		if err != nil {
			t.Fatal(err)
		}
		x := &guard.Exchange{}
		m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`))
		if f != nil {
			t.Fatal(f)
		}
		for range 2 { // each message has a budget of its own
			read = 0
			d := chain.Run(t.Context(), x, &m)
			if d.Action != c.action || read != c.read || d.Action == guard.Deny && d.Reason != guard.OverBudget {
				t.Errorf("%s: %v %q, %d texts", name, d.Action, d.Reason, read)
			}
			skipped := d.Action == guard.Allow && d.Journal[len(d.Journal)-1].Err != nil
			if told := len(d.Events) > 0; told != skipped {
				t.Errorf("%s: events %v", name, d.Events)
			}
			if skipped && (len(x.Labels()) != 1 || x.Labels()[0] != "uninspected" || !errors.Is(d.Journal[0].Err, guard.ErrOverBudget)) {
				t.Errorf("%s: labels %v", name, x.Labels())
			}
		}
	}
}

func BenchmarkOver(b *testing.B) {
	x := &guard.Exchange{}
	b.ReportAllocs()
	for b.Loop() {
		x.Over(100)
	}
}
