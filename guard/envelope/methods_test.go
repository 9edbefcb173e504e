package envelope

import (
	"context"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func read(t testing.TB, dir mcp.Direction, text string) *mcp.Message {
	t.Helper()
	m, f := mcp.NewDecoder(mcp.Config{ExtraMethods: []string{"acme/thing"}}).Decode(dir, []byte(text))
	if f != nil {
		t.Fatal(f)
	}
	return &m
}

func TestAMethodThatWasTakenAwayIsRefusedInEveryDisguise(t *testing.T) {
	const (
		call   = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`
		sample = `{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}`
		ping   = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
		hidden = `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"},"l":{"method":"sampling/createMessage","params":{}}}}}`
	)
	deny := func(s ...string) Config { return Config{DeniedMethods: s} }
	only := func(s ...string) Config { return Config{AllowedMethods: s} }
	for _, tt := range []struct {
		name    string
		c       Config
		dir     mcp.Direction
		rev     mcp.Revision
		text    string
		refused bool
	}{
		{"a denied method", deny("tools/call"), mcp.ToServer, mcp.R20251125, call, true},
		{"an escaped spelling of it", deny("tools/call"), mcp.ToServer, mcp.R20251125, strings.Replace(call, "tools/call", `tools\/c\u0061ll`, 1), true},
		{"a method of a denied family", deny("tools/*"), mcp.ToServer, mcp.R20251125, call, true},
		{"a server's request of a denied family", deny("sampling/*"), mcp.ToClient, mcp.R20251125, sample, true},
		{"one denied in the other direction only", deny("to_client:ping"), mcp.ToServer, mcp.R20251125, ping, false},
		{"one denied in this direction", deny("to_client:ping"), mcp.ToClient, mcp.R20251125, ping, true},
		{"one that the list lacks", only("tools/*", "initialize"), mcp.ToServer, mcp.R20251125, ping, true},
		{"one that the list has", only("tools/*"), mcp.ToServer, mcp.R20251125, call, false},
		{"a direction that no list is about", only("to_server:tools/*"), mcp.ToClient, mcp.R20251125, sample, false},
		{"allowed and denied", Config{AllowedMethods: []string{"tools/*"}, DeniedMethods: []string{"tools/call"}}, mcp.ToServer, mcp.R20251125, call, true},
		{"an extension beside a list", only("tools/*"), mcp.ToServer, mcp.R20251125, `{"jsonrpc":"2.0","id":1,"method":"acme/thing"}`, true},
		{"a listed extension", only("acme/*"), mcp.ToServer, mcp.R20251125, `{"jsonrpc":"2.0","id":1,"method":"acme/thing"}`, false},

		{"a denied request nested in a modern result", deny("sampling/*"), mcp.ToClient, mcp.R20260728, hidden, true},
		{"one nested with an escaped name", deny("sampling/*"), mcp.ToClient, mcp.R20260728, strings.Replace(hidden, "sampling", `s\u0061mpling`, 1), true},
		{"one that the list lacks, nested", only("to_client:roots/*"), mcp.ToClient, mcp.R20260728, hidden, true},
		{"nested requests that the lists allow", only("to_client:roots/*", "to_client:sampling/*"), mcp.ToClient, mcp.R20260728, hidden, false},
		{"one nested in the state of a task", deny("sampling/*"), mcp.ToClient, mcp.R20260728,
			`{"jsonrpc":"2.0","method":"notifications/tasks","params":{"taskId":"t","inputRequests":{"k":{"method":"sampling/createMessage"}}}}`, true},
		{"a member of the same name elsewhere in the result", deny("sampling/*"), mcp.ToClient, mcp.R20260728,
			`{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"inputRequests":{"k":{"method":"sampling/createMessage"}}}}}`, false},
		{"a method deeper in a nested request", deny("sampling/*"), mcp.ToClient, mcp.R20260728,
			`{"jsonrpc":"2.0","id":1,"result":{"inputRequests":{"k":{"method":"roots/list","params":{"method":"sampling/createMessage"}}}}}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := &guard.Exchange{Revision: tt.rev, Asked: guard.Asked{Kind: mcp.Request, Method: "tools/call"}}
			v, err := made(t, tt.c).Inspect(context.Background(), x, read(t, tt.dir, tt.text))
			if err != nil || (v.Action != guard.Allow) != tt.refused || tt.refused && v.Reason != MethodNotAllowed {
				t.Errorf("got %s %q (%s), %v", v.Action, v.Reason, v.Detail, err)
			}
		})
	}
}

func TestBodylessRequestsCanBeTakenAway(t *testing.T) {
	g := made(t, Config{DeniedMethods: []string{"transport/listen"}})
	for method, refused := range map[string]bool{mcp.MethodListen: true, mcp.MethodClose: false} {
		m := mcp.TransportMessage(method)
		v, err := g.Inspect(context.Background(), &guard.Exchange{Revision: mcp.R20251125}, &m)
		if err != nil || (v.Action != guard.Allow) != refused {
			t.Errorf("%s: got %s, %v", method, v.Action, err)
		}
	}
}
