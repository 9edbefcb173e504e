package loop_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/guard/loop"
	"github.com/sallyport/sallyport/mcp"
)

// world is a guard with a clock that tests move.
type world struct {
	t      testing.TB
	guard  guard.Guard
	now    time.Time
	shared []loop.Event
	memory *loop.Memory
}

func ports(w *world) loop.Ports {
	return loop.Ports{
		Memory:  func(c loop.Config) (*loop.Memory, error) { w.memory.Bound(c.MaxKeys); return w.memory, nil },
		Now:     func() time.Time { return w.now },
		Tickets: guard.NewTickets(),
		Share:   func(e loop.Event) { w.shared = append(w.shared, e) },
	}
}

func newWorld(t testing.TB, set func(*loop.Config)) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), memory: loop.NewMemory(100_000)}
	g := guardtest.Build(t, loop.Spec(ports(w)), set)
	w.guard = g
	return w
}

// one is one call.
type one struct {
	who, agent, client string
	source             string
	task               string
	server, tool, args string
	headers            map[string]string
	meta               string
	answer             string // of the server; empty: it does not answer
	takes              time.Duration
}

var decoder = mcp.NewDecoder(mcp.Config{AnyNames: true})

func decode(t testing.TB, d mcp.Direction, raw string) *mcp.Message {
	t.Helper()
	m, f := decoder.Decode(d, []byte(raw))
	if f != nil {
		t.Fatalf("%s: %v", raw, f)
	}
	return &m
}

// begin asks about a call.
func (w *world) begin(o one) (*guard.Exchange, guard.Verdict) {
	w.t.Helper()
	if o.server == "" {
		o.server = "crm"
	}
	if o.tool == "" {
		o.tool = "search"
	}
	if o.args == "" {
		o.args = `{"q":"x"}`
	}
	meta := ""
	if o.meta != "" {
		meta = `,"_meta":` + o.meta
	}
	x := &guard.Exchange{ID: fmt.Sprintf("%016x%016x", len(w.shared)+1, 7), Headers: guardtest.Headers(o.headers), Server: guard.Server{Name: o.server}}
	x.Principal = guard.Principal{Subject: o.who, Agent: o.agent, Client: o.client, Task: o.task}
	if o.source != "" {
		x.Source = netip.MustParseAddrPort(o.source)
	}
	v, err := w.guard.Inspect(w.t.Context(), x, decode(w.t, mcp.ToServer, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+o.tool+`","arguments":`+o.args+meta+`}}`))
	if err != nil {
		w.t.Fatal(err)
	}
	return x, v
}

// call makes a call and has it answered.
func (w *world) call(o one) guard.Verdict {
	w.t.Helper()
	x, v := w.begin(o)
	w.now = w.now.Add(o.takes)
	end := guard.Outcome{Ending: guard.Refused}
	if v.Action == guard.Allow {
		end = guard.Outcome{Ending: guard.Completed, Reached: true, Status: 200}
		if o.answer == "" {
			end.Ending, end.Status = guard.TimedOut, 504
		} else {
			body := `"result":` + o.answer
			if strings.HasPrefix(o.answer, `{"code"`) {
				body = `"error":` + o.answer
			}
			if _, err := w.guard.Inspect(w.t.Context(), x, decode(w.t, mcp.ToClient, `{"jsonrpc":"2.0","id":1,`+body+`}`)); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	w.guard.(guard.Settler).Settle(w.t.Context(), x, end)
	return v
}

// allow makes a call that must pass, refuse one that must not.
func (w *world) allow(o one) {
	w.t.Helper()
	if v := w.call(o); v.Action != guard.Allow {
		w.t.Fatalf("refused: %s %s", v.Reason, v.Detail)
	}
}

func (w *world) refuse(o one, reason guard.Reason, hint string) guard.Verdict {
	w.t.Helper()
	v := w.call(o)
	if v.Action != guard.Deny || v.Reason != reason || !strings.Contains(v.Hint, hint) {
		w.t.Fatalf("%s %s: %s, want %s: ...%s...", v.Action, v.Reason, v.Hint, reason, hint)
	}
	return v
}

func duty(v guard.Verdict, k guard.ObligationKind) string {
	for _, o := range v.Obligations {
		if o.Kind == k {
			return o.Name + "=" + o.Value
		}
	}
	return ""
}
