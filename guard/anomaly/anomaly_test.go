package anomaly_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/anomaly"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/mcp"
)

// world is a guard with a clock that tests move.
type world struct {
	t      testing.TB
	guard  guard.Guard
	now    time.Time
	memory *anomaly.Memory
	rand   *rand.Rand
	watch  anomaly.Watch
	price  func(*mcp.Message) int64 // of a request, and of a reply
}

func ports(w *world) anomaly.Ports {
	return anomaly.Ports{
		Memory: func(c anomaly.Config) *anomaly.Memory { w.memory.Bound(c.MaxKeys); return w.memory },
		Now:    func() time.Time { return w.now }, Tickets: guard.NewTickets(), Watch: w.watch,
		Cost: func(_ *guard.Exchange, m *mcp.Message) (int64, bool) {
			if w.price == nil {
				return 0, false
			}
			return w.price(m), true
		},
	}
}

func newWorld(t testing.TB, set func(*anomaly.Config)) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), memory: anomaly.NewMemory(100_000), rand: rand.New(rand.NewPCG(1, 2)), watch: anomaly.Behaviour | anomaly.Resources}
	return w.build(set)
}

func (w *world) build(set func(*anomaly.Config)) *world {
	t := w.t
	t.Helper()
	g := guardtest.Build(t, anomaly.Spec(ports(w)), set)
	w.guard = g
	return w
}

type one struct {
	who, tool, args, answer string
	takes                   time.Duration
	read                    string // a resource instead of a tool
}

const fine = `{"content":[{"type":"text","text":"fine"}]}`

// call makes a call, has it answered, and returns the verdicts about both.
func (w *world) call(o one) (ask, answer guard.Verdict) {
	w.t.Helper()
	if o.who == "" {
		o.who = "ana"
	}
	if o.tool == "" {
		o.tool = "search"
	}
	if o.args == "" {
		o.args = `{"q":"x"}`
	}
	if o.answer == "" {
		o.answer = fine
	}
	x := &guard.Exchange{ID: "x", Server: guard.Server{Name: "crm"}, Principal: guard.Principal{Subject: o.who}}
	text := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + o.tool + `","arguments":` + o.args + `}}`
	if o.read != "" {
		text = `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"` + o.read + `"}}`
	}
	ask, err := w.guard.Inspect(w.t.Context(), x, guardtest.Decode(w.t, mcp.ToServer, text))
	if err != nil {
		w.t.Fatal(err)
	}
	w.now = w.now.Add(o.takes)
	end := guard.Outcome{Ending: guard.Completed, Reached: true, Status: 200}
	switch {
	case ask.Action != guard.Allow:
		end = guard.Outcome{Ending: guard.Refused}
	case o.answer == "none":
		end = guard.Outcome{Ending: guard.TimedOut, Reached: true, Status: 504}
	default:
		if answer, err = w.guard.Inspect(w.t.Context(), x, guardtest.Decode(w.t, mcp.ToClient, `{"jsonrpc":"2.0","id":1,"result":`+o.answer+`}`)); err != nil {
			w.t.Fatal(err)
		}
	}
	w.guard.(guard.Settler).Settle(w.t.Context(), x, end)
	return ask, answer
}

// usual makes calls as an agent does for some minutes, six a minute or so, and
// fails the test if anything about them is unusual.
func (w *world) usual(minutes int, o one) {
	w.t.Helper()
	for range minutes {
		end := w.now.Add(time.Minute)
		for range 4 + w.rand.IntN(5) {
			o.takes = time.Duration(100+w.rand.IntN(300)) * time.Millisecond
			ask, answer := w.call(o)
			if l := append(labels(ask), labels(answer)...); l != nil {
				w.t.Fatalf("usual, and labelled %v: %s", l, ask.Detail)
			}
		}
		w.now = end
	}
}

func labels(v guard.Verdict) (out []string) {
	for _, o := range v.Obligations {
		if o.Kind == guard.AddLabel {
			out = append(out, o.Name)
		}
	}
	return out
}

func event(v guard.Verdict, name string) string {
	for _, o := range v.Obligations {
		if o.Kind == guard.Raise && o.Name == name {
			return o.Value
		}
	}
	return ""
}

// expect checks that a verdict has one label and its event, with words in it.
func expect(t testing.TB, v guard.Verdict, label, name, words string) {
	t.Helper()
	if got := labels(v); !slices.Equal(got, []string{label}) || v.Action != guard.Allow {
		t.Errorf("%s %v, want %s", v.Action, got, label)
	}
	if got := event(v, name); !strings.Contains(got, words) {
		t.Errorf("event %s: %q, want %q", name, got, words)
	}
}

// An agent whose calls become dear spends more in a minute, though it makes no more
// calls; and what replies say they cost counts, not what was expected.
func TestACallerThatSpendsMoreIsUnusual(t *testing.T) {
	for name, dear := range map[string]func(m *mcp.Message) int64{
		"by its requests": func(*mcp.Message) int64 { return 200_000 },
		"by its replies": func(m *mcp.Message) int64 {
			if m.Direction == mcp.ToClient {
				return 200_000
			}
			return 2_000
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.price = func(*mcp.Message) int64 { return 2_000 }
			w.usual(30, one{})
			w.price = dear
			ask, _ := w.call(one{})
			if name == "by its replies" {
				ask, _ = w.call(one{}) // the first reply has told
			}
			expect(t, ask, "anomaly:cost", "cost_slope_anomaly", " in this minute, usually $0.01")
			w.now = w.now.Add(time.Minute)
			w.price = func(*mcp.Message) int64 { return 2_000 }
			if ask, _ := w.call(one{}); labels(ask) != nil {
				t.Errorf("the next minute: %v, %s", labels(ask), ask.Detail)
			}
		})
	}
	w := newWorld(t, nil)
	w.price = func(*mcp.Message) int64 { return 2_000 }
	w.usual(30, one{})
	w.price = func(m *mcp.Message) int64 { // much was reserved, and little used
		if m.Direction == mcp.ToServer {
			return 20_000
		}
		return 2_000
	}
	w.usual(5, one{})
}

func TestABurstOfCallsIsASpike(t *testing.T) {
	w := newWorld(t, nil)
	w.usual(30, one{})
	spiked, events := 0, 0
	for range 60 {
		ask, _ := w.call(one{})
		if slices.Contains(labels(ask), "anomaly:rate") {
			spiked++
		}
		if e := event(ask, "tool_usage_spike"); e != "" {
			events++
			if !strings.Contains(e, "calls of this tool in this minute, usually 6.") || !strings.HasSuffix(e, " deviations") {
				t.Error(e)
			}
		}
	}
	if spiked < 30 || events != 1 {
		t.Errorf("%d calls labelled, %d events", spiked, events)
	}
	// The burst does not become usual, and another caller's is none.
	w.now = w.now.Add(time.Minute)
	w.usual(5, one{})
	w.usual(5, one{who: "bob"})
	// What goes on for hours does.
	for range 300 {
		for range 60 {
			w.call(one{takes: 10 * time.Millisecond})
		}
		w.now = w.now.Truncate(time.Minute).Add(time.Minute)
	}
	for range 60 {
		if ask, _ := w.call(one{}); labels(ask) != nil {
			t.Fatalf("after five hours it is still unusual: %s", ask.Detail)
		}
	}
}

func TestNewToolsAndDestinations(t *testing.T) {
	w := newWorld(t, nil)
	w.usual(30, one{args: `{"url":"https://api.company.com/a"}`})
	ask, _ := w.call(one{tool: "delete_all"})
	expect(t, ask, "anomaly:new_tool", "new_tool_use", "the first call of this tool by this caller, after ")
	w.now = w.now.Add(time.Minute)
	ask, _ = w.call(one{args: `{"deep":{"note":"see HTTPS://EVIL.example:8443/x"}}`})
	expect(t, ask, "anomaly:destination", "egress_destination_change", "the first call of this caller that names evil.example, after ")
	ask, _ = w.call(one{args: `{"url":"https://evil.example/again"}`})
	if labels(ask) != nil {
		t.Error("the second time it is new again")
	}
	w.now = w.now.Add(time.Minute)
	ask, _ = w.call(one{read: "https://other.example/x?q=secret"})
	expect(t, ask, "anomaly:destination", "egress_destination_change", "other.example")
	ask, _ = w.call(one{read: "crm://customers/7"})
	if labels(ask) != nil {
		t.Error("a server's own scheme is a destination")
	}
	// Names in protocol fields are no destinations, and a caller of many has no usual ones.
	for i := range 100 {
		ask, _ = w.call(one{args: fmt.Sprintf(`{"url":"https://h%d.example/"}`, i)})
		w.now = w.now.Add(10 * time.Second)
	}
	if slices.Contains(labels(ask), "anomaly:destination") {
		t.Error("the hundredth of a hundred destinations is news")
	}
}

func TestSizesErrorsAndDurations(t *testing.T) {
	big := `{"q":"` + strings.Repeat("x", 20_000) + `"}`
	w := newWorld(t, nil)
	w.usual(30, one{})
	ask, _ := w.call(one{args: big})
	expect(t, ask, "anomaly:argument_size", "argument_size_anomaly", "usually about 39: 2")
	_, answer := w.call(one{answer: `{"content":[{"type":"text","text":"` + strings.Repeat("x", 50_000) + `"}]}`})
	expect(t, answer, "anomaly:result_size", "result_size_anomaly", "an answer of 500")
	_, answer = w.call(one{takes: 30 * time.Second})
	expect(t, answer, "anomaly:duration", "call_duration_anomaly", "an answer after 30000 ms, usually about ")
	for name, bad := range map[string]string{"tool errors": `{"content":[],"isError":true}`, "no answers": "none"} {
		w := newWorld(t, nil)
		w.usual(30, one{})
		var ask guard.Verdict
		for range 8 {
			ask, _ = w.call(one{answer: bad, takes: 20 * time.Second})
		}
		if !slices.Contains(labels(ask), "anomaly:error_rate") || !strings.Contains(ask.Detail, "of the last 16 calls of this tool failed, usually 0.0 %") {
			t.Errorf("%s: %v %s", name, labels(ask), ask.Detail)
		}
	}
	// A tool that always fails now and then is no news.
	w = newWorld(t, nil)
	for i := range 400 {
		o := one{takes: 10 * time.Second}
		if w.rand.IntN(10) < 3 {
			o.answer = `{"content":[],"isError":true}`
		}
		if ask, _ := w.call(o); i > 100 && slices.Contains(labels(ask), "anomaly:error_rate") {
			t.Fatalf("call %d: %s", i, ask.Detail)
		}
	}
}

func TestNothingIsUnusualBeforeTheUsualIsKnown(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 200 { // many, and within the time
		ask, answer := w.call(one{tool: fmt.Sprint("tool", i), args: fmt.Sprintf(`{"url":"https://h%d.example"}`, i), takes: 2 * time.Second})
		if l := append(labels(ask), labels(answer)...); l != nil {
			t.Fatalf("call %d: %v", i, l)
		}
	}
	w = newWorld(t, nil)
	for i := range 49 { // long, and few
		w.now = w.now.Add(time.Hour)
		if ask, _ := w.call(one{tool: fmt.Sprint("tool", i)}); labels(ask) != nil {
			t.Fatalf("call %d: %v", i, labels(ask))
		}
	}
}

func TestWhatHappensToUnusualCalls(t *testing.T) {
	for action, want := range map[string]guard.Action{"label": guard.Allow, "deny": guard.Deny, "hold": guard.Hold} {
		w := newWorld(t, func(c *anomaly.Config) {
			c.Action, c.Ignore = action, []anomaly.Tool{{Servers: []string{"cr*"}, Tools: []string{"free"}}}
		})
		w.usual(30, one{})
		ask, _ := w.call(one{tool: "delete_all"})
		if ask.Action != want || want != guard.Allow && ask.Reason != anomaly.Detected || (want == guard.Hold) != (ask.Ticket != nil) || labels(ask) == nil {
			t.Errorf("%s: %+v", action, ask)
		}
		if ask, _ := w.call(one{tool: "free"}); labels(ask) != nil {
			t.Errorf("%s: a tool to ignore is not", action)
		}
	}
	for want, set := range map[string]func(*anomaly.Config){
		"ignore[0]: names nothing": func(c *anomaly.Config) { c.Ignore = []anomaly.Tool{{}} },
		"ignore[0].tools[0]":       func(c *anomaly.Config) { c.Ignore = []anomaly.Tool{{Tools: []string{"*x*"}}} },
	} {
		_, err := guardtest.Try(anomaly.Spec(anomaly.Ports{}), set)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// An attacker, or a large company, has more names than there is memory.
func TestMemoryIsBounded(t *testing.T) {
	w := newWorld(t, func(c *anomaly.Config) { c.MaxKeys = 2000 })
	for i := range 20_000 {
		w.call(one{who: fmt.Sprint("user", i), tool: fmt.Sprint("t", i)})
	}
	if n := w.memory.Len(); n > 2048+512 {
		t.Errorf("%d callers and uses", n)
	}
}

func TestConformance(t *testing.T) {
	w := &world{t: t, now: time.Now(), memory: anomaly.NewMemory(1000)}
	guardtest.Run(t, anomaly.Spec(ports(w)),
		guardtest.Config{Name: "deny", Varies: true, Set: func(c any) {
			c.(*anomaly.Config).Action, c.(*anomaly.Config).WarmUp, c.(*anomaly.Config).WarmUpTime = "hold", 5, 0
		}})
}

func BenchmarkGuard(b *testing.B) {
	w := newWorld(b, nil)
	guardtest.Benchmark(b, anomaly.Spec(ports(w)), guardtest.Config{})
}

// BenchmarkMillionCallers shows what a million callers leave in a memory of the
// default size.
func BenchmarkMillionCallers(b *testing.B) {
	m := guardtest.Decode(b, mcp.ToServer, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"q":1}}}`)
	for b.Loop() {
		w := &world{t: b, now: time.Now()}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		w.memory = anomaly.NewMemory(anomaly.Default().MaxKeys)
		g := guardtest.Build[anomaly.Config](b, anomaly.Spec(ports(w)), nil)
		for i := range 1_000_000 {
			x := &guard.Exchange{Principal: guard.Principal{Subject: strconv.Itoa(i)}}
			if _, err := g.Inspect(b.Context(), x, m); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
		b.ReportMetric(float64(w.memory.Len()), "entries")
	}
}

// Text of a megabyte costs no more to search than one of 64 KiB.
func TestHostsAreLookedForInTheBeginningOnly(t *testing.T) {
	w := newWorld(t, nil)
	w.usual(30, one{})
	ask, _ := w.call(one{args: `{"a":"` + strings.Repeat("see https://a.example/ ", 40_000) + `","b":"https://b.example"}`})
	if got := event(ask, "egress_destination_change"); !strings.Contains(got, "a.example") || strings.Contains(ask.Detail, "b.example") {
		t.Errorf("%q, %s", got, ask.Detail)
	}
}

// The guide's alerts ask for two of the signals by themselves.
func TestOnlyWhatIsWatchedIsTold(t *testing.T) {
	for _, c := range []struct {
		watch anomaly.Watch
		want  []string
	}{
		{anomaly.Rates, []string{"anomaly:rate"}},
		{anomaly.Destinations, []string{"anomaly:destination"}},
		{anomaly.Rates | anomaly.Destinations, []string{"anomaly:destination", "anomaly:rate"}},
		{anomaly.Tools, []string{"anomaly:new_tool"}},
		{anomaly.Calls, []string{"anomaly:argument_size"}},
		{anomaly.Resources, []string{"anomaly:result_size"}},
	} {
		w := newWorld(t, nil)
		w.watch = c.watch
		w.build(nil).usual(20, one{args: `{"q":"https://usual.example/"}`})
		var told []string
		note := func(vs ...guard.Verdict) {
			for _, v := range vs {
				told = append(told, labels(v)...)
			}
		}
		ask, answer := w.call(one{args: `{"q":"https://new.example/` + strings.Repeat("x", 20_000) + `"}`, answer: `{"content":[{"type":"text","text":"` + strings.Repeat("x", 100_000) + `"}]}`})
		note(ask, answer)
		ask, _ = w.call(one{tool: "other"})
		note(ask)
		for range 200 {
			ask, _ = w.call(one{})
			note(ask)
		}
		slices.Sort(told)
		if told = slices.Compact(told); !slices.Equal(told, c.want) {
			t.Errorf("%b: %v, want %v", c.watch, told, c.want)
		}
	}
}
