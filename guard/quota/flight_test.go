package quota_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/quota"
	"github.com/sallyport/sallyport/mcp"
)

func TestCallsInFlightTakeAPlaceUntilTheyAreOver(t *testing.T) {
	c := judge(t, counting(here(), quota.Rule{Name: "r", By: []string{"principal"}, InFlight: 2}))
	var open []*guard.Exchange
	for range 2 {
		x := exchange("ada", "crm")
		if d := c.Run(t.Context(), x, tool(t, "x")); d.Action != guard.Allow {
			t.Fatalf("%+v", d)
		}
		open = append(open, x)
	}
	x := exchange("ada", "crm")
	d := c.Run(t.Context(), x, tool(t, "x"))
	if r := c.Refusal(x, &d); r.Status != 429 || r.RetryAfter != "1" || !strings.Contains(string(r.Body), "Limit r: 2 calls at once.") {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if d := c.Run(t.Context(), exchange("bob", "crm"), tool(t, "x")); d.Action != guard.Allow {
		t.Errorf("another caller: %+v", d)
	}
	settle(t, c, open[0], 0, 0)
	if d := c.Run(t.Context(), exchange("ada", "crm"), tool(t, "x")); d.Action != guard.Allow {
		t.Errorf("after one is over: %+v", d)
	}
	if err := c.Settle(t.Context(), open[1], guard.Outcome{Ending: guard.Reset}); err != nil { // it never reached its server
		t.Fatal(err)
	}
	if d := c.Run(t.Context(), exchange("ada", "crm"), tool(t, "x")); d.Action != guard.Allow {
		t.Errorf("after another came to nothing: %+v", d)
	}
}

func TestOpenStreamsAreCountedAndCallsAreNot(t *testing.T) {
	c := judge(t, counting(here(), quota.Rule{Name: "streams", Streams: 1}, quota.Rule{Name: "calls", InFlight: 1}))
	listen := mcp.TransportMessage(mcp.MethodListen)
	modern := call(t, "subscriptions/listen", `{}`)
	x := exchange("ada", "crm")
	if d := c.Run(t.Context(), x, &listen); d.Action != guard.Allow {
		t.Fatalf("%+v", d)
	}
	for _, m := range []*mcp.Message{&listen, modern} {
		y := exchange("ada", "crm")
		d := c.Run(t.Context(), y, m)
		if r := c.Refusal(y, &d); d.Action == guard.Allow || !strings.Contains(string(r.Body), "1 streams at once") {
			t.Errorf("%s: %s %s", m.Method, d.Action, r.Body)
		}
	}
	if d := c.Run(t.Context(), exchange("ada", "crm"), tool(t, "x")); d.Action != guard.Allow {
		t.Errorf("a call beside a stream: %+v", d)
	}
	settle(t, c, x, 0, 0)
	if d := c.Run(t.Context(), exchange("ada", "crm"), modern); d.Action != guard.Allow {
		t.Errorf("after the stream has ended: %+v", d)
	}
}

func TestBytesCountWhenACallIsOver(t *testing.T) {
	c := judge(t, counting(here(), quota.Rule{Name: "r", By: []string{"principal"}, Bytes: flows("64KiB/hour")}))
	x := exchange("ada", "crm")
	c.Run(t.Context(), x, tool(t, "x"))
	settle(t, c, x, 1000, 40_000)
	x = exchange("ada", "crm")
	if d := c.Run(t.Context(), x, tool(t, "x")); d.Action != guard.Allow { // there is room; what the call brings is not known
		t.Fatalf("%+v", d)
	}
	if got := field(x, "ratelimit"); got != `"r";r=24064;t=3600` {
		t.Errorf("what is left: %s", got)
	}
	settle(t, c, x, 1000, 40_000)
	x = exchange("ada", "crm")
	d := c.Run(t.Context(), x, tool(t, "x"))
	if r := c.Refusal(x, &d); d.Action == guard.Allow || !strings.Contains(string(r.Body), "Limit r: 65536 bytes/hour.") {
		t.Errorf("%s %s", d.Action, r.Body)
	}
}
