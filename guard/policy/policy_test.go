package policy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
)

func TestEachMessageIsAskedAboutWithItsTarget(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read"}}`, "tools/call tool:read"},
		{`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p"}}`, "prompts/get prompt:p"},
		{`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"FILE:///a/../%62"}}`, "resources/read resource:file:///b"},
		{`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"memo://x"}}`, "resources/subscribe resource:memo://x"},
		{`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"b"}}}`, "completion/complete prompt:p"},
		{`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"file:///{path}"},"argument":{"name":"a","value":"b"}}}`, "completion/complete template:file:///{path}"},
		{`{"jsonrpc":"2.0","id":1,"method":"tasks/cancel","params":{"taskId":"t1"}}`, "tasks/cancel task:t1"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, "tools/list :"},
		{`{"jsonrpc":"2.0","method":"notifications/initialized"}`, "notifications/initialized :"},
		{`{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}`, "response :"},
	} {
		r := &rules{access: yes}
		m := message(t, mcp.ToServer, c.text)
		if d := chain(t, r, true).Run(context.Background(), exchange(mcp.R20251125, m), m); d.Action != guard.Allow {
			t.Errorf("%s: %v", c.text, d)
		}
		if want := "access to_server " + c.want + "|call to_server " + c.want; strings.Join(r.asked, "|") != want {
			t.Errorf("asked %q, want %s", r.asked, want)
		}
	}
}

func TestAURIThatNoRuleCanBeAboutIsRefused(t *testing.T) {
	r := &rules{access: yes}
	m := message(t, mcp.ToServer, `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a b"}}`)
	d := chain(t, r, true).Run(context.Background(), exchange(mcp.R20251125, m), m)
	if d.Reason != policy.PolicyDenied || len(r.asked) != 0 {
		t.Errorf("got %v, asked %q", d, r.asked)
	}
}

func TestWhatTheCallerMayNotUseReadsLikeWhatDoesNotExist(t *testing.T) {
	deny := func(r guard.Reason) func(in *policy.Input) policy.Decision {
		return func(in *policy.Input) policy.Decision {
			if p := in.Principal; r == policy.InsufficientScope && len(p.Scopes) == 2 || r == policy.ReauthenticationRequired && !p.AuthTime.IsZero() && p.Strength == "mfa" {
				return policy.Decision{Allow: true}
			}
			return policy.Decision{Reason: r, Detail: "rule 7", Hint: "ask", Challenge: policy.Challenge{Scopes: []string{"a", "b"}, MaxAge: 60, ACR: []string{"mfa"}}}
		}
	}
	for _, c := range []struct {
		name      string
		reason    guard.Reason
		hide      bool
		list      bool // asks for a list instead of calling
		want      guard.Reason
		hint      string
		challenge string
	}{
		{name: "a forbidden tool", reason: policy.ToolNotAllowed, hide: true, want: guard.UnknownTarget},
		{name: "a tool of a forbidden class", reason: policy.PolicyDenied, hide: true, want: guard.UnknownTarget},
		{name: "no reason given", hide: true, want: guard.UnknownTarget},
		{name: "a forbidden tool, said openly", reason: policy.ToolNotAllowed, want: policy.ToolNotAllowed, hint: "ask"},
		{name: "no reason given, said openly", want: policy.PolicyDenied, hint: "ask"},
		{name: "a forbidden server", reason: policy.ServerNotAllowed, hide: true, list: true, want: guard.UnknownServer},
		{name: "a forbidden server, by a call", reason: policy.ServerNotAllowed, hide: true, want: guard.UnknownServer},
		{name: "a forbidden server, said openly", reason: policy.ServerNotAllowed, list: true, want: policy.ServerNotAllowed, hint: "ask"},
		{name: "a scope can be had", reason: policy.InsufficientScope, hide: true, want: policy.InsufficientScope, hint: "ask", challenge: `Bearer error="insufficient_scope", scope="a b"`},
		{name: "a fresh login can be had", reason: policy.ReauthenticationRequired, hide: true, want: policy.ReauthenticationRequired, hint: "ask", challenge: `Bearer error="insufficient_user_authentication", acr_values="mfa", max_age="60"`},
		{name: "a freeze passes", reason: policy.ReadOnly, hide: true, want: policy.ReadOnly, hint: "ask"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := call(t, "drop", "")
			if c.list {
				m = message(t, mcp.ToServer, `{"jsonrpc":"2.0","id":7,"method":"tools/list"}`)
			}
			ch := chain(t, &rules{access: deny(c.reason)}, c.hide)
			x := exchange(mcp.R20251125, m)
			x.Principal.Issuer, x.Started = "https://id.example", time.Now()
			d := ch.Run(context.Background(), x, m)
			r := ch.Refusal(x, &d)
			if d.Reason != c.want || d.Hint != c.hint || r.Challenge != c.challenge {
				t.Errorf("got %s with hint %q and challenge %q", d.Reason, d.Hint, r.Challenge)
			}
			wants(t, d.Detail, "rule 7")
			if strings.Contains(string(r.Body), "rule 7") {
				t.Errorf("the client reads the detail: %s", r.Body)
			}
		})
	}
}

func TestArgumentsAreJudgedAfterAccessAndNeverHideAnything(t *testing.T) {
	r := &rules{access: only("pay"), call: func(in *policy.Input) policy.Decision {
		if string(in.Arguments()) == `{"amount":5}` {
			return policy.Decision{Allow: true}
		}
		return policy.Decision{Reason: policy.ArgumentNotAllowed, Hint: "at most 5"}
	}}
	c := chain(t, r, true)
	for args, want := range map[string]guard.Reason{`{"amount":5}`: "", `{"amount":6}`: policy.ArgumentNotAllowed, "": policy.ArgumentNotAllowed} {
		m := call(t, "pay", args)
		if d := c.Run(context.Background(), exchange(mcp.R20251125, m), m); d.Reason != want {
			t.Errorf("%s: got %v", args, d)
		}
	}
	r.asked = nil
	m := call(t, "other", `{"amount":5}`)
	if d := c.Run(context.Background(), exchange(mcp.R20251125, m), m); d.Reason != guard.UnknownTarget || len(r.asked) != 1 {
		t.Errorf("got %v, asked %q", d, r.asked)
	}
}

func TestServersAreAskedAboutToo(t *testing.T) {
	r := &rules{access: func(in *policy.Input) policy.Decision {
		return policy.Decision{Allow: in.Direction == mcp.ToServer || in.Method == "roots/list"}
	}}
	c := chain(t, r, true)
	for text, want := range map[string]guard.Action{
		`{"jsonrpc":"2.0","id":1,"method":"roots/list"}`:                                                                                                                  guard.Allow,
		`{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}`:                                                               guard.Deny,
		`{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"}}}}`:                                                 guard.Allow,
		`{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"},"b":{"method":"elicitation/create","params":{}}}}}`: guard.Deny,
	} {
		m := message(t, mcp.ToClient, text)
		rev := mcp.R20251125
		if strings.Contains(text, "resultType") {
			rev = mcp.R20260728
		}
		if d := c.Run(context.Background(), asking(rev, "tools/call"), m); d.Action != want {
			t.Errorf("%s: got %v", text, d)
		}
	}
}

func TestEachSubscriptionNeedsTheRightToItsResource(t *testing.T) {
	c := chain(t, &rules{access: only("memo://a")}, true)
	for uris, want := range map[string]guard.Reason{`"memo://a"`: "", `"memo://a","memo://b"`: guard.UnknownTarget, `"memo://a",7`: guard.InvalidParams, ``: ""} {
		m := message(t, mcp.ToServer, `{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":[`+uris+`]}}}`)
		if d := c.Run(context.Background(), exchange(mcp.R20260728, m), m); d.Reason != want {
			t.Errorf("%s: got %v", uris, d)
		}
	}
}

func TestNoSpellingOfSubscriptionsPassesThePolicyBy(t *testing.T) {
	secret := func(in *policy.Input) policy.Decision {
		return policy.Decision{Allow: in.Target.Kind != policy.Resource || in.Target.Name == "file:///open"}
	}
	open := `"file:///open"`
	for name, c := range map[string]struct {
		params string
		want   guard.Reason
	}{
		"as many as may be":  {`{"notifications":{"resourceSubscriptions":[` + strings.Repeat(open+",", 999) + open + `]}}`, ""},
		"one more":           {`{"notifications":{"resourceSubscriptions":[` + strings.Repeat(open+",", 1000) + open + `]}}`, guard.InvalidParams},
		"another spelling":   {`{"notifications":{"ResourceSubscriptions":["file:///secret"]}}`, guard.InvalidParams},
		"both spellings":     {`{"notifications":{"resourceSubscriptions":["file:///open"],"RESOURCESUBSCRIPTIONS":["file:///secret"]}}`, guard.InvalidParams},
		"no list":            {`{"notifications":{"resourceSubscriptions":"file:///secret"}}`, guard.InvalidParams},
		"an object":          {`{"notifications":{"resourceSubscriptions":{"0":"file:///secret"}}}`, guard.InvalidParams},
		"null":               {`{"notifications":{"resourceSubscriptions":null}}`, ""},
		"nothing to look at": {`{"notifications":{"toolsListChanged":true}}`, ""},
	} {
		m := message(t, mcp.ToServer, `{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":`+c.params+`}`)
		d := chain(t, &rules{access: secret, call: yes}, true).Run(context.Background(), exchange(mcp.R20260728, m), m)
		if d.Reason != c.want || (d.Action == guard.Allow) != (c.want == "") {
			t.Errorf("%s: %v", name, d)
		}
	}
}
