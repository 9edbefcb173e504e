package guard_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

func FuzzTraceparent(f *testing.F) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, s := range []string{good, "", "00", good + "-", "01" + good[2:] + "-more", strings.ToUpper(good), "ff" + good[2:]} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		trace, span, sampled, ok := guard.Traceparent(s)
		if !ok {
			return
		}
		tr := guard.Trace{ID: trace, Span: span, Kept: sampled}
		if again := string(tr.AppendTraceparent(nil)); again[3:52] != s[3:52] || len(s) == 55 && s[:2] != "00" && s[:2] >= "ff" {
			t.Errorf("%q reads as %q", s, again)
		}
	})
}

func TestWhatAHostStampsReachesTheServerAndIsNoVerdict(t *testing.T) {
	h := host()
	h.Stamp = func(_ *guard.Exchange, m *mcp.Message) []mcp.Edit {
		return []mcp.Edit{mcp.SetPointer("/params/_meta/traceparent", []byte(`"x"`))}
	}
	c := chain(t, h)
	m := message(t, mcp.ToServer, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":{"traceparent":"evil"}}}`)
	d := c.Run(t.Context(), &guard.Exchange{}, m)
	if d.Action != guard.Allow || !d.Edited || !strings.Contains(string(d.Message.Raw), `"traceparent":"x"`) || strings.Contains(string(m.Raw), `"x"`) {
		t.Errorf("got %s %s", d.Action, d.Message.Raw)
	}
	if d := c.Run(t.Context(), &guard.Exchange{Original: true}, m); d.Edited || d.Action != guard.Allow {
		t.Error("a host that forwards the original is asked to edit it")
	}
	bare := message(t, mcp.ToServer, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":7}}`)
	if d := c.Run(t.Context(), &guard.Exchange{}, bare); d.Action != guard.Deny || d.Reason != guard.GuardError {
		t.Errorf("a stamp that cannot be made: %s", d.Action)
	}
}
