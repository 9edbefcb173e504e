package escalation_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/escalation"
	"github.com/sallyport/sallyport/mcp"
)

// send has a client of a server with these tools send a message.
func send(t testing.TB, g guard.Guard, facts map[string]guard.Tool, raw string, labels ...string) guard.Decision {
	t.Helper()
	m, f := decoder.Decode(mcp.ToServer, []byte(raw))
	if f != nil {
		t.Fatalf("%s: %v", raw, f)
	}
	first := guard.Member{Spec: guard.Spec{Name: "labels", Wants: []guard.Want{{Method: "*"}}}, Guard: labelling(labels), Timeout: time.Second}
	spec := escalation.Spec(escalation.Ports{})
	c, err := guard.New(guard.Host{Now: time.Now, Decoder: decoder, Await: now}, first, guard.Member{Spec: spec, Guard: g, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	x := &guard.Exchange{ID: "x", Server: guard.Server{Name: "bank", Tools: facts}, Principal: guard.Principal{Subject: "ana"}}
	return c.Run(t.Context(), x, &m)
}

const (
	consent = `{"action":"accept","content":{"confirm":true,"amount":"5000","to":"DE89370400440532013000"}}`
	reply   = `{"jsonrpc":"2.0","id":"elicit-1","result":`
)

// again is a request of the modern era that is sent again with an answer.
func again(method, target, answer string) string {
	return `{"jsonrpc":"2.0","id":2,"method":"` + method + `","params":{` + target + `,"inputResponses":{"k":` + answer + `},"requestState":"s"}}`
}

// A server whose payments need approval has a tool that only reads ask for amount,
// account and consent, and pays with what it is told.
func TestAServerDoesNotGetByAskingWhatTheHeldCallWouldHaveBrought(t *testing.T) {
	g := build(t, guide, nil)
	if d := judge(t, g, "pay", `,"arguments":{"amount":"5000"}`); d.Action != guard.Hold {
		t.Fatal("the call itself is not held")
	}
	if d := judge(t, g, "balance", ""); d.Action != guard.Allow {
		t.Fatal("reading is held")
	}
	for name, raw := range map[string]string{
		"consent to an elicitation":                   reply + consent + `}`,
		"consent without content":                     reply + `{"action":"accept"}}`,
		"consent to a page that the server opens":     reply + `{"action":"accept","_meta":{}}}`,
		"an action that nobody knows":                 reply + `{"action":"Accept"}}`,
		"an action behind escapes":                    reply + `{"action":"\u0061ccept"}}`,
		"a no that brings data all the same":          reply + `{"action":"decline","content":{"card":"4111 1111 1111 1111"}}}`,
		"an answer without an action":                 reply + `{"content":{"confirm":true}}}`,
		"what a model writes for the server":          reply + `{"role":"assistant","model":"m","content":{"type":"text","text":"Yes, pay 5000."}}}`,
		"the late result of a task of the client":     reply + `{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}},"action":"accept","content":{}}}`,
		"a call that is sent again with consent":      again("tools/call", `"name":"balance"`, consent),
		"a name behind escapes":                       strings.Replace(again("tools/call", `"name":"balance"`, consent), "inputResponses", `\u0069nputResponses`, 1),
		"a prompt that is asked for again":            again("prompts/get", `"name":"brief"`, consent),
		"a resource that is read again":               again("resources/read", `"uri":"bank:1"`, consent),
		"an update of a task":                         again("tasks/update", `"taskId":"t"`, consent),
		"a list that is asked for again":              again("tools/list", `"cursor":"a"`, consent),
		"a completion that is asked for again":        again("completion/complete", `"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"b"}`, consent),
		"the state of a task that is asked for again": again("tasks/get", `"taskId":"t"`, consent),
		"a method of an extension":                    again("com.example/ask", `"x":1`, consent),
		"consent between refusals":                    strings.Replace(again("tools/call", `"name":"balance"`, consent), `{"k":`, `{"a":{"action":"decline"},"k":`, 1),
		"answers that are no object":                  strings.Replace(again("tools/call", `"name":"balance"`, consent), `{"k":`+consent+`}`, `[`+consent+`]`, 1),
		"an answer that is no object":                 again("tools/call", `"name":"balance"`, `"yes"`),
		"a modern answer in a request without a task": again("tasks/update", `"taskId":"t"`, `{"role":"assistant","content":[]}`),
	} {
		d := send(t, g, tools, raw)
		if d.Action != guard.Hold || d.Reason != guard.ApprovalRequired || d.Ticket == nil || !strings.HasPrefix(d.Hint, "A person has to approve this answer, because the server that asks can use it for what needs approval: it moves money") {
			t.Errorf("%s: %s %s %q", name, d.Action, d.Reason, d.Hint)
		}
		if strings.Contains(d.Hint, "pay") || !strings.Contains(d.Detail, "(tool pay)") {
			t.Errorf("%s: the tool that counts is for operators: %q, %q", name, d.Hint, d.Detail)
		}
	}
}

func TestAnAnswerThatGivesNothingIsNotHeld(t *testing.T) {
	g := build(t, guide, nil)
	for name, raw := range map[string]string{
		"no":                              reply + `{"action":"decline"}}`,
		"no, with what some clients add":  reply + `{"action":"cancel","content":null}}`,
		"no, with nothing filled in":      reply + `{"action":"decline","content":{ }}}`,
		"an answer to a ping":             reply + `{}}`,
		"the list of roots":               reply + `{"roots":[{"uri":"file:///home/ana"}]}}`,
		"that a task has begun":           reply + `{"task":{"taskId":"t","status":"working"}}}`,
		"the state of a task":             reply + `{"taskId":"t","status":"working","ttl":1,"createdAt":"x","lastUpdatedAt":"y"}}`,
		"an error":                        `{"jsonrpc":"2.0","id":"elicit-1","error":{"code":-1,"message":"The user is away."}}`,
		"a call without an answer":        `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"balance","arguments":{"inputResponses":{"k":{"action":"accept"}}}}}`,
		"a call that is sent again, no":   again("tools/call", `"name":"balance"`, `{"action":"decline"}`),
		"a call that is sent again, bare": `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"balance","requestState":"s"}}`,
		"a prompt":                        `{"jsonrpc":"2.0","id":2,"method":"prompts/get","params":{"name":"brief"}}`,
	} {
		if d := send(t, g, tools, raw); d.Action != guard.Allow || len(d.Events) != 0 {
			t.Errorf("%s: %s %s %v", name, d.Action, d.Detail, d.Events)
		}
	}
}

func TestWhatAnAnswerCountsAs(t *testing.T) {
	reading := map[string]guard.Tool{"read": {ReadOnly: true}, "balance": {ReadOnly: true, Financial: true}}
	apart := map[string]guard.Tool{"browse": {ReadOnly: true, External: true}, "note": {}} // none both writes and reaches out
	posts := map[string]guard.Tool{"read": {ReadOnly: true}, "post": {External: true}}
	for name, c := range map[string]struct {
		boundary escalation.Boundary
		set      func(*escalation.Config)
		facts    map[string]guard.Tool
		labels   []string
		want     string
	}{
		"tools that only read":                      {guide, nil, reading, nil, ""},
		"tools that together do what none does":     {guide, nil, apart, nil, ""},
		"a server of which nothing is described":    {guide, nil, nil, nil, "held"},
		"all others move money":                     {guide, nil, map[string]guard.Tool{"read": {ReadOnly: true}, "*": {Financial: true}}, nil, "held"},
		"a tool that writes outside":                {guide, nil, posts, nil, "watched"},
		"which has to be held":                      {guide, func(c *escalation.Config) { c.HumanInLoop = "hold" }, posts, nil, "held"},
		"a policy knows that it is about money":     {guide, nil, posts, []string{"financial"}, "held"},
		"a policy wants a person":                   {guide, nil, reading, []string{"escalate"}, "held"},
		"all writes need approval":                  {escalation.Boundary{ApprovalRequired: "all_writes"}, nil, apart, nil, "held"},
		"only doubt does, which answers cannot say": {escalation.Boundary{Threshold: guide.Threshold}, func(c *escalation.Config) { c.Undeclared = "escalate" }, tools, nil, ""},
		"who answers decides":                       {guide, func(c *escalation.Config) { c.Answers = "watch" }, tools, nil, "watched"},
		"answers are left alone":                    {guide, func(c *escalation.Config) { c.Answers = "allow" }, tools, nil, ""},
	} {
		d := send(t, build(t, c.boundary, c.set), c.facts, reply+consent+`}`, c.labels...)
		got := ""
		switch {
		case d.Action == guard.Hold && len(d.Events) == 1 && d.Events[0].Kind == "approval_required":
			got = "held"
		case d.Action == guard.Allow && len(d.Events) == 1 && d.Events[0].Kind == "human_in_loop":
			got = "watched"
		case d.Action != guard.Allow || len(d.Events) != 0:
			got = d.Action.String() + " " + d.Detail
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q; %s %v", name, got, c.want, d.Detail, d.Events)
		}
	}
}

// What is approved is this answer to this question, and no other.
func TestATicketIsForOneAnswer(t *testing.T) {
	g := build(t, guide, nil)
	seen := make(map[string]string)
	for _, raw := range []string{
		reply + consent + `}`,
		reply + strings.Replace(consent, "5000", "50000", 1) + `}`,
		strings.Replace(reply, "elicit-1", "elicit-2", 1) + consent + `}`,
		again("tools/call", `"name":"balance"`, consent),
		again("tools/call", `"name":"balance"`, strings.Replace(consent, "5000", "50000", 1)),
		strings.Replace(again("tools/call", `"name":"balance"`, consent), `"requestState":"s"`, `"requestState":"t"`, 1),
	} {
		d, twice := send(t, g, tools, raw), send(t, g, tools, raw)
		if d.Ticket == nil || twice.Ticket == nil || d.Ticket.ID != twice.Ticket.ID {
			t.Fatalf("%s: %v, %v", raw, d.Ticket, twice.Ticket)
		}
		if other, ok := seen[d.Ticket.ID]; ok {
			t.Errorf("one ticket for\n%s\n%s", other, raw)
		}
		seen[d.Ticket.ID] = raw
	}
}
