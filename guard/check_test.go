package guard_test

import (
	"context"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

func TestDutiesThatNoHostCouldCarryOutRefuse(t *testing.T) {
	header := func(name, value string) guard.Obligation {
		return guard.Obligation{Kind: guard.SetHeader, Name: name, Value: value}
	}
	label := func(name string) guard.Obligation { return guard.Obligation{Kind: guard.AddLabel, Name: name} }
	after := func(v string) guard.Obligation { return guard.Obligation{Kind: guard.RetryAfter, Value: v} }
	challenge := func(v string) guard.Obligation { return guard.Obligation{Kind: guard.Challenge, Value: v} }
	const allow, deny = guard.Allow, guard.Deny
	tests := []struct {
		name   string
		action guard.Action
		dir    mcp.Direction
		duty   guard.Obligation
		ok     bool
	}{
		{"a header for the server", allow, mcp.ToServer, header("authorization", "Bearer abc"), true},
		{"an empty header value", allow, mcp.ToServer, header("x-team", ""), true},
		{"a tool parameter's header", allow, mcp.ToServer, header("mcp-param-region", "eu"), true},
		{"a header on a reply", allow, mcp.ToClient, header("x-a", "b"), false},
		{"a header on a refusal", deny, mcp.ToServer, header("x-a", "b"), false},
		{"a header without a name", allow, mcp.ToServer, header("", "b"), false},
		{"a header in upper case", allow, mcp.ToServer, header("X-A", "b"), false},
		{"a pseudo header", allow, mcp.ToServer, header(":path", "/admin"), false},
		{"Envoy's own header", allow, mcp.ToServer, header("x-envoy-original-dst-host", "10.0.0.1"), false},
		{"our own header", allow, mcp.ToServer, header("x-sallyport-version", "v2"), false},
		{"a header that routes", allow, mcp.ToServer, header("host", "evil"), false},
		{"a header that frames", allow, mcp.ToServer, header("content-length", "1"), false},
		{"a header that frames otherwise", allow, mcp.ToServer, header("transfer-encoding", "chunked"), false},
		{"a header that reinterprets the judged bytes", allow, mcp.ToServer, header("content-encoding", "gzip"), false},
		{"a header that the body has to agree with", allow, mcp.ToServer, header("mcp-method", "tools/list"), false},
		{"a header name with a line break", allow, mcp.ToServer, header("x-a\r\nx-b", "b"), false},
		{"a header name with a colon", allow, mcp.ToServer, header("x-a:", "b"), false},
		{"a header value with a line feed", allow, mcp.ToServer, header("x-a", "b\nx-user: root"), false},
		{"a header value with a carriage return", allow, mcp.ToServer, header("x-a", "b\rx-user: root"), false},
		{"a header value with NUL", allow, mcp.ToServer, header("x-a", "b\x00"), false},
		{"a header value beyond ASCII", allow, mcp.ToServer, header("x-a", "ü"), false},
		{"a header value that parsers trim", allow, mcp.ToServer, header("x-a", " b"), false},
		{"a label", allow, mcp.ToClient, label("pii:email"), true},
		{"a label on a refusal", deny, mcp.ToServer, label("secret/aws"), true},
		{"a label without a name", allow, mcp.ToServer, label(""), false},
		{"a label made of the client's words", allow, mcp.ToServer, label("Card 4111"), false},
		{"a label without end", allow, mcp.ToServer, label(strings.Repeat("a", 65)), false},
		{"seconds until a retry", deny, mcp.ToServer, after("30"), true},
		{"seconds with an allow", allow, mcp.ToServer, after("30"), false},
		{"no seconds", deny, mcp.ToServer, after(""), false},
		{"a sign", deny, mcp.ToServer, after("-1"), false},
		{"a date", deny, mcp.ToServer, after("Sun, 01 Nov 2026 12:00:00 GMT"), false},
		{"seconds with a header behind", deny, mcp.ToServer, after("1\r\nset-cookie: a=b"), false},
		{"a challenge", deny, mcp.ToServer, challenge(`Bearer error="invalid_token"`), true},
		{"a challenge with an allow", allow, mcp.ToServer, challenge("Bearer"), false},
		{"no challenge", deny, mcp.ToServer, challenge(""), false},
		{"a challenge with a header behind", deny, mcp.ToServer, challenge("Bearer\r\nset-cookie: a=b"), false},
		{"a duty that does not exist", allow, mcp.ToServer, guard.Obligation{}, false},
		{"a duty of the future", allow, mcp.ToServer, guard.Obligation{Kind: 99}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := guard.Verdict{Action: tt.action, Obligations: []guard.Obligation{tt.duty}}
			if tt.action != allow {
				v.Reason = no
			}
			g := member("g", says(v))
			g.OnError = allow
			x, m := asking(t), call(t)
			if tt.dir == mcp.ToClient {
				m = message(t, mcp.ToClient, `{"jsonrpc":"2.0","id":7,"result":{}}`)
			}
			d := chain(t, host(), g).Run(context.Background(), x, m)
			switch {
			case tt.ok && (d.Action != tt.action || len(d.Obligations) != 1):
				t.Errorf("got %v %q: %s", d.Action, d.Reason, d.Detail)
			case !tt.ok && (d.Action != deny || d.Reason != guard.GuardError || len(d.Obligations) != 0):
				t.Errorf("got %v %q with %v", d.Action, d.Reason, d.Obligations)
			}
			if labeled := len(x.Labels()) == 1; labeled != (tt.ok && tt.duty.Kind == guard.AddLabel) {
				t.Errorf("labels %v", x.Labels())
			}
		})
	}
}

func TestMeasuresStandInTheJournalWhateverTheVerdict(t *testing.T) {
	for _, tt := range []struct {
		name  string
		names []string
		ok    bool
	}{
		{"what guards count", []string{"cost_microusd", "mask.credit_card"}, true},
		{"one twice, of which a reader would see either", []string{"tokens", "tokens"}, false},
		{"a name that ends the member", []string{`a":1,"action":"allow`}, false},
		{"no name", []string{""}, false},
	} {
		for _, mode := range []guard.Mode{guard.Enforce, guard.Shadow} {
			v := guard.Verdict{Reason: no, Sensitive: true}
			for i, n := range tt.names {
				v.Measures = append(v.Measures, guard.Measure{Name: n, Value: int64(i) + 7})
			}
			g := member("g", says(v))
			g.Mode = mode
			d := chain(t, host(), g).Run(context.Background(), asking(t), call(t))
			e := d.Journal[0]
			if tt.ok != (e.Reason == no) || tt.ok != (len(e.Measures) == len(tt.names)) || tt.ok != e.Sensitive {
				t.Errorf("%s, %s: %+v", tt.name, mode, e)
			}
		}
	}
}

func TestDutiesOfARefusalReplaceThoseOfEarlierAllows(t *testing.T) {
	credential := guard.Obligation{Kind: guard.SetHeader, Name: "authorization", Value: "Bearer s3cret"}
	retry := guard.Obligation{Kind: guard.RetryAfter, Value: "5"}
	early := guard.Obligation{Kind: guard.AddLabel, Name: "early"}
	late := guard.Obligation{Kind: guard.AddLabel, Name: "late"}
	x := asking(t)
	d := chain(t, host(),
		member("a", says(guard.Verdict{Action: guard.Allow, Obligations: []guard.Obligation{credential, early}})),
		member("b", says(guard.Verdict{Reason: no, Obligations: []guard.Obligation{retry, late, early}})),
	).Run(context.Background(), x, call(t))
	for _, o := range d.Obligations {
		if o == credential {
			t.Error("a refusal carries a credential")
		}
	}
	if got := strings.Join(x.Labels(), " "); got != "early late" {
		t.Errorf("labels %q: both guards saw what they labelled", got)
	}
}
