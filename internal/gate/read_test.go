package gate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/mcp"
)

type lines [][2]string

func (l lines) Get(name string) (value string, n int) {
	for _, f := range l {
		if f[0] == name {
			if n == 0 {
				value = f[1]
			}
			n++
		}
	}
	return value, n
}

func (l lines) Each(visit func(name string, value []byte)) {
	for _, f := range l {
		visit(f[0], []byte(f[1]))
	}
}

func snapshot(t testing.TB, revisions ...mcp.Revision) *gate.Snapshot {
	t.Helper()
	d := mcp.NewDecoder(mcp.Config{})
	c, err := guard.New(guard.Host{Now: time.Now, Decoder: d, Await: gate.Await})
	if err != nil {
		t.Fatal(err)
	}
	return &gate.Snapshot{Chain: c, Decoder: d, View: registry.NewView([]registry.Server{{Name: "crm", Owner: "sales"}}), Revisions: revisions}
}

func TestARefusalIsAnsweredUnderTheIDThatTheClientGave(t *testing.T) {
	s := snapshot(t)
	for _, tt := range []struct{ name, body, id string }{
		{"a good request", `{"jsonrpc":"2.0","id":7,"method":"ping"}`, "7"},
		{"an id as it was written", `{"jsonrpc":"2.0","id":"\u0061","method":"ping"}`, `"\u0061"`},
		{"a request with duplicate keys", `{"jsonrpc":"2.0","id":7,"method":"ping","method":"tools/call"}`, "7"},
		{"two ids, of which neither is believed", `{"jsonrpc":"2.0","id":7,"id":8,"method":"ping"}`, ""},
		{"an id and one that folds to it", `{"jsonrpc":"2.0","id":7,"ID":8,"method":"ping"}`, ""},
		{"an illegal id", `{"jsonrpc":"2.0","id":1.5,"method":"ping"}`, ""},
		{"a notification", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, ""},
		{"a response, whose id is another party's", `{"jsonrpc":"2.0","id":7,"result":{}}`, ""},
		{"an id inside the params", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"id":7}}`, ""},
		{"no JSON", `id":7`, ""},
		{"half a request", `{"jsonrpc":"2.0","id":7,"method":"ping"`, ""},
		{"nothing", ``, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := &guard.Exchange{}
			body := []byte(tt.body)
			s.Salvage(x, body)
			for i := range body {
				body[i] = '!' // Envoy's message is reused
			}
			if string(x.Asked.ID) != tt.id || tt.id == "" && x.Asked.ID != nil {
				t.Errorf("got the id %q, want %q", x.Asked.ID, tt.id)
			}
			if x.Asked.Method != "" || x.Asked.Kind != mcp.Invalid {
				t.Errorf("believed more than the id: %+v", x.Asked)
			}
		})
	}
}

func TestWhatWasAskedOutlivesTheBody(t *testing.T) {
	body := []byte(`{"jsonrpc":"2.0","id":"seven","method":"tools/call","params":{"name":"read","_meta":{"progressToken":"tok"}}}`)
	s, x := snapshot(t), &guard.Exchange{Headers: lines{}}
	srv := s.Begin(x, "crm")
	if srv == nil || x.Server.Owner != "sales" {
		t.Fatal(srv, x.Server)
	}
	if _, f := s.Read(x, srv, body); f != nil {
		t.Fatal(f)
	}
	for i := range body {
		body[i] = '!'
	}
	a := x.Asked
	if string(a.ID) != `"seven"` || a.Method != "tools/call" || a.Name != "read" || a.Kind != mcp.Request {
		t.Errorf("got %+v", a)
	}
	if s.Begin(&guard.Exchange{}, "nobody") != nil {
		t.Error("an unregistered server was found")
	}
}

func TestAModernRequestHasNoSession(t *testing.T) {
	s, x := snapshot(t), &guard.Exchange{Session: "stolen", Headers: lines{{mcp.HeaderVersion, "2026-07-28"}, {mcp.HeaderMethod, "tools/list"}}}
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	if _, f := s.Read(x, s.Begin(x, "crm"), []byte(body)); f != nil {
		t.Fatal(f)
	}
	if x.Session != "" || !x.Revision.Modern() {
		t.Errorf("session %q, revision %s", x.Session, x.Revision)
	}
}

// Clients that speak both eras begin a legacy session only after an answer that
// no modern server gives.
func TestALegacyServerNeverAnswersLikeAModernOne(t *testing.T) {
	modern := `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	h := lines{{mcp.HeaderVersion, "2026-07-28"}, {mcp.HeaderMethod, "server/discover"}}
	for _, tt := range []struct {
		name string
		srv  registry.Server
		gate []mcp.Revision
		code int
	}{
		{"a server of the legacy era", registry.Server{Name: "crm", Revisions: []mcp.Revision{mcp.R20251125}}, nil, mcp.CodeInvalidRequest},
		{"a gateway of the legacy era", registry.Server{Name: "crm"}, []mcp.Revision{mcp.R20251125}, mcp.CodeInvalidRequest},
	} {
		s, x := snapshot(t, tt.gate...), &guard.Exchange{Headers: h}
		_, f := s.Read(x, &tt.srv, []byte(modern))
		if f == nil || f.Code != tt.code || string(f.ID) != "1" || f.Data != nil || f.Status != 400 {
			t.Errorf("%s: got %+v", tt.name, f)
		}
		if x.Asked.Kind != mcp.Invalid {
			t.Errorf("%s: remembered as asked", tt.name)
		}
	}
	s, x := snapshot(t), &guard.Exchange{Headers: lines{}}
	if _, f := s.Transport(x, &registry.Server{Name: "crm", Revisions: []mcp.Revision{mcp.R20260728}}, mcp.MethodListen); f == nil || f.Status != 405 {
		t.Errorf("GET of a modern server: %+v", f)
	}
}

func TestAnEventStreamIsForThoseWhoTakeNothingElse(t *testing.T) {
	for accept, want := range map[string]bool{
		"text/event-stream":                                   true,
		"Text/Event-Stream ; q=1":                             true,
		"text/html, text/event-stream":                        true,
		"text/*, image/png":                                   true,
		"application/json, text/event-stream":                 false,
		"text/event-stream, application/json;q=0.1":           false,
		"text/event-stream,*/*":                               false,
		"text/event-stream, application/*":                    false,
		"application/json":                                    false,
		"text/html; x=text/event-stream":                      false,
		"":                                                    false,
		"application/xml; y=\", text/event-streams\", x/y":    false,
		strings.Repeat("a/b,", 1000) + "text/event-stream":    true,
		"text/event-stream-and-more, application/jsonishness": false,
	} {
		if got := gate.EventsOnly(lines{{"accept", accept}}); got != want {
			t.Errorf("accept %.80q: %v", accept, got)
		}
	}
	if gate.EventsOnly(lines{}) || gate.EventsOnly(lines{{"accept", "text/event-stream"}, {"accept", "application/json"}}) {
		t.Error("no header, or two, count as events only")
	}
}

func TestADutyIsCarriedOutOrTheMessageRefused(t *testing.T) {
	label := guard.Obligation{Kind: guard.AddLabel, Name: "pii"}
	header := guard.Obligation{Kind: guard.SetHeader, Name: "x-user", Value: "ada"}
	for _, tt := range []struct {
		name   string
		duties []guard.Obligation
		dir    mcp.Direction
		set    int
		fault  bool
	}{
		{"none", nil, mcp.ToServer, 0, false},
		{"a label is the chain's", []guard.Obligation{label}, mcp.ToClient, 0, false},
		{"headers, in order", []guard.Obligation{header, label, header}, mcp.ToServer, 2, false},
		{"a header on a reply", []guard.Obligation{header}, mcp.ToClient, 0, true},
		{"a duty of a refusal", []guard.Obligation{{Kind: guard.RetryAfter, Value: "1"}}, mcp.ToServer, 0, true},
		{"a kind of the future", []guard.Obligation{header, {Kind: 99}}, mcp.ToServer, 0, true},
		{"no kind", []guard.Obligation{{}}, mcp.ToServer, 0, true},
	} {
		set, f := gate.Duties(tt.duties, tt.dir)
		if len(set) != tt.set || (f != nil) != tt.fault {
			t.Errorf("%s: %v, %v", tt.name, set, f)
		}
		if f != nil && f.Reason != string(guard.GuardError) {
			t.Errorf("%s: reason %s", tt.name, f.Reason)
		}
	}
}

func TestAnExchangeKeepsTheSnapshotItBeganWith(t *testing.T) {
	a, b := snapshot(t), snapshot(t)
	h := gate.NewHolder(a)
	mine := h.Current()
	h.Swap(b)
	if mine != a || h.Current() != b {
		t.Error("a reload changed what an exchange is judged with")
	}
}
