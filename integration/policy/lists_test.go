package policy

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/guard"
	guardpolicy "github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
)

// TestListsAndCallsNeverDisagree shows lists of random tools to random callers,
// and then has them call each: a list shows what may be called, and what a
// caller could come to be allowed by doing something about it; nothing else.
func TestListsAndCallsNeverDisagree(t *testing.T) {
	names := []string{"search_customers", "search", "get_customer", "get_order", "export_all", "drop", "DROP", "update_note", "refund", "set_discount", "mail",
		"tenant_report", "wipe", "ledger", "hello", "other", "read_file", "set_salary", "get_"}
	principals := slices.Sorted(maps.Keys(who))
	for engine, open := range engines {
		t.Run(engine, func(t *testing.T) {
			c := chain(t, open(t, time.Hour))
			shown, hidden := 0, 0
			rapid.Check(t, func(r *rapid.T) {
				one := row{
					principal: rapid.SampledFrom(principals).Draw(r, "principal"),
					server:    guard.Server{Name: rapid.SampledFrom([]string{"crm", "hr", "lobby", "unregistered"}).Draw(r, "server"), Classification: rapid.SampledFrom([]string{"", "public", "internal", "confidential", "restricted"}).Draw(r, "class")},
				}
				list := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 8, rapid.ID[string]).Draw(r, "tools")
				type tool struct {
					Name string `json:"name"`
				}
				var tools []tool
				for _, n := range list {
					tools = append(tools, tool{n})
				}
				one.server.Tools = map[string]guard.Tool{rapid.SampledFrom(append(names, "*")).Draw(r, "described"): {
					Classification: rapid.SampledFrom([]string{"", "public", "restricted"}).Draw(r, "tool class"), Sensitive: rapid.Bool().Draw(r, "sensitive"), ReadOnly: true}}
				text, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 7, "result": map[string]any{"tools": tools}})
				if err != nil {
					r.Fatal(err)
				}
				m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToClient, text)
				if f != nil {
					r.Fatal(f)
				}
				x := one.exchange(&m)
				x.Asked = guard.Asked{Kind: mcp.Request, ID: []byte("7"), Method: "tools/list"}
				d := c.Run(context.Background(), x, &m)
				if d.Action != guard.Allow {
					r.Fatalf("the list was refused: %s %s", d.Reason, d.Detail)
				}
				var got struct{ Result struct{ Tools []tool } }
				if err := json.Unmarshal(d.Message.Raw, &got); err != nil {
					r.Fatal(err)
				}
				for _, n := range list {
					one.method, one.target, one.arguments = "tools/call", n, "{}"
					m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, one.message())
					if f != nil {
						r.Fatal(f)
					}
					called := c.Run(context.Background(), one.exchange(&m), &m)
					want := called.Action == guard.Allow
					switch called.Reason {
					case guardpolicy.ApprovalRequired, guardpolicy.ReauthenticationRequired, guardpolicy.InsufficientScope, guardpolicy.ReadOnly, guardpolicy.ArgumentNotAllowed:
						want = true
					}
					if have := slices.Contains(got.Result.Tools, tool{n}); have != want {
						r.Fatalf("%s: shown %v, and called: %s %s (%s)", one, have, called.Action, called.Reason, called.Detail)
					}
					if want {
						shown++
					} else {
						hidden++
					}
				}
			})
			if shown == 0 || hidden == 0 {
				t.Errorf("%d shown and %d hidden: nothing was tested", shown, hidden)
			}
			t.Logf("%d shown, %d hidden", shown, hidden)
		})
	}
}
