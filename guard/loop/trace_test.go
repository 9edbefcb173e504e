package loop

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/mcp"
)

// Whatever a client sends as its trace context, what goes on is one header line
// that the next gateway reads as one call deeper.
func FuzzTraceContext(f *testing.F) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	f.Add(parent, "sallyport=3.0123456789abcdef,vendor=1", parent, "a=b")
	f.Add(parent, "k=v, ,sallyport=1000.0123456789abcdef,\x00", "", "")
	f.Add("ff"+parent[2:], "sallyport=", parent+"-x", "sallyport=7.0123456789abcdef")
	f.Fuzz(func(t *testing.T, header, state, meta, metaState string) {
		m, fault := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"traceparent":`+
			string(mcp.AppendQuote(nil, meta))+`,"tracestate":`+string(mcp.AppendQuote(nil, metaState))+`}}}`))
		if fault != nil {
			return
		}
		x := &guard.Exchange{ID: "0123456789abcdef0123456789abcdef", Headers: guardtest.Headers{"traceparent": header, "tracestate": state}}
		p := where(x, &m)
		if p.depth < 0 || p.depth > 1000 || p.depth > 0 && (p.trace == "" || len(p.parent) != 16) || p.trace != "" && len(p.trace) != 32 {
			t.Fatalf("%+v", p)
		}
		if !p.header {
			return
		}
		line := p.onward(x)
		if len(line) > maxState || strings.ContainsAny(line, "\r\n\x00") || strings.Count(line, ",") > 31 {
			t.Fatalf("%q", line)
		}
		next := where(&guard.Exchange{Headers: guardtest.Headers{"traceparent": header, "tracestate": line}}, &mcp.Message{})
		if p.depth < 1000 && (next.depth != p.depth+1 || next.parent != x.ID[:16] || next.trace != p.trace && traceID(header) == p.trace) {
			t.Fatalf("%+v after %+v", next, p)
		}
	})
}
