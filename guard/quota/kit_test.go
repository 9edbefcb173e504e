package quota_test

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/guard/quota"
	"github.com/sallyport/sallyport/internal/config/notation"
	embedded "github.com/sallyport/sallyport/internal/quota"
	"github.com/sallyport/sallyport/mcp"
)

func counting(l quota.Limiter, rules ...quota.Rule) quota.Port {
	return quota.Port{Limiter: func(quota.Config) (quota.Limiter, error) { return l, nil }, Rules: rules}
}

func here() quota.Limiter {
	began := time.Now()
	return embedded.NewEmbedded(func() time.Duration { return time.Since(began) }, 1000)
}

func rates(text string) (r notation.Rates) {
	if err := r.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}
	return r
}

// slow is a limiter that always has to ask, and says what a test wants.
type slow struct {
	answer   quota.Answer
	err      error
	gate     chan struct{} // Take waits for it, whatever its context says
	returned atomic.Int64
}

func (s *slow) TryTake([]quota.Charge) (quota.Answer, bool) { return quota.Answer{}, false }

func (s *slow) Take(context.Context, []quota.Charge) (quota.Answer, error) {
	if s.gate != nil {
		<-s.gate
	}
	return s.answer, s.err
}

func (s *slow) Return([]quota.Charge) { s.returned.Add(1) }

func (s *slow) Spend([]quota.Charge, uint32) {}

// judge is a chain of the guard alone, and perhaps one that refuses behind it.
func judge(t testing.TB, p quota.Port, more ...guard.Member) *guard.Chain {
	t.Helper()
	spec := quota.Spec(p)
	g := guardtest.Build[quota.Config](t, spec, nil)
	if g == nil {
		t.Fatal("there is nothing to do")
	}
	c, err := guard.New(guard.Host{
		Now: time.Now, Decoder: mcp.NewDecoder(mcp.Config{}),
		Await: guardtest.Await,
	}, append([]guard.Member{{Spec: spec, Guard: g, Timeout: time.Second}}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func call(t testing.TB, method, params string) *mcp.Message {
	t.Helper()
	m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+`}`))
	if f != nil {
		t.Fatal(f)
	}
	return &m
}

func tool(t testing.TB, name string) *mcp.Message {
	return call(t, "tools/call", `{"name":"`+name+`","arguments":{}}`)
}

// exchange is a call of a person on a server.
func exchange(person, server string) *guard.Exchange {
	return &guard.Exchange{Server: guard.Server{Name: server}, Principal: guard.Principal{Subject: person, Issuer: "https://id.example"}, Revision: mcp.R20251125}
}

// run judges a message and lets it reach its server.
func run(t testing.TB, c *guard.Chain, x *guard.Exchange, m *mcp.Message) guard.Decision {
	t.Helper()
	d := c.Run(t.Context(), x, m)
	if err := c.Settle(t.Context(), x, guard.Outcome{Reached: d.Action == guard.Allow}); err != nil {
		t.Fatal(err)
	}
	return d
}

func exchangeSource(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(port)}), port)
}

func flows(text string) (f notation.Flows) {
	if err := f.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}
	return f
}

// settle ends an exchange that reached its server.
func settle(t testing.TB, c *guard.Chain, x *guard.Exchange, in, out int64) {
	t.Helper()
	if err := c.Settle(t.Context(), x, guard.Outcome{Reached: true, Status: 200, BytesIn: in, BytesOut: out}); err != nil {
		t.Fatal(err)
	}
}
