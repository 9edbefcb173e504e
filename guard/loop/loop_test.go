package loop_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/guard/loop"
	"github.com/sallyport/sallyport/internal/recent"
	"github.com/sallyport/sallyport/mcp"
)

const same = `{"content":[{"type":"text","text":"nothing found"}]}`

func TestTheSameCallWithTheSameAnswerIsALoop(t *testing.T) {
	w := newWorld(t, nil)
	// However the call is written, and however long the agent thinks.
	args := []string{`{"q":"x","n":1}`, ` { "n" : 1.0 , "\u0071" : "\u0078" } `}
	o := one{who: "ana", answer: same}
	for i := range 10 {
		o.args, o.takes = args[i%2], time.Duration(1+i*i%7)*time.Second
		w.allow(o)
	}
	o.takes = 0
	v := w.refuse(o, loop.LoopDetected, "crm/search: the same call got the same answer 10 times in ")
	if !strings.HasSuffix(v.Hint, "Do something else, or try again in 30 s.") || duty(v, guard.RetryAfter) != "=30" || duty(v, guard.Raise) == "" {
		t.Errorf("%q, %v", v.Hint, v.Obligations)
	}
	if v := w.call(o); duty(v, guard.Raise) != "" {
		t.Error("a second event about the same loop")
	}
	// Other arguments, another tool, another server, another caller and another agent are no part of it.
	for _, other := range []one{{who: "ana", args: `{"q":"y"}`}, {who: "ana", tool: "read"}, {who: "ana", server: "hr"}, {who: "bob"}, {who: "ana", agent: "helper"}, {who: "ana", task: "t-2"}} {
		if other.args == "" {
			other.args = args[0]
		}
		other.answer = same
		w.allow(other)
	}
	// After a rest one passes, to see whether things have changed. They have not.
	w.now = w.now.Add(31 * time.Second)
	w.allow(o)
	w.refuse(o, loop.LoopDetected, "11 times")
	// Now they have.
	w.now = w.now.Add(31 * time.Second)
	o.answer = `{"content":[{"type":"text","text":"found"}]}`
	for range 10 {
		w.allow(o)
	}
	w.refuse(o, loop.LoopDetected, "10 times")
	w.now = w.now.Add(3 * time.Minute)
	w.allow(o)
}

func TestWhoPollsIsNotStopped(t *testing.T) {
	for name, set := range map[string]func(*loop.Config){
		"as evenly as a program":     nil,
		"with answers that change":   nil,
		"with a tool that is exempt": func(c *loop.Config) { c.Tools = []loop.Tool{{Tools: []string{"wait_*"}, Off: true}} },
		"with a limit of its own":    func(c *loop.Config) { c.Tools = []loop.Tool{{Servers: []string{"c*"}, Repeats: 1000}} },
		"with pauses between":        nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, set)
			for i := range 200 {
				o := one{who: "ana", tool: "wait_job", answer: same, takes: time.Duration(50+i%3*20) * time.Millisecond}
				switch name {
				case "as evenly as a program":
					w.now = w.now.Add(6 * time.Second)
				case "with answers that change":
					o.answer = fmt.Sprintf(`{"content":[{"type":"text","text":"%d %%"}],"_meta":{"same":1}}`, i)
				case "with pauses between":
					w.now = w.now.Add(3 * time.Minute)
				}
				w.allow(o)
			}
		})
	}
}

// A loop that pretends to poll has to be as slow as polling.
func TestWhatLooksLikePollingAndIsNot(t *testing.T) {
	for name, pause := range map[string]func(i int) time.Duration{
		"evenly and fast":  func(int) time.Duration { return 2 * time.Second },
		"slowly, unevenly": func(i int) time.Duration { return time.Duration(3+i*5%13) * time.Second },
		"all at once":      func(int) time.Duration { return 0 },
		"a burst afterwards": func(i int) time.Duration {
			if i < 100 {
				return 10 * time.Second
			}
			return 100 * time.Millisecond
		},
	} {
		w := newWorld(t, nil)
		stopped := false
		for i := range 130 {
			w.now = w.now.Add(pause(i))
			stopped = stopped || w.call(one{who: "ana", answer: same}).Action != guard.Allow
		}
		if !stopped {
			t.Errorf("%s: never stopped", name)
		}
	}
}

// Some tools stamp their answers with the time.
func TestAnswersThatAlwaysDifferCanBeIgnored(t *testing.T) {
	w := newWorld(t, func(c *loop.Config) { c.Tools = []loop.Tool{{Tools: []string{"search"}, Answers: "ignore"}} })
	o := one{who: "ana"}
	for i := range 10 {
		o.answer = fmt.Sprintf(`{"content":[{"type":"text","text":"nothing at %d"}]}`, i)
		w.allow(o)
	}
	w.refuse(o, loop.LoopDetected, "10 times")
}

func TestToolsAndAgentsThatPlayPingPong(t *testing.T) {
	for name, pair := range map[string][2]one{
		"two tools":               {{who: "ana", tool: "search"}, {who: "ana", tool: "read"}},
		"two agents of one human": {{who: "ana", agent: "planner", tool: "ask"}, {who: "ana", agent: "critic", tool: "ask"}},
		"two agents of one task":  {{who: "planner", task: "t-7", tool: "ask"}, {who: "critic", task: "t-7", tool: "ask"}},
		"two agents of one trace": {
			{who: "planner", headers: guardtest.Headers{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
			{who: "critic", meta: `{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			for i := range 8 {
				o := pair[i%2]
				o.answer, o.takes = same, time.Duration(1+i%3)*time.Second
				w.allow(o)
			}
			hint := "a cycle of 2 calls went round 4 times with the same answers"
			if strings.Contains(name, "agents") {
				hint = "a cycle of 2 calls by 2 agents went round 4 times with the same answers"
			}
			pair[0].answer, pair[1].answer = same, same
			if v := w.refuse(pair[0], loop.LoopDetected, hint); duty(v, guard.Raise) == "" {
				t.Error("no event")
			}
			// Another course is open.
			o := pair[0]
			o.args = `{"q":"another"}`
			w.allow(o)
			w.allow(pair[1])
		})
	}
}

func TestLongerCyclesAndWhatIsNone(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 24 {
		w.allow(one{who: "ana", tool: fmt.Sprintf("step%d", i%6), answer: same, takes: time.Duration(1+i%4) * time.Second})
	}
	w.refuse(one{who: "ana", tool: "step0", answer: same}, loop.LoopDetected, "a cycle of 6 calls went round 4 times")

	// Work that comes back to a tool with other answers, or in another order, is none.
	w = newWorld(t, nil)
	for i := range 60 {
		answer := fmt.Sprintf(`{"content":[{"type":"text","text":"%d tests fail"}]}`, 60-i)
		w.allow(one{who: "ana", tool: "edit", args: fmt.Sprintf(`{"line":%d}`, i), answer: same})
		w.allow(one{who: "ana", tool: "test", answer: answer})
	}
	// A monitor that looks at two things in turn, once a minute.
	w = newWorld(t, nil)
	for i := range 100 {
		w.now = w.now.Add(30 * time.Second)
		w.allow(one{who: "ana", tool: []string{"disk", "load"}[i%2], answer: same, takes: time.Duration(i%5) * 10 * time.Millisecond})
	}
}

func TestAToolThatFailsIsNotRetriedWithoutPause(t *testing.T) {
	for name, answer := range map[string]string{
		"tool errors": `{"content":[],"isError":true}`, "protocol errors": `{"code":-32603,"message":"x"}`, "no answer": "",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			for i := range 8 {
				w.allow(one{who: "ana", args: fmt.Sprintf(`{"q":%d}`, i), answer: answer, takes: 300 * time.Millisecond})
			}
			v := w.refuse(one{who: "ana", args: `{"q":"more"}`}, loop.RetryStorm, "crm/search: calls of this tool failed 8 times in a row")
			if duty(v, guard.RetryAfter) != "=30" {
				t.Errorf("%v", v.Obligations)
			}
			w.allow(one{who: "ana", tool: "read", answer: same})
			w.allow(one{who: "bob", answer: same})
			w.now = w.now.Add(30 * time.Second)
			w.allow(one{who: "ana", answer: same}) // it works again
			for i := range 7 {
				w.allow(one{who: "ana", args: fmt.Sprintf(`{"q":%d}`, i), answer: answer})
			}
		})
	}
}

// What another guard refused, or what never reached its server, is no call.
func TestRefusedCallsDoNotCount(t *testing.T) {
	w := newWorld(t, nil)
	for range 50 {
		x, v := w.begin(one{who: "ana"})
		if v.Action != guard.Allow {
			t.Fatal(v.Detail)
		}
		w.guard.(guard.Settler).Settle(t.Context(), x, guard.Outcome{Ending: guard.Refused, Status: 200})
	}
}

func TestATreeOfCallsThatGrowsIsStopped(t *testing.T) {
	parent := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	w := newWorld(t, nil)
	state := "vendor=1"
	for i := range 8 { // each call is made by the server of the one before
		x, v := w.begin(one{who: fmt.Sprint("agent", i), headers: guardtest.Headers{"traceparent": parent, "tracestate": state}})
		if v.Action != guard.Allow {
			t.Fatalf("call %d: %s", i, v.Detail)
		}
		want := fmt.Sprintf("tracestate=sallyport=%d.%s,vendor=1", i+1, x.ID[:16])
		if state = duty(v, guard.SetHeader); state != want {
			t.Fatalf("%q, want %q", state, want)
		}
		state = strings.TrimPrefix(state, "tracestate=")
	}
	deep := one{who: "agent9", headers: guardtest.Headers{"traceparent": parent, "tracestate": state}}
	w.refuse(deep, loop.CallTreeLimit, "this call stands within 8 others")
	deep.headers, deep.meta = nil, `{"traceparent":"`+parent+`","tracestate":"`+state+`"}`
	w.refuse(deep, loop.CallTreeLimit, "this call stands within 8 others")

	// One call that causes 200 others.
	child := one{who: "server", headers: guardtest.Headers{"traceparent": parent, "tracestate": "sallyport=1.0123456789abcdef"}}
	for i := range 200 {
		child.args, child.answer = fmt.Sprint(`{"i":`, i, "}"), same
		w.allow(child)
	}
	w.refuse(child, loop.CallTreeLimit, "one call has caused more than 200 within 120 s")
	child.headers["tracestate"] = "sallyport=1.0123456789abcdee"
	w.allow(child) // another does not
}

// Trace context is the caller's word. Nonsense in it is no context.
func TestForgedTraceContext(t *testing.T) {
	good := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, h := range []guardtest.Headers{
		{"traceparent": "x", "tracestate": "sallyport=99.0123456789abcdef"},
		{"traceparent": "ff" + good[2:], "tracestate": "sallyport=99.0123456789abcdef"},
		{"traceparent": strings.ToUpper(good), "tracestate": "sallyport=99.0123456789abcdef"},
		{"traceparent": "00-00000000000000000000000000000000-b7ad6b7169203331-01", "tracestate": "sallyport=99.0123456789abcdef"},
		{"traceparent": good + "-x", "tracestate": "sallyport=99.0123456789abcdef"},
		{"tracestate": "sallyport=99.0123456789abcdef"},
		{"traceparent": good, "tracestate": "sallyport=99"},
		{"traceparent": good, "tracestate": "sallyport=-1.0123456789abcdef"},
		{"traceparent": good, "tracestate": "sallyport=99999999999999999999.0123456789abcdef"},
		{"traceparent": good, "tracestate": "sallyport=99.0123456789ABCDEF"},
	} {
		w := newWorld(t, nil)
		w.allow(one{who: "ana", headers: h, answer: same})
	}
	w := newWorld(t, nil)
	_, v := w.begin(one{who: "ana", headers: guardtest.Headers{"traceparent": good, "tracestate": strings.Repeat("k=v,", 5000) + "\x00=1"}})
	if state := duty(v, guard.SetHeader); len(state) > 600 || strings.Count(state, ",") > 31 || !strings.HasPrefix(state, "tracestate=sallyport=1.") {
		t.Errorf("%q", state)
	}
}

// Callers who show nothing are told apart by where they come from.
func TestStrangersAreNoOneCaller(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 10 {
		w.allow(one{source: "192.0.2.1:" + fmt.Sprint(1000+i), answer: same})
	}
	w.refuse(one{source: "192.0.2.1:9"}, loop.LoopDetected, "10 times")
	w.allow(one{source: "192.0.2.2:9", answer: same})
}

func TestHoldGivesATicket(t *testing.T) {
	w := newWorld(t, func(c *loop.Config) { c.Action, c.Repeats = "hold", 2 })
	o := one{who: "ana", answer: same}
	w.allow(o)
	w.allow(o)
	a, b := w.call(o), w.call(o)
	if a.Action != guard.Hold || a.Ticket == nil || len(a.Ticket.ID) != 32 || a.Ticket.ID != b.Ticket.ID {
		t.Errorf("%+v, %+v", a, b)
	}
}

// Replicas tell each other, so that a loop which goes round them is seen.
func TestALoopOverTwoReplicas(t *testing.T) {
	one1, two := newWorld(t, nil), newWorld(t, nil)
	o := one{who: "ana", answer: same}
	for i := range 10 {
		from, to := one1, two
		if i%2 == 1 {
			from, to = two, one1
		}
		from.allow(o)
		e := from.shared[len(from.shared)-1]
		to.memory.Learn(&e, 2*time.Minute)
	}
	one1.refuse(o, loop.LoopDetected, "10 times")
	two.refuse(o, loop.LoopDetected, "10 times")
}

// An attacker, or a large company, has more names than there is memory.
func TestMemoryIsBounded(t *testing.T) {
	w := newWorld(t, func(c *loop.Config) { c.MaxKeys = 2000 })
	for i := range 20_000 {
		w.call(one{who: fmt.Sprint("user", i), answer: same, meta: `{"traceparent":"00-` + fmt.Sprintf("%032x", i+1) + `-b7ad6b7169203331-01"}`})
		w.shared = w.shared[:0]
	}
	if got := w.memory.Len(); got > 2048+2*512 {
		t.Errorf("%d rows, cycles and callers", got)
	}
	if w.memory.Forgotten() < 50_000 {
		t.Errorf("%d forgotten", w.memory.Forgotten())
	}
}

// BenchmarkMillionCallers shows what a million callers leave in a memory of the
// default size.
func BenchmarkMillionCallers(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := loop.NewMemory(loop.Default().MaxKeys)
		for i := range 1_000_000 {
			e := loop.Event{At: int64(i), Answer: 1}
			for k, key := range []*recent.Key{&e.Call, &e.Tool, &e.Caller, &e.Conversation} {
				binary.BigEndian.PutUint64(key[:], uint64(i*4+k)*0x9e3779b97f4a7c15)
			}
			m.Learn(&e, time.Minute)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
		b.ReportMetric(float64(m.Len()), "entries")
	}
}

func TestWhatCannotBeConfigured(t *testing.T) {
	for want, set := range map[string]func(*loop.Config){
		"tools[0].tools[0]":   func(c *loop.Config) { c.Tools = []loop.Tool{{Tools: []string{""}}} },
		"tools[1].servers[0]": func(c *loop.Config) { c.Tools = []loop.Tool{{}, {Servers: []string{"*********"}}} },
		"tools[0].off":        func(c *loop.Config) { c.Tools = []loop.Tool{{Off: true, Repeats: 3}} },
		"tools: 65 entries":   func(c *loop.Config) { c.Tools = make([]loop.Tool, 65) },
	} {
		_, err := guardtest.Try(loop.Spec(loop.Ports{}), set)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestConformance(t *testing.T) {
	w := &world{t: t, now: time.Now(), memory: loop.NewMemory(1000)}
	p := ports(w)
	p.Share = nil
	guardtest.Run(t, loop.Spec(p),
		guardtest.Config{Name: "counting", Varies: true},
		guardtest.Config{Name: "tight", Varies: true, Set: func(c any) { c.(*loop.Config).Repeats, c.(*loop.Config).Action = 2, "hold" }})
}

func BenchmarkGuard(b *testing.B) {
	w := newWorld(b, nil)
	guardtest.Benchmark(b, loop.Spec(ports(w)), guardtest.Config{})
}

// BenchmarkCall is a whole call: request, answer, end.
func BenchmarkCall(b *testing.B) {
	w := newWorld(b, nil)
	ask := decode(b, mcp.ToServer, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"text":"`+strings.Repeat("The quick brown fox. ", 10)+`","limit":10}}}`)
	reply := decode(b, mcp.ToClient, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"`+strings.Repeat("The quick brown fox. ", 10)+`"}]}}`)
	ctx := context.Background()
	for _, traced := range []bool{false, true} {
		b.Run(fmt.Sprintf("traced=%v", traced), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				x := &guard.Exchange{ID: "0123456789abcdef0123456789abcdef", Server: guard.Server{Name: "crm"}, Principal: guard.Principal{Subject: users[i%len(users)]}}
				if traced {
					x.Headers = guardtest.Headers{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
				}
				if _, err := w.guard.Inspect(ctx, x, ask); err != nil {
					b.Fatal(err)
				}
				_, _ = w.guard.Inspect(ctx, x, reply)
				w.guard.(guard.Settler).Settle(ctx, x, guard.Outcome{Ending: guard.Completed, Reached: true, Status: 200})
				w.shared = w.shared[:0]
			}
		})
	}
}

var users = func() (out [1000]string) {
	for i := range out {
		out[i] = fmt.Sprint("user", i)
	}
	return out
}()
