package mcp_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/mcp"
)

// The table of methods as the reference has it: letters for the revisions, A
// the oldest, before the slash those in which a client may send it.
func TestMethodTable(t *testing.T) {
	want := map[string]string{
		"initialize": "ABC/", "server/discover": "D/", "ping": "ABC/ABC",
		"tools/list": "ABCD/", "tools/call": "ABCD/", "resources/list": "ABCD/", "resources/templates/list": "ABCD/",
		"resources/read": "ABCD/", "resources/subscribe": "ABC/", "resources/unsubscribe": "ABC/",
		"prompts/list": "ABCD/", "prompts/get": "ABCD/", "completion/complete": "ABCD/", "logging/setLevel": "ABC/",
		"subscriptions/listen": "D/",
		"tasks/get":            "CD/C", "tasks/result": "C/C", "tasks/list": "C/C", "tasks/cancel": "CD/C", "tasks/update": "D/",
		"sampling/createMessage": "/ABC", "elicitation/create": "/BC", "roots/list": "/ABC",
		"notifications/initialized": "ABC/", "notifications/roots/list_changed": "ABC/",
		"notifications/cancelled": "ABCD/ABCD", "notifications/progress": "ABC/ABCD", "notifications/message": "/ABCD",
		"notifications/tools/list_changed": "/ABCD", "notifications/prompts/list_changed": "/ABCD",
		"notifications/resources/list_changed": "/ABCD", "notifications/resources/updated": "/ABCD",
		"notifications/subscriptions/acknowledged": "/D", "notifications/elicitation/complete": "/C",
		"notifications/tasks/status": "C/C", "notifications/tasks": "/D",
	}
	d := mcp.NewDecoder(mcp.Config{})
	methods := mcp.Methods()
	if len(methods) != len(want) {
		t.Errorf("%d methods, want %d", len(methods), len(want))
	}
	for _, m := range methods {
		toServer, toClient, ok := strings.Cut(want[m.Name], "/")
		if !ok {
			t.Errorf("%s: not in the reference", m.Name)
		}
		if (m.Kind == mcp.Notification) != strings.HasPrefix(m.Name, "notifications/") {
			t.Errorf("%s: kind %v", m.Name, m.Kind)
		}
		for i, r := range mcp.Revisions() {
			for dir, letters := range map[mcp.Direction]string{mcp.ToServer: toServer, mcp.ToClient: toClient} {
				allowed := strings.Contains(letters, "ABCD"[i:i+1])
				msg := mcp.Message{Direction: dir, Kind: m.Kind, Method: m.Name}
				if m.Kind == mcp.Request {
					msg.ID = []byte("7")
				}
				f := d.CheckMethod(&msg, r)
				if (f == nil) != allowed || m.Allows(dir, r) != allowed {
					t.Errorf("%s %v in %v: fault %v, want allowed %v", m.Name, dir, r, f, allowed)
				}
				if f == nil {
					continue
				}
				status := 200
				if r.Modern() {
					status = 404
				}
				if f.Code != noSuch || f.Status != status || string(f.ID) != string(msg.ID) || f.Reason != mcp.ReasonUnknownMethod {
					t.Errorf("%s %v in %v: %+v", m.Name, dir, r, f)
				}
			}
		}
	}
}

func TestExtensionMethods(t *testing.T) {
	d := mcp.NewDecoder(mcp.Config{ExtraMethods: []string{"acme/thing", "notifications/acme", mcp.MethodListen}})
	for _, c := range []struct {
		name string
		m    mcp.Message
		r    mcp.Revision
		ok   bool
	}{
		{"a listed request passes", mcp.Message{Kind: mcp.Request, Method: "acme/thing"}, mcp.R20260728, true},
		{"a listed notification passes", mcp.Message{Kind: mcp.Notification, Method: "notifications/acme", Direction: mcp.ToClient}, mcp.R20260728, true},
		{"a listed request of a legacy server passes", mcp.Message{Kind: mcp.Request, Method: "acme/thing", Direction: mcp.ToClient}, mcp.R20251125, true},
		{"a modern server has no requests", mcp.Message{Kind: mcp.Request, Method: "acme/thing", Direction: mcp.ToClient}, mcp.R20260728, false},
		{"case matters", mcp.Message{Kind: mcp.Request, Method: "acme/Thing"}, mcp.R20251125, false},
		{"another method does not", mcp.Message{Kind: mcp.Request, Method: "acme/other"}, mcp.R20251125, false},
		{"responses have no method to check", mcp.Message{Kind: mcp.Response}, mcp.R20251125, true},
		{"an unjudgeable message does not pass", mcp.Message{}, mcp.R20251125, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if f := d.CheckMethod(&c.m, c.r); (f == nil) != c.ok {
				t.Errorf("fault %v", f)
			}
		})
	}
	if _, f := d.Decode(mcp.ToServer, []byte(`{`+head+`"method":"transport/listen"}`)); f == nil {
		t.Error("configuration opened a method of the gateway's own")
	}
}

func TestLookupMethod(t *testing.T) {
	if m, ok := mcp.LookupMethod("tools/call"); !ok || m.Target != mcp.TargetTool || !m.NameHeader {
		t.Errorf("tools/call: %+v", m)
	}
	if _, ok := mcp.LookupMethod("Tools/call"); ok {
		t.Error("a method in another case was found")
	}
}
