package envelope

import (
	"context"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

func TestServersDoNotLearnOfCapabilitiesWhoseRequestsAreDenied(t *testing.T) {
	const (
		initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{},"sampling":{"tools":{}},"elicitation":{}}}}`
		call       = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"sampling":1},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"sampling":{}}}}}`
		old        = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":{},"capabilities":{"sampling":{}}}}`
	)
	for _, c := range []struct {
		name     string
		config   Config
		revision mcp.Revision
		raw      string
		want     string
	}{
		{"sampling is denied: a session begins without it", Config{DeniedMethods: []string{"to_client:sampling/*"}}, mcp.R20251125, initialize,
			`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{},"elicitation":{}}}}`},
		{"sampling is denied: a modern call goes on without it", Config{DeniedMethods: []string{"sampling/createMessage"}}, mcp.R20260728, call,
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"sampling":1},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`},
		{"only elicitation is allowed", Config{AllowedMethods: []string{"to_client:elicitation/create"}}, mcp.R20251125, initialize,
			`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}}}}`},
		{"another direction is denied", Config{DeniedMethods: []string{"to_server:resources/list"}}, mcp.R20251125, initialize, initialize},
		{"a legacy call declares nothing", Config{DeniedMethods: []string{"to_client:sampling/*"}}, mcp.R20251125, old, old},
		{"nothing is denied", Config{}, mcp.R20260728, call, call},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := build(c.config)
			if err != nil {
				t.Fatal(err)
			}
			d := mcp.NewDecoder(mcp.Config{})
			m, f := d.Decode(mcp.ToServer, []byte(c.raw))
			if f != nil {
				t.Fatal(f)
			}
			v, err := g.Inspect(context.Background(), &guard.Exchange{Revision: c.revision}, &m)
			if err != nil || v.Action != guard.Allow {
				t.Fatalf("verdict %+v, %v", v, err)
			}
			got, err := d.Apply(&m, v.Edits...)
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Raw) != c.want {
				t.Errorf("got  %s\nwant %s", got.Raw, c.want)
			}
		})
	}
}
