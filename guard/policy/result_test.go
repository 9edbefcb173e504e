package policy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
)

func TestListsShowOnlyWhatTheirReaderMayUse(t *testing.T) {
	c := chain(t, &rules{access: only("a", "c", "memo://a", "file:///{x}")}, true)
	for _, tt := range []struct {
		name, method, in, want string
		rev                    mcp.Revision
	}{
		{"tools", "tools/list", `{"tools":[{"name":"a"}, {"name":"b"},{"name":"c" }],"nextCursor":"n"}`, `{"tools":[{"name":"a"},{"name":"c" }],"nextCursor":"n"}`, mcp.R20251125},
		{"nothing is left of a page that has a next one", "tools/list", `{"tools":[{"name":"b"}],"nextCursor":""}`, `{"tools":[],"nextCursor":""}`, mcp.R20251125},
		{"all may be used", "tools/list", `{"tools":[ {"name":"a"} ]}`, `{"tools":[ {"name":"a"} ]}`, mcp.R20251125},
		{"a name that only another parser would read", "tools/list", `{"tools":[{"name":"\u0061"},{"name":["a"]},{},7]}`, `{"tools":[{"name":"\u0061"}]}`, mcp.R20251125},
		{"prompts", "prompts/list", `{"prompts":[{"name":"b"},{"name":"a"}]}`, `{"prompts":[{"name":"a"}]}`, mcp.R20251125},
		{"resources by their normal form", "resources/list", `{"resources":[{"uri":"MEMO://a"},{"uri":"memo://b"},{"uri":"not a uri"}]}`, `{"resources":[{"uri":"MEMO://a"}]}`, mcp.R20251125},
		{"templates", "resources/templates/list", `{"resourceTemplates":[{"uriTemplate":"file:///{x}"},{"uriTemplate":"db:///{x}"}]}`, `{"resourceTemplates":[{"uriTemplate":"file:///{x}"}]}`, mcp.R20251125},
		{"a modern list is its reader's own", "tools/list", `{"tools":[{"name":"a"}],"cacheScope":"public","ttlMs":5}`, `{"tools":[{"name":"a"}],"cacheScope":"private","ttlMs":5}`, mcp.R20260728},
		{"and says so where the server did not", "tools/list", `{"tools":[{"name":"b"}]}`, `{"tools":[],"cacheScope":"private"}`, mcp.R20260728},
		{"what a tool gives is no list", "tools/call", `{"tools":[{"name":"b"}]}`, `{"tools":[{"name":"b"}]}`, mcp.R20251125},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := c.Run(context.Background(), asking(tt.rev, tt.method), result(t, tt.in))
			if d.Action != guard.Allow || string(d.Message.Result) != tt.want {
				t.Errorf("got %v %s, want %s", d.Action, d.Message.Result, tt.want)
			}
		})
	}
	if d := c.Run(context.Background(), asking(mcp.R20251125, "tools/list"), result(t, `{"tools":{"name":"b"}}`)); d.Reason != guard.UpstreamBadReply {
		t.Errorf("a list that is none: %v", d)
	}
}

func TestALateListIsFilteredAlthoughNobodyKnowsWhoAsked(t *testing.T) {
	c := chain(t, &rules{access: only("a")}, true)
	x := exchange(mcp.R20251125, nil)
	x.Asked = guard.Asked{Kind: mcp.Transport, Method: mcp.MethodListen}
	d := c.Run(context.Background(), x, result(t, `{"tools":[{"name":"a"},{"name":"b"}]}`))
	if string(d.Message.Result) != `{"tools":[{"name":"a"}]}` {
		t.Errorf("got %v %s", d, d.Message.Result)
	}
}

func TestCapabilitiesThatNobodyMayListAreNotOffered(t *testing.T) {
	r := &rules{access: func(in *policy.Input) policy.Decision { return policy.Decision{Allow: in.Method != "prompts/list"} }}
	for _, method := range []string{"initialize", "server/discover"} {
		d := chain(t, r, true).Run(context.Background(), asking(mcp.R20251125, method), result(t, `{"capabilities":{"prompts":{"listChanged":true},"tools":{},"logging":{}},"serverInfo":{}}`))
		if string(d.Message.Result) != `{"capabilities":{"tools":{},"logging":{}},"serverInfo":{}}` {
			t.Errorf("%s: got %v %s", method, d, d.Message.Result)
		}
	}
}

// TestListAndCallNeverDisagree: for any rules, a list shows exactly the tools
// whose calls are not answered as unknown; and whatever passes was shown.
func TestListAndCallNeverDisagree(t *testing.T) {
	reasons := []guard.Reason{"", policy.ToolNotAllowed, policy.PolicyDenied, policy.ServerNotAllowed, policy.ApprovalRequired, policy.InsufficientScope, policy.ReauthenticationRequired, policy.ReadOnly, policy.ArgumentNotAllowed}
	rapid.Check(t, func(t *rapid.T) {
		type rule struct {
			allow, call bool
			reason      guard.Reason
		}
		table := make(map[string]rule)
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,3}`), 1, 8, rapid.ID[string]).Draw(t, "names")
		for _, n := range names {
			table[n] = rule{rapid.Bool().Draw(t, "allow"), rapid.Bool().Draw(t, "call"), rapid.SampledFrom(reasons).Draw(t, "reason")}
		}
		r := &rules{
			access: func(in *policy.Input) policy.Decision {
				if in.Target.Kind == policy.NoTarget {
					return policy.Decision{Allow: true}
				}
				e := table[in.Target.Name]
				return policy.Decision{Allow: e.allow, Reason: e.reason}
			},
			call: func(in *policy.Input) policy.Decision {
				return policy.Decision{Allow: in.Target.Kind == policy.NoTarget || table[in.Target.Name].call, Reason: policy.ArgumentNotAllowed}
			},
		}
		c := chain(t, r, true)
		items := make([]string, len(names))
		for i, n := range names {
			items[i] = fmt.Sprintf(`{"name":%q}`, n)
		}
		d := c.Run(context.Background(), asking(mcp.R20251125, "tools/list"), result(t, `{"tools":[`+strings.Join(items, ",")+`]}`))
		var got struct{ Tools []struct{ Name string } }
		if err := json.Unmarshal(d.Message.Result, &got); err != nil {
			t.Fatal(err)
		}
		var listed []string
		for _, tool := range got.Tools {
			listed = append(listed, tool.Name)
		}
		for _, n := range names {
			m := call(t, n, "")
			d := c.Run(context.Background(), exchange(mcp.R20251125, m), m)
			hidden := d.Reason == guard.UnknownTarget || d.Reason == guard.UnknownServer
			if slices.Contains(listed, n) == hidden {
				t.Fatalf("%s: listed %v, and a call gives %s %s", n, listed, d.Action, d.Reason)
			}
		}
	})
}

func TestAListWithoutEndIsRefused(t *testing.T) {
	c := chain(t, &rules{access: yes}, true)
	for n, want := range map[int]guard.Action{20_000: guard.Allow, 20_001: guard.Deny} {
		m := message(t, mcp.ToClient, `{"jsonrpc":"2.0","id":7,"result":{"tools":[`+strings.Repeat(`{"name":"a"},`, n-1)+`{"name":"a"}]}}`)
		if d := c.Run(context.Background(), asking(mcp.R20251125, "tools/list"), m); d.Action != want {
			t.Errorf("%d: %v %s %s", n, d.Action, d.Reason, d.Detail)
		}
	}
}
