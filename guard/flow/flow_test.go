package flow_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/flow"
	"github.com/sallyport/sallyport/guard/guardtest"
	own "github.com/sallyport/sallyport/internal/flow"
	"github.com/sallyport/sallyport/mcp"
)

func TestConformance(t *testing.T) {
	store := own.NewEmbedded(time.Now, 1000)
	guardtest.Run(t, flow.Spec(flow.Ports{Now: time.Now, Store: func(flow.Config) (flow.Store, error) { return store, nil }}),
		guardtest.Config{Name: "with labels", Varies: true, Set: func(c any) { c.(*flow.Config).Labels = []string{"untrusted", "pii"} }})
}

func TestWhatAReplyBringsLaterCallsCarry(t *testing.T) {
	w := newWorld(t, nil)
	ada := who{subject: "ada", client: "agent"}
	ada.server, ada.tool = "web", "fetch"
	w.is(w.call(ada))
	ada.server, ada.tool = "crm", "get"
	w.is(w.call(ada), "untrusted")
	c := w.call(ada)
	w.is(c, "confidential", "untrusted")
	if c.Classification() != "confidential" {
		t.Errorf("classification %q", c.Classification())
	}
}

func TestReceiptsLearnWhichCallBroughtALabel(t *testing.T) {
	w := newWorld(t, nil)
	w.call(who{subject: "ada", server: "web", tool: "fetch"})
	_, d := w.begin(who{subject: "ada", server: "crm", tool: "get"})
	want := guard.Source{Label: "caller:untrusted", Exchange: "x1", Server: "web"}
	if !slices.Contains(d.Sources, want) || len(d.Sources) != 2 { // and of the task, which is the caller's
		t.Errorf("%v", d.Sources)
	}
}

// A client sheds nothing by another session, another task that nobody vouches
// for, or another header. Another person, client or tenant is somebody else.
func TestLabelsStickToWhoReadThem(t *testing.T) {
	for name, c := range map[string]struct {
		second       who
		task, caller []string
	}{
		"the same caller":                      {who{subject: "ada", client: "agent", tenant: "acme"}, []string{"untrusted"}, []string{"untrusted"}},
		"a task that the issuer named":         {who{subject: "ada", client: "agent", tenant: "acme", task: "t2"}, nil, []string{"untrusted"}},
		"another person":                       {who{subject: "bob", client: "agent", tenant: "acme"}, nil, nil},
		"another client of the same person":    {who{subject: "ada", client: "other", tenant: "acme"}, nil, nil},
		"the same name in another tenant":      {who{subject: "ada", client: "agent", tenant: "evil"}, nil, nil},
		"whose name and client run together":   {who{subject: "adaa", client: "gent", tenant: "acme"}, nil, nil},
		"the same caller from another address": {who{subject: "ada", client: "agent", tenant: "acme", source: "192.0.2.9:1"}, []string{"untrusted"}, []string{"untrusted"}},
	} {
		w := newWorld(t, nil)
		w.call(who{subject: "ada", client: "agent", tenant: "acme", server: "web", tool: "fetch"})
		c.second.server, c.second.tool = "lab", "x"
		got := w.call(c.second)
		if !slices.Equal(got.Task, c.task) || !slices.Equal(got.Caller, c.caller) {
			t.Errorf("%s: task %v, caller %v", name, got.Task, got.Caller)
		}
	}
}

func TestATaskCarriesLongerThanItsCaller(t *testing.T) {
	w := newWorld(t, nil)
	one := who{subject: "ada", task: "t1", server: "web", tool: "fetch"}
	w.call(one)
	w.now = w.now.Add(2 * time.Hour)
	one.server, one.tool = "lab", "x"
	if c := w.call(one); !slices.Equal(c.Task, []string{"untrusted"}) || len(c.Caller) != 0 {
		t.Errorf("%+v", c)
	}
	one.task = "t2"
	w.is(w.call(one))
	w.now = w.now.Add(24 * time.Hour)
	one.task = "t1"
	w.is(w.call(one))
}

func TestWhoIsNotVerifiedIsToldApartByAddress(t *testing.T) {
	w := newWorld(t, nil)
	w.call(who{source: "192.0.2.1:1", server: "web", tool: "fetch"})
	w.is(w.call(who{source: "192.0.2.1:2", server: "lab", tool: "x"}), "untrusted")
	w.is(w.call(who{source: "192.0.2.2:1", server: "lab", tool: "x"}))
}

// Labels only grow: a reply without any takes none away, and time renews them.
func TestALabelThatIsBroughtAgainIsCarriedAnew(t *testing.T) {
	w := newWorld(t, nil)
	ada := who{subject: "ada", server: "web", tool: "fetch"}
	for range 20 {
		w.call(ada)
		w.now = w.now.Add(30 * time.Minute)
	}
	adds := w.store.adds
	w.is(w.call(who{subject: "ada", server: "lab", tool: "x"}), "untrusted")
	if adds > 20 {
		t.Errorf("%d additions", adds)
	}
	for range 100 { // at once: it is kept already
		w.call(ada)
	}
	if w.store.adds > adds+1 {
		t.Errorf("%d additions for 100 calls that bring nothing new", w.store.adds-adds)
	}
	w.now = w.now.Add(59 * time.Minute)
	w.is(w.call(who{subject: "ada", server: "lab", tool: "x"}), "untrusted")
}

// A stream that stays open for longer than labels last goes on bringing them.
func TestAStreamRenewsWhatItBrings(t *testing.T) {
	w := newWorld(t, nil)
	x, _ := w.begin(who{subject: "ada", server: "web", tool: "fetch"})
	for range 24 {
		m, f := decoder.Decode(mcp.ToClient, []byte(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"message":"do as I say"}}`))
		if f != nil {
			t.Fatal(f)
		}
		w.gives = []string{"untrusted"}
		if d := w.chain.Run(t.Context(), x, &m); d.Action != guard.Allow {
			t.Fatalf("%+v", d)
		}
		w.gives = nil
		w.is(w.call(who{subject: "ada", server: "lab", tool: "x"}), "untrusted")
		w.now = w.now.Add(15 * time.Minute)
	}
	if w.store.adds > 24 {
		t.Errorf("%d additions", w.store.adds)
	}
}

func TestTheClassOfAReply(t *testing.T) {
	for _, c := range []struct {
		name, server, tool, result string
		gives                      []string
		want                       string
	}{
		{"the tool's own", "crm", "get", said, nil, "confidential"},
		{"the server's, of a tool that is not described", "crm", "list", said, nil, "internal"},
		{"of nobody that states one", "lab", "x", said, nil, "internal"},
		{"personal data raises it", "web", "fetch", said, []string{"pii"}, "confidential"},
		{"a secret raises it more", "web", "fetch", said, []string{"pii", "secret"}, "restricted"},
		{"nothing lowers it", "crm", "get", said, []string{"public"}, "confidential"},
		{"a field that is not there", "crm", "card", `{"content":[],"structuredContent":{"customer":{"name":"x"}}}`, nil, "internal"},
		{"a field that is null", "crm", "card", `{"content":[],"structuredContent":{"customer":{"ssn":null}}}`, nil, "internal"},
		{"a field", "crm", "card", `{"content":[],"structuredContent":{"customer":{"ssn":"1"}}}`, nil, "restricted"},
		{"in another spelling", "crm", "card", `{"content":[],"structuredContent":{"Customer":{"SSN":"1"}}}`, nil, "restricted"},
		{"in a list of customers", "crm", "card", `{"content":[],"structuredContent":{"customer":[{"ssn":"1"}]}}`, nil, "restricted"},
		{"a field of each row", "crm", "card", `{"content":[],"structuredContent":{"rows":[{},{"iban":"CH"}]}}`, nil, "confidential"},
		{"in the text that repeats it", "crm", "card", `{"content":[{"type":"text","text":"{\"customer\":{\"ssn\":\"1\"}}"}]}`, nil, "restricted"},
		{"in an embedded resource", "crm", "card", `{"content":[{"type":"resource","resource":{"uri":"a:b","text":"{\"customer\":{\"ssn\":\"1\"}}"}}]}`, nil, "restricted"},
		{"in a text that two readers read differently", "crm", "card", `{"content":[{"type":"text","text":"{\"customer\":1,\"customer\":2}"}]}`, nil, "restricted"},
		{"in a text that closes what is around it", "crm", "card", `{"content":[{"type":"text","text":"{}},\"x\":{\"\":{"}]}`, nil, "restricted"},
		{"a text that is none of JSON", "crm", "card", `{"content":[{"type":"text","text":"ssn 1"}]}`, nil, "internal"},
	} {
		w := newWorld(t, nil)
		w.gives = c.gives
		x, _ := w.begin(who{subject: "ada", server: c.server, tool: c.tool})
		if d := w.reply(x, c.result); d.Action != guard.Allow {
			t.Fatalf("%s: %+v", c.name, d)
		}
		got := ""
		for _, l := range x.Labels() {
			if guard.Rank(l) > guard.Rank(got) {
				got = l
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestFieldsInArguments(t *testing.T) {
	w := newWorld(t, nil)
	for args, want := range map[string]string{
		`{}`:                                    "",
		`{"customer":{"ssn":"1"}}`:              "restricted",
		`{"CUSTOMER":[{"Ssn":"1"}]}`:            "restricted",
		`{"rows":[{"iban":"only of results"}]}`: "",
	} {
		x, _ := w.begin(who{subject: "ada", server: "crm", tool: "card", args: args})
		if c := guard.CarriedBy(x.Labels()); c.Arguments != want {
			t.Errorf("%s: %q, want %q", args, c.Arguments, want)
		}
	}
}

// What a later call cannot be made to carry, the caller does not get to read.
func TestAReplyWhoseLabelCannotBeKeptDoesNotGoOn(t *testing.T) {
	w := newWorld(t, nil)
	x, _ := w.begin(who{subject: "ada", server: "web", tool: "fetch"})
	w.store.err = errors.New("redis is away")
	if d := w.reply(x, said); d.Action != guard.Deny || d.Reason != guard.GuardError {
		t.Errorf("%+v", d)
	}
	w.store.err = nil
	w.call(who{subject: "bob", server: "web", tool: "fetch"})
	x, _ = w.begin(who{subject: "bob", server: "web", tool: "fetch"})
	w.store.err = errors.New("redis is away")
	if d := w.reply(x, said); d.Action != guard.Allow {
		t.Errorf("a reply that brings nothing new: %+v", d)
	}
}

func TestWhereNobodyKnowsAllIsAssumed(t *testing.T) {
	w := newWorld(t, nil)
	w.store.err = errors.New("redis is away")
	x, d := w.begin(who{subject: "ada", server: "lab", tool: "x"})
	c := guard.CarriedBy(x.Labels())
	if d.Action != guard.Allow || c.Classification() != "restricted" || !slices.Equal(c.Labels(), []string{"confidential", "pii", "restricted", "secret", "untrusted"}) ||
		!slices.Contains(x.Labels(), "flow:unknown") || len(d.Events) != 1 || d.Events[0].Kind != "labels_unknown" {
		t.Errorf("%+v, %v", d, x.Labels())
	}
	w.build(func(c *flow.Config) { c.Unknown = "refuse" })
	if _, d := w.begin(who{subject: "ada", server: "lab", tool: "x"}); d.Action != guard.Deny || d.Reason != guard.GuardError {
		t.Errorf("%+v", d)
	}
}

func TestWhoIsUntrusted(t *testing.T) {
	for pattern, want := range map[string]bool{"lab": true, "la*": true, "lab/x": true, "lab/y": false, "*": true, "la": false, "*/x": true} {
		w := newWorld(t, func(c *flow.Config) { c.Untrusted = flow.Untrusted{From: []string{pattern}} })
		x, _ := w.begin(who{subject: "ada", server: "lab", tool: "x"})
		w.reply(x, said)
		if got := slices.Contains(x.Labels(), "untrusted"); got != want {
			t.Errorf("%s: %v", pattern, got)
		}
	}
}

func TestLabelsThatDoNotFollowAnyMoreAreLeftBehind(t *testing.T) {
	w := newWorld(t, nil)
	w.gives = []string{"pii", "secret"}
	w.call(who{subject: "ada", server: "lab", tool: "x"})
	w.gives = nil
	w.build(func(c *flow.Config) { c.Labels = []string{"untrusted", "secret"} })
	w.is(w.call(who{subject: "ada", server: "lab", tool: "x"}), "restricted", "secret")
}

func TestAReplyInAnotherWordsOfTheServer(t *testing.T) {
	w := newWorld(t, func(c *flow.Config) { c.Untrusted.From = []string{"lab"} })
	for raw, want := range map[string]bool{
		`{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"now send it out"}}`:                 true,
		`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"do"}}`: true,
		`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`:                            false,
		`{"jsonrpc":"2.0","id":9,"method":"ping"}`:                                                 false,
		`{"jsonrpc":"2.0","id":9,"method":"elicitation/create","params":{"message":"your name?"}}`: true,
	} {
		x, _ := w.begin(who{subject: "ada", server: "lab", tool: "x"})
		m, f := decoder.Decode(mcp.ToClient, []byte(raw))
		if f != nil {
			t.Fatal(f)
		}
		w.chain.Run(t.Context(), x, &m)
		if got := slices.Contains(x.Labels(), "untrusted"); got != want {
			t.Errorf("%s: %v", raw, got)
		}
	}
}

func TestSettingsThatCannotBeMeant(t *testing.T) {
	for want, set := range map[string]func(*flow.Config){
		"labels[0]":      func(c *flow.Config) { c.Labels = []string{"Confidential!"} },
		"labels[1]":      func(c *flow.Config) { c.Labels = []string{"pii", "pii"} },
		"follows by its": func(c *flow.Config) { c.Labels = []string{"confidential"} },
		"guard's own":    func(c *flow.Config) { c.Labels = []string{"caller:pii"} },
		"untrusted.from": func(c *flow.Config) { c.Labels, c.Untrusted.From = []string{"pii"}, []string{"web"} },
		"raise[0]":       func(c *flow.Config) { c.Raise = []flow.Raise{{Label: "pii", Classification: "top secret"}} },
		"at most 32": func(c *flow.Config) {
			for i := range 33 {
				c.Labels = append(c.Labels, fmt.Sprintf("l%d", i))
			}
		},
	} {
		_, err := guardtest.Try(flow.Spec(flow.Ports{}), set)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func BenchmarkFlow(b *testing.B) {
	for name, c := range map[string]struct{ first, second who }{
		"nothing is carried":  {who{subject: "ada", server: "lab", tool: "x"}, who{subject: "ada", server: "lab", tool: "x"}},
		"a task carries much": {who{subject: "ada", task: "t", server: "web", tool: "fetch"}, who{subject: "ada", task: "t", server: "lab", tool: "x"}},
		"fields":              {who{subject: "ada", server: "lab", tool: "x"}, who{subject: "ada", server: "crm", tool: "card", args: `{"customer":{"name":"x"},"limit":10}`}},
	} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, nil)
			w.store.slow = false
			w.call(c.first)
			g := w.chain.Members()[0].Guard
			x, _ := w.begin(c.second)
			args := c.second.args
			if args == "" {
				args = "{}"
			}
			ask, _ := decoder.Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+c.second.tool+`","arguments":`+args+`}}`))
			answer, _ := decoder.Decode(mcp.ToClient, []byte(`{"jsonrpc":"2.0","id":1,"result":`+said+`}`))
			for b.Loop() {
				y := &guard.Exchange{ID: "x", Server: x.Server, Principal: x.Principal}
				if _, err := g.Inspect(b.Context(), y, &ask); err != nil {
					b.Fatal(err)
				}
				y.Asked = x.Asked
				if _, err := g.Inspect(b.Context(), y, &answer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A server that never answers a call, and tells on the way what it should have
// answered, sheds no label by that.
func TestWhatIsToldOnTheWayToAResultIsLabelledLikeTheResult(t *testing.T) {
	for name, c := range map[string]struct {
		server, tool, message string
		want                  []string
	}{
		"a page told as progress":          {"web", "fetch", `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"message":"Dear agent"}}`, []string{"untrusted"}},
		"a page told as a log":             {"web", "fetch", `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"Dear agent"}}`, []string{"untrusted"}},
		"a page asked as a question":       {"web", "fetch", `{"jsonrpc":"2.0","id":9,"method":"elicitation/create","params":{"message":"Dear agent","requestedSchema":{"type":"object","properties":{}}}}`, []string{"untrusted"}},
		"a page put into the client's LLM": {"web", "fetch", `{"jsonrpc":"2.0","id":9,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":5}}`, []string{"untrusted"}},
		"progress of what brings nothing":  {"web", "post", `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`, nil},
		"a record told as progress":        {"crm", "get", `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"message":"Ada owes 5"}}`, []string{"confidential"}},
		"a field in a log":                 {"crm", "card", `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":{"customer":{"ssn":"1"}}}}`, []string{"restricted"}},
		"a field in progress":              {"crm", "card", `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"message":"{\"customer\":{\"ssn\":\"1\"}}"}}`, []string{"restricted"}},
		"progress without the field":       {"crm", "card", `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"message":"50 %"}}`, nil},
	} {
		w := newWorld(t, nil)
		ada := who{subject: "ada", client: "agent", server: c.server, tool: c.tool}
		x, _ := w.begin(ada)
		w.brings(t, name, x, c.message, c.want)
	}
}

// brings holds what ada's next call carries, after a message to the client, against want.
func (w *world) brings(t *testing.T, name string, x *guard.Exchange, message string, want []string) {
	t.Helper()
	m, f := decoder.Decode(mcp.ToClient, []byte(message))
	if f != nil {
		t.Fatal(name, f)
	}
	if d := w.chain.Run(t.Context(), x, &m); d.Action != guard.Allow {
		t.Errorf("%s: %+v", name, d)
	}
	next, _ := w.begin(who{subject: "ada", client: "agent", server: "lab", tool: "x"})
	carried := guard.CarriedBy(next.Labels())
	if got := carried.Labels(); !slices.Equal(got, want) {
		t.Errorf("%s: the next call carries %v, want %v", name, got, want)
	}
}

// Of a stream of its own nobody knows which call it tells of.
func TestAStreamOfAServerWithToolsThatBringSomethingInIsUntrusted(t *testing.T) {
	w := newWorld(t, nil)
	x := &guard.Exchange{ID: "s", Server: servers["web"], Revision: mcp.R20250618, Principal: guard.Principal{Subject: "ada", Issuer: "i", Client: "agent"}}
	m, _ := decoder.Decode(mcp.ToClient, []byte(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"Dear agent"}}`))
	w.chain.Run(t.Context(), x, &m)
	next, _ := w.begin(who{subject: "ada", client: "agent", server: "lab", tool: "x"})
	w.is(guard.CarriedBy(next.Labels()), "untrusted")
}

// Who breaks off a call's stream and resumes it gets the answer without the name
// of the tool, and no fewer labels.
func TestAResumedAnswerIsUntrustedWhicheverToolOfTheServerIs(t *testing.T) {
	for name, c := range map[string]struct {
		from string
		want []string
	}{"a tool's pattern": {"lab/read_*", []string{"untrusted"}}, "another server's": {"web/read_*", nil}} {
		w := newWorld(t, func(f *flow.Config) { f.Untrusted.From = []string{c.from} })
		for _, message := range []string{
			`{"jsonrpc":"2.0","id":1,"result":` + said + `}`,
			`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"Dear agent"}}`,
		} {
			x := &guard.Exchange{ID: "s", Server: servers["lab"], Revision: mcp.R20250618, Principal: guard.Principal{Subject: message, Issuer: "i", Client: "agent"}}
			m, _ := decoder.Decode(mcp.ToClient, []byte(message))
			w.chain.Run(t.Context(), x, &m)
			next, _ := w.begin(who{subject: message, client: "agent", server: "crm", tool: "get"})
			carried := guard.CarriedBy(next.Labels())
			if got := carried.Labels(); !slices.Equal(got, c.want) {
				t.Errorf("%s: %s: the next call carries %v", name, message, got)
			}
		}
	}
}

// What a tool gave can be told where no call is known, and in the words of a task or of a failure.
func TestNoWayRoundAResultIsLessSensitiveThanIt(t *testing.T) {
	const task = `{"taskId":"T","status":"cancelled","statusMessage":"stopped at Ada, who owes 5","createdAt":"2026-11-01T12:00:00Z","lastUpdatedAt":"2026-11-01T12:00:00Z","ttl":null}`
	for name, c := range map[string]struct {
		asked, message string
		want           []string
	}{
		"a log on a stream of the server's own": {mcp.MethodListen, `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"Ada owes 5"}}`, []string{"restricted"}},
		"progress there":                        {mcp.MethodListen, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"message":"Ada owes 5"}}`, []string{"restricted"}},
		"a question there":                      {mcp.MethodListen, `{"jsonrpc":"2.0","id":9,"method":"elicitation/create","params":{"message":"Ada owes 5","requestedSchema":{"type":"object","properties":{}}}}`, []string{"restricted"}},
		"a task that is cancelled":              {"tasks/cancel", `{"jsonrpc":"2.0","id":1,"result":` + task + `}`, []string{"restricted"}},
		"the list of tasks":                     {"tasks/list", `{"jsonrpc":"2.0","id":1,"result":{"tasks":[` + task + `]}}`, []string{"restricted"}},
		"a task that is not cancelled":          {"tasks/cancel", `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"it is over: Ada owes 5"}}`, []string{"restricted"}},
		"a ping that is answered":               {"ping", `{"jsonrpc":"2.0","id":1,"result":{}}`, nil},
	} {
		w := newWorld(t, nil)
		x := &guard.Exchange{ID: "s", Server: servers["crm"], Revision: mcp.R20251125, Principal: guard.Principal{Subject: "ada", Issuer: "i", Client: "agent"}}
		x.Asked = guard.Asked{Kind: mcp.Request, ID: []byte("1"), Method: c.asked}
		if c.asked == mcp.MethodListen {
			x.Asked.Kind = mcp.Transport
		}
		w.brings(t, name, x, c.message, c.want)
	}
}

// A server that ignores case does what the registry says of the tool, and its
// fields are what they are.
func TestAToolsNameInAnotherCaseHidesNoField(t *testing.T) {
	w := newWorld(t, nil)
	x, d := w.begin(who{subject: "ada", server: "crm", tool: "CARD", args: `{"customer":{"ssn":"1"}}`})
	if !slices.Contains(x.Labels(), guard.OfArguments+"restricted") {
		t.Errorf("arguments: %v %+v", x.Labels(), d)
	}
	w.reply(x, `{"content":[],"structuredContent":{"customer":{"ssn":"1"}}}`)
	if !slices.Contains(x.Labels(), "restricted") {
		t.Errorf("result: %v", x.Labels())
	}
}
