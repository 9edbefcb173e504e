package guard_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// TestClientsCanReadTheRefusal is section 4 of the protocol notes as a table:
// what situation gives which HTTP status, code and id.
func TestClientsCanReadTheRefusal(t *testing.T) {
	legacy, modern, unknown := mcp.R20251125, mcp.R20260728, mcp.RevisionUnknown
	fault := func(f mcp.Fault) *mcp.Fault { return &f }
	hosts := func(r guard.Reason) *mcp.Fault { return &mcp.Fault{Reason: string(r), Offset: -1} }
	tests := []struct {
		name     string
		revision mcp.Revision
		asked    string // the client's message as the exchange remembers it
		dir      mcp.Direction
		fault    *mcp.Fault
		reason   guard.Reason // of a guard, instead of a fault
		status   int
		code     int
		id       string // "" for none
		data     string
	}{
		{name: "a guard's no", revision: legacy, asked: callText, reason: no, status: 200, code: -31403, id: "7"},
		{name: "a guard's no to a reply", revision: legacy, asked: callText, dir: mcp.ToClient, reason: no, status: 200, code: -31403, id: "7"},
		{name: "a string id comes back byte for byte", revision: legacy, asked: `{"jsonrpc":"2.0","id":"\u0061\/b","method":"ping"}`, reason: no, status: 200, code: -31403, id: `"\u0061\/b"`},
		{name: "a large number keeps its lexeme", revision: legacy, asked: `{"jsonrpc":"2.0","id":-9007199254740991,"method":"ping"}`, reason: no, status: 200, code: -31403, id: `-9007199254740991`},
		{name: "a refused notification is no success", revision: legacy, asked: `{"jsonrpc":"2.0","method":"notifications/initialized"}`, reason: no, status: 403, code: -31403},
		{name: "a refused response of the client is no success", revision: legacy, asked: `{"jsonrpc":"2.0","id":3,"result":{}}`, reason: no, status: 403, code: -31403},
		{name: "a method a guard hides, legacy", revision: legacy, asked: callText, reason: "test_hidden", status: 200, code: -32601, id: "7"},
		// 404 is for methods that do not exist; mcp-go takes each for the end of the session.
		{name: "a method a guard hides, modern", revision: modern, asked: callText, reason: "test_hidden", status: 200, code: -32601, id: "7"},
		{name: "a notification a guard hides", revision: legacy, asked: `{"jsonrpc":"2.0","method":"notifications/initialized"}`, reason: "test_hidden", status: 400, code: -32601},
		{name: "a quota", revision: legacy, asked: callText, reason: "test_quota", status: 429, code: -31429, id: "7"},
		{name: "a guard that broke", revision: legacy, asked: callText, reason: guard.GuardError, status: 503, code: -31503, id: "7"},
		{name: "no receipts", revision: legacy, asked: callText, reason: guard.ReceiptUnavailable, status: 503, code: -31503, id: "7"},
		{name: "not JSON has no id", fault: fault(mcp.Fault{Reason: mcp.ReasonMalformed, Status: 400, Code: mcp.CodeParse}), status: 400, code: -32700},
		{name: "a duplicate key, whose id could be read", fault: fault(mcp.Fault{Reason: mcp.ReasonMalformed, Status: 400, Code: mcp.CodeInvalidRequest, ID: []byte("9")}), status: 400, code: -32600, id: "9"},
		{name: "too large", fault: fault(mcp.Fault{Reason: mcp.ReasonTooLarge, Status: 413, Code: mcp.CodeInvalidRequest}), status: 413, code: -32600},
		{name: "wrong media type", fault: hosts(guard.UnsupportedMedia), status: 415, code: -32600},
		{name: "unknown method, legacy", revision: legacy, fault: fault(mcp.Fault{Reason: mcp.ReasonUnknownMethod, Status: 200, Code: mcp.CodeMethodNotFound, ID: []byte("9")}), status: 200, code: -32601, id: "9"},
		{name: "unknown method, modern", revision: modern, fault: fault(mcp.Fault{Reason: mcp.ReasonUnknownMethod, Status: 404, Code: mcp.CodeMethodNotFound, ID: []byte("9")}), status: 404, code: -32601, id: "9"},
		{name: "unknown notification", revision: legacy, fault: fault(mcp.Fault{Reason: mcp.ReasonUnknownMethod, Status: 200, Code: mcp.CodeMethodNotFound}), status: 400, code: -32601},
		{name: "invalid params, legacy", fault: fault(mcp.Fault{Reason: mcp.ReasonInvalidParams, Status: 200, Code: mcp.CodeInvalidParams, ID: []byte("9")}), status: 200, code: -32602, id: "9"},
		{name: "header mismatch, modern", revision: modern, fault: fault(mcp.Fault{Reason: mcp.ReasonHeaderMismatch, Status: 400, Code: mcp.CodeHeaderMismatch, ID: []byte("9")}), status: 400, code: -32020, id: "9"},
		{name: "header mismatch of a legacy GET has no modern code", revision: unknown, fault: hosts(guard.HeaderMismatch), status: 400, code: -32600},
		{name: "unsupported version, modern, keeps the protocol's data", fault: fault(mcp.Fault{Reason: mcp.ReasonUnsupportedVersion, Status: 400, Code: mcp.CodeUnsupportedVersion, ID: []byte("9"), Data: []byte(`{"supported":["2026-07-28"],"requested":"2027-01-01"}`)}), status: 400, code: -32022, id: "9", data: `{"supported":["2026-07-28"],"requested":"2027-01-01"}`},
		{name: "unsupported version, legacy", fault: hosts(guard.UnsupportedVersion), status: 400, code: -32600},
		{name: "GET in the modern era", revision: modern, fault: hosts(guard.WrongTransport), status: 405, code: -32600},
		{name: "no such server", fault: hosts(guard.UnknownServer), status: 404, code: -31404},
		{name: "a bad reply", revision: legacy, asked: callText, dir: mcp.ToClient, fault: hosts(guard.UpstreamBadReply), status: 502, code: -31502, id: "7"},
		{name: "a late reply", revision: legacy, asked: callText, dir: mcp.ToClient, fault: hosts(guard.UpstreamTimeout), status: 504, code: -31504, id: "7"},
		{name: "an id in a bad reply is the server's, not the client's", revision: legacy, dir: mcp.ToClient, fault: fault(mcp.Fault{Reason: mcp.ReasonMalformed, Status: 400, Code: mcp.CodeInvalidRequest, ID: []byte("13")}), status: 400, code: -32600},
		{name: "a reason that nobody knows reads like a broken guard", revision: legacy, asked: callText, fault: hosts("made_up"), status: 503, code: -31503, id: "7"},
	}
	g := member("g", nil)
	g.Spec.Reasons = append(g.Spec.Reasons,
		guard.ReasonInfo{Reason: "test_hidden", Status: 200, Code: mcp.CodeMethodNotFound, Text: "Hidden.", When: "In tests."},
		guard.ReasonInfo{Reason: "test_quota", Status: 429, Code: guard.CodeQuota, Text: "Slow down.", When: "In tests."})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := context.Background()
			x := &guard.Exchange{ID: "x1", Revision: tt.revision}
			m := &mcp.Message{Direction: tt.dir}
			if tt.asked != "" {
				asked := message(t, mcp.ToServer, tt.asked)
				x.Asked = guard.Asked{Kind: asked.Kind, Method: asked.Method}
				if asked.Kind == mcp.Request {
					x.Asked.ID = asked.ID
				}
				if tt.dir == mcp.ToServer {
					m = asked
				}
			}
			g.Guard = says(guard.Refuse(tt.reason, "s3cret detail"))
			c := chain(t, host(), g)
			var d guard.Decision
			if tt.fault != nil {
				tt.fault.Detail = "s3cret detail"
				d = c.Reject(ctx, x, nil, tt.dir, tt.fault)
			} else {
				d = c.Run(ctx, x, m)
			}
			r := c.Refusal(x, &d)
			var body struct {
				ID    json.RawMessage
				Error struct {
					Code    int
					Message string
					Data    json.RawMessage
				}
			}
			if err := json.Unmarshal(r.Body, &body); err != nil {
				t.Fatalf("%s: %v", r.Body, err)
			}
			if r.Status != tt.status || body.Error.Code != tt.code || string(body.ID) != tt.id {
				t.Errorf("got HTTP %d %s, want HTTP %d, code %d, id %s", r.Status, r.Body, tt.status, tt.code, tt.id)
			}
			if tt.data != "" && string(body.Error.Data) != tt.data {
				t.Errorf("data %s, want %s", body.Error.Data, tt.data)
			}
			if tt.data == "" && !strings.Contains(string(body.Error.Data), `"exchange":"x1"`) {
				t.Errorf("data %s lacks what to quote to an operator", body.Error.Data)
			}
			if strings.Contains(string(r.Body), "s3cret") {
				t.Errorf("the client reads what is for operators: %s", r.Body)
			}
			if tt.id == "" && r.Status < 400 {
				t.Errorf("HTTP %d says yes to somebody who does not read the body", r.Status)
			}
		})
	}
}

func TestWhoIsRefusedBeforeTheirBodyIsReadGetsTheNullID(t *testing.T) {
	c := chain(t, host(), member("identity", admitting(guard.Refuse(no, "no token"))))
	x := &guard.Exchange{}
	d := c.Admit(context.Background(), x)
	r := c.Refusal(x, &d)
	if r.Status != 403 || !strings.HasPrefix(string(r.Body), `{"jsonrpc":"2.0","id":null,"error":{`) {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

func TestARefusedStreamOfNoRequestIsNotServed(t *testing.T) {
	g := member("g", says(guard.Refuse("test_hidden", "")))
	g.Spec.Reasons = []guard.ReasonInfo{{Reason: "test_hidden", Status: 200, Code: mcp.CodeMethodNotFound, Text: "Hidden.", When: "In tests."}}
	c := chain(t, host(), g)
	m := mcp.TransportMessage(mcp.MethodListen)
	x := &guard.Exchange{Revision: mcp.R20251125, Asked: guard.Asked{Kind: mcp.Transport, Method: mcp.MethodListen}}
	d := c.Run(context.Background(), x, &m)
	if r := c.Refusal(x, &d); r.Status != 405 {
		t.Errorf("a GET that a guard hides gets %d; clients go on after 405 only", r.Status)
	}
}

func TestARefusalCarriesItsDutiesAndItsTicket(t *testing.T) {
	c := chain(t, host(), member("g", says(guard.Verdict{
		Action: guard.Hold, Reason: no,
		Ticket: &guard.Ticket{ID: "t\"1", Text: "Ask\nAda", URL: "https://gate.example/t1"},
		Obligations: []guard.Obligation{
			{Kind: guard.RetryAfter, Value: "30"},
			{Kind: guard.Challenge, Value: `Bearer scope="a b"`},
		},
	})))
	x := asking(t)
	d := c.Run(context.Background(), x, call(t))
	r := c.Refusal(x, &d)
	if r.RetryAfter != "30" || r.Challenge != `Bearer scope="a b"` {
		t.Errorf("got %+v", r)
	}
	var body struct {
		Error struct {
			Data struct{ Ticket guard.Ticket }
		}
	}
	if err := json.Unmarshal(r.Body, &body); err != nil || body.Error.Data.Ticket != *d.Ticket {
		t.Errorf("got %s, %v", r.Body, err)
	}
}

func TestCoreReasonsAreFitForClients(t *testing.T) {
	seen := make(map[guard.Reason]bool)
	for _, r := range guard.CoreReasons() {
		if seen[r.Reason] {
			t.Errorf("%s stands twice", r.Reason)
		}
		seen[r.Reason] = true
		if r.Status != 200 && r.Status < 400 || r.Text == "" || r.When == "" || r.Code == 0 {
			t.Errorf("incomplete: %+v", r)
		}
		if r.Code <= -32000 && r.Code >= -32019 {
			t.Errorf("%s: code %d must not be newly used", r.Reason, r.Code)
		}
	}
}

// Models read the results of tools and correct their calls; many clients show them
// no error.
func TestARefusalThatModelsRead(t *testing.T) {
	deny := guard.Verdict{Reason: no, Detail: "s3cret", Hint: "/arguments/to: type", Result: true}
	c := chain(t, host(), member("g", says(deny)))
	x := asking(t)
	d := c.Run(context.Background(), x, call(t))
	r := c.Refusal(x, &d)
	var body struct {
		ID     json.RawMessage
		Result struct {
			Content []struct{ Type, Text string }
			IsError bool
			Meta    map[string]struct{ Reason, Exchange string } `json:"_meta"`
		}
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		t.Fatal(err)
	}
	got := body.Result
	if r.Status != 200 || r.Sent != 200 || !got.IsError || len(got.Content) != 1 || got.Content[0].Type != "text" || !strings.HasSuffix(got.Content[0].Text, " /arguments/to: type") ||
		got.Meta[guard.MetaRefusal].Reason != string(no) || got.Meta[guard.MetaRefusal].Exchange == "" || len(body.ID) == 0 || strings.Contains(string(r.Body), "s3cret") {
		t.Errorf("%d, %s", r.Status, r.Body)
	}
	if x.Revision = mcp.R20260728; !strings.Contains(string(c.Refusal(x, &d).Body), `"result":{"resultType":"complete",`) {
		t.Errorf("the newest revision needs a resultType: %s", c.Refusal(x, &d).Body)
	}
	x.Asked.Method = "prompts/get"
	if r := c.Refusal(x, &d); !strings.Contains(string(r.Body), `"error":{`) {
		t.Errorf("a tool's result for what is no tool: %s", r.Body)
	}
	for name, v := range map[string]guard.Verdict{"allow": {Action: guard.Allow, Result: true}, "hold": {Action: guard.Hold, Reason: no, Result: true, Ticket: &guard.Ticket{ID: "t"}}} {
		c := chain(t, host(), member("g", says(v)))
		if d := c.Run(context.Background(), asking(t), call(t)); d.Reason != guard.GuardError {
			t.Errorf("%s with a result is no defect: %+v", name, d)
		}
	}
}
