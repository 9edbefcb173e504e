package guard_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

func TestOneGuardDecides(t *testing.T) {
	down := errors.New("store is down")
	declared := guard.Refuse(no, "because")
	tests := []struct {
		name    string
		guard   inspect
		mode    guard.Mode
		onError guard.Action
		await   bool // the host gives up on pending verdicts
		action  guard.Action
		reason  guard.Reason
		journal guard.Action // what the journal says the guard said
	}{
		{name: "an allow passes", guard: pass, action: guard.Allow, journal: guard.Allow},
		{name: "a declared no refuses", guard: says(declared), reason: no},
		{name: "a core reason refuses", guard: says(guard.Refuse(guard.TooLarge, "")), reason: guard.TooLarge},
		{name: "the zero verdict refuses", guard: says(guard.Verdict{}), reason: guard.GuardError},
		{name: "a reason that nobody declared is a defect", guard: says(guard.Refuse("made_up", "")), reason: guard.GuardError},
		{name: "an undeclared reason refuses even where errors are excused, because it was meant as a no", guard: says(guard.Refuse("made_up", "")), onError: guard.Allow, reason: guard.GuardError},
		{name: "an action that does not exist refuses", guard: says(guard.Verdict{Action: 7}), onError: guard.Allow, reason: guard.GuardError},
		{name: "a hold with a ticket refuses for now", guard: says(guard.Verdict{Action: guard.Hold, Reason: no, Ticket: &guard.Ticket{ID: "t"}}), action: guard.Hold, reason: no, journal: guard.Hold},
		{name: "a hold without a ticket is a defect", guard: says(guard.Verdict{Action: guard.Hold, Reason: no}), reason: guard.GuardError},
		{name: "a hold whose ticket has no id is a defect", guard: says(guard.Verdict{Action: guard.Hold, Reason: no, Ticket: &guard.Ticket{}}), reason: guard.GuardError},
		{name: "an allow with a ticket is a defect", guard: says(guard.Verdict{Action: guard.Allow, Ticket: &guard.Ticket{ID: "t"}}), reason: guard.GuardError},
		{name: "a denying guard cannot edit", guard: says(guard.Verdict{Reason: no, Edits: []mcp.Edit{{}}}), reason: guard.GuardError},
		{name: "an error refuses by default", guard: fails(down), reason: guard.GuardError},
		{name: "an error passes where the operator excused it", guard: fails(down), onError: guard.Allow, action: guard.Allow, journal: guard.Allow},
		{name: "an error is named a deadline when it is one", guard: fails(fmt.Errorf("redis: %w", context.DeadlineExceeded)), reason: guard.DeadlineExceeded},
		{name: "a panic refuses", guard: panics, reason: guard.GuardError},
		{name: "a panic that a message can provoke refuses even where errors are excused", guard: panics, onError: guard.Allow, reason: guard.GuardError},
		{name: "a pending verdict counts", guard: pending(declared, nil), reason: no},
		{name: "what stands beside a pending verdict is ignored", guard: pending(guard.Pass(), nil), action: guard.Allow, journal: guard.Allow},
		{name: "a pending error refuses", guard: pending(guard.Pass(), down), reason: guard.GuardError},
		{name: "a pending panic refuses", guard: pendingPanic, onError: guard.Allow, reason: guard.GuardError},
		{name: "a pending verdict cannot be pending again", guard: pending(pendingVerdict(guard.Pass(), nil), nil), onError: guard.Allow, reason: guard.GuardError},
		{name: "a guard that ignores its deadline is given up", guard: pending(guard.Pass(), nil), await: true, reason: guard.DeadlineExceeded},
		{name: "a guard that ignores its deadline is excused where the operator says so", guard: pending(guard.Pass(), nil), await: true, onError: guard.Allow, action: guard.Allow, journal: guard.Allow},
		{name: "a shadowed no passes and is journaled", guard: says(declared), mode: guard.Shadow, action: guard.Allow},
		{name: "a shadowed error passes and is journaled", guard: fails(down), mode: guard.Shadow, action: guard.Allow},
		{name: "a shadowed panic passes and is journaled", guard: panics, mode: guard.Shadow, action: guard.Allow},
		{name: "a shadowed hold passes", guard: says(guard.Verdict{Action: guard.Hold, Reason: no, Ticket: &guard.Ticket{ID: "t"}}), mode: guard.Shadow, action: guard.Allow, journal: guard.Hold},
		{name: "a guard that is off is not asked", guard: panics, mode: guard.Off, action: guard.Allow},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := &observer{}
			h := host(o)
			if tt.await {
				h.Await = impatient
			}
			g := member("g", tt.guard)
			g.Mode, g.OnError = tt.mode, tt.onError
			d := chain(t, h, g).Run(context.Background(), asking(t), call(t))
			if d.Action != tt.action || d.Reason != tt.reason {
				t.Errorf("got %v %q (%s), want %v %q", d.Action, d.Reason, d.Detail, tt.action, tt.reason)
			}
			if d.Action == guard.Allow && (len(d.Obligations) > 0 || d.Edited || d.Ticket != nil || d.Guard != "") {
				t.Errorf("an allow carries %+v", d)
			}
			if d.Action != guard.Allow && d.Guard != "g" {
				t.Errorf("refused by %q", d.Guard)
			}
			if len(o.seen) != 1 || o.seen[0].Action != d.Action || o.seen[0].Reason != d.Reason {
				t.Errorf("observed %+v", o.seen)
			}
			if tt.mode == guard.Off {
				if len(d.Journal) != 0 {
					t.Errorf("journal of a guard that is off: %+v", d.Journal)
				}
				return
			}
			if len(d.Journal) != 1 || d.Journal[0].Action != tt.journal || d.Journal[0].Mode != tt.mode {
				t.Errorf("journal %+v, want one entry that says %v", d.Journal, tt.journal)
			}
		})
	}
}

func pendingVerdict(v guard.Verdict, err error) guard.Verdict {
	return guard.Verdict{Reason: no, Pending: func(context.Context) (guard.Verdict, error) { return v, err }}
}

func pending(v guard.Verdict, err error) inspect { return says(pendingVerdict(v, err)) }

func pendingPanic(*guard.Exchange, *mcp.Message) (guard.Verdict, error) {
	return guard.Verdict{Pending: func(context.Context) (guard.Verdict, error) { panic("late") }}, nil
}

func TestTheZeroDecisionRefuses(t *testing.T) {
	c := chain(t, host())
	var d guard.Decision
	if r := c.Refusal(asking(t), &d); d.Action == guard.Allow || r.Status < 400 {
		t.Errorf("the zero decision is %v and reads %+v", d.Action, r)
	}
}

func TestGuardsAreAskedInOrderAndTheFirstNoEnds(t *testing.T) {
	var asked []string
	note := func(name string, v guard.Verdict) guard.Member {
		return member(name, inspect(func(*guard.Exchange, *mcp.Message) (guard.Verdict, error) {
			asked = append(asked, name)
			return v, nil
		}))
	}
	c := chain(t, host(), note("a", guard.Pass()), note("b", guard.Pass()), note("c", guard.Refuse(no, "")), note("d", guard.Pass()))
	for _, tt := range []struct {
		name, want string
		m          *mcp.Message
	}{
		{"to the server from first to last", "a b c", call(t)},
		{"to the client from last to first", "d c", message(t, mcp.ToClient, `{"jsonrpc":"2.0","id":7,"result":{}}`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked = nil
			d := c.Run(context.Background(), asking(t), tt.m)
			if got := strings.Join(asked, " "); got != tt.want || d.Guard != "c" {
				t.Errorf("asked %q and refused by %q, want %q", got, d.Guard, tt.want)
			}
			var journal []string
			for _, e := range d.Journal {
				journal = append(journal, e.Guard)
				if e.Took <= 0 {
					t.Errorf("%s took no time", e.Guard)
				}
			}
			if got := strings.Join(journal, " "); got != tt.want {
				t.Errorf("journal %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAGuardSeesWhatItWants(t *testing.T) {
	reply := `{"jsonrpc":"2.0","id":7,"result":{}}`
	listening := guard.Asked{Kind: mcp.Transport, Method: mcp.MethodListen}
	tests := []struct {
		name  string
		want  guard.Want
		asked guard.Asked
		dir   mcp.Direction
		text  string
		seen  bool
	}{
		{"its method", guard.Want{Method: "tools/call"}, guard.Asked{}, mcp.ToServer, callText, true},
		{"no other method", guard.Want{Method: "tools/list"}, guard.Asked{}, mcp.ToServer, callText, false},
		{"no other direction", guard.Want{Method: "tools/call", Direction: mcp.ToClient}, guard.Asked{}, mcp.ToServer, callText, false},
		{"a prefix", guard.Want{Method: "tools/*"}, guard.Asked{}, mcp.ToServer, callText, true},
		{"no prefix of a prefix", guard.Want{Method: "tools"}, guard.Asked{}, mcp.ToServer, callText, false},
		{"an extension method by prefix", guard.Want{Method: "acme/*"}, guard.Asked{}, mcp.ToServer, `{"jsonrpc":"2.0","id":1,"method":"acme/x"}`, true},
		{"the reply to its method", guard.Want{Method: "tools/call", Direction: mcp.ToClient}, guard.Asked{Kind: mcp.Request, Method: "tools/call"}, mcp.ToClient, reply, true},
		{"no reply to another method", guard.Want{Method: "tools/call", Direction: mcp.ToClient}, guard.Asked{Kind: mcp.Request, Method: "tools/list"}, mcp.ToClient, reply, false},
		{"a result that a client fetches by resuming its stream", guard.Want{Method: "tools/call", Direction: mcp.ToClient}, listening, mcp.ToClient, reply, true},
		{"an error that answers a notification", guard.Want{Method: "tools/call", Direction: mcp.ToClient}, guard.Asked{Kind: mcp.Notification, Method: "notifications/cancelled"}, mcp.ToClient, `{"jsonrpc":"2.0","error":{"code":1,"message":"x"}}`, true},
		{"a request of the server while a call runs", guard.Want{Method: "sampling/createMessage", Direction: mcp.ToClient}, guard.Asked{Kind: mcp.Request, Method: "tools/call"}, mcp.ToClient, `{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}`, true},
		{"a client's answer", guard.Want{Method: guard.TopicResponse}, guard.Asked{}, mcp.ToServer, reply, true},
		{"no client's answer unless it says so", guard.Want{Method: "tools/call"}, guard.Asked{}, mcp.ToServer, reply, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := member("g", inspect(pass))
			g.Spec.Wants = []guard.Want{tt.want}
			c := chain(t, host(), g)
			d := c.Run(context.Background(), &guard.Exchange{Asked: tt.asked}, message(t, tt.dir, tt.text))
			if got := len(d.Journal) == 1; got != tt.seen || d.Action != guard.Allow {
				t.Errorf("asked: %v, want %v", got, tt.seen)
			}
			if !c.Wants(tt.want.Direction) || c.Wants(1-tt.want.Direction) {
				t.Error("the chain wants other directions than its guard")
			}
		})
	}
}

func TestAnObserverThatFailsTurnsAllowIntoARefusal(t *testing.T) {
	for name, broken := range map[string]*observer{
		"by an error": {err: errors.New("disk full")},
		"by a panic":  {do: func() { panic("observer") }},
	} {
		t.Run(name, func(t *testing.T) {
			after := &observer{}
			duty := guard.Verdict{Action: guard.Allow, Obligations: []guard.Obligation{{Kind: guard.SetHeader, Name: "authorization", Value: "Bearer s3cret"}}}
			c := chain(t, host(broken, after), member("g", says(duty)))
			d := c.Run(context.Background(), asking(t), call(t))
			if d.Action != guard.Deny || d.Reason != guard.ReceiptUnavailable || d.Obligations != nil {
				t.Errorf("got %+v", d)
			}
			if len(after.seen) != 1 || after.seen[0].Reason != guard.ReceiptUnavailable {
				t.Errorf("the next observer saw %+v", after.seen)
			}
			if r := c.Refusal(asking(t), &d); r.Status != 503 || strings.Contains(string(r.Body), "disk") {
				t.Errorf("the client gets %d %s", r.Status, r.Body)
			}
			// A refusal stays what it is.
			c = chain(t, host(broken), member("g", says(guard.Refuse(no, ""))))
			if d := c.Run(context.Background(), asking(t), call(t)); d.Reason != no {
				t.Errorf("a refusal became %q", d.Reason)
			}
		})
	}
}

func TestEveryDecisionIsObservedOnce(t *testing.T) {
	ctx := context.Background()
	refuse := full{inspect: pass, admit: func(*guard.Exchange) (guard.Verdict, error) { return guard.Refuse(no, ""), nil }, settle: func(*guard.Exchange, guard.Outcome) {}}
	for _, tt := range []struct {
		name string
		want int
		do   func(c *guard.Chain)
	}{
		{"a message", 1, func(c *guard.Chain) { c.Run(ctx, asking(t), call(t)) }},
		{"what does not decode", 1, func(c *guard.Chain) {
			c.Reject(ctx, asking(t), nil, mcp.ToServer, &mcp.Fault{Reason: mcp.ReasonMalformed})
		}},
		{"a refused admission", 1, func(c *guard.Chain) { c.Admit(ctx, asking(t)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &observer{}
			tt.do(chain(t, host(o), member("g", refuse)))
			if len(o.seen) != tt.want {
				t.Errorf("observed %d times", len(o.seen))
			}
		})
	}
}

// A proxy that waited for too long has answered in the gateway's place, and what it
// gets to hear afterwards it drops.
func TestWhatNobodyWaitsForDoesNotCountAsLetGo(t *testing.T) {
	for text, want := range map[string]guard.Action{callText: guard.Deny, `{"jsonrpc":"2.0","id":7,"result":{}}`: guard.Allow} {
		ctx, cancel := context.WithCancel(context.Background())
		o, m := &observer{}, message(t, mcp.ToServer, text)
		if want == guard.Allow {
			m = message(t, mcp.ToClient, text)
		}
		slow := inspect(func(*guard.Exchange, *mcp.Message) (guard.Verdict, error) {
			cancel()
			return guard.Pass(), nil
		})
		d := chain(t, host(o), member("slow", slow)).Run(ctx, asking(t), m)
		if d.Action != want || o.seen[0].Action != want || want == guard.Deny && d.Reason != guard.DeadlineExceeded {
			t.Errorf("%s: %v %s, observed %v", text, d.Action, d.Reason, o.seen[0].Action)
		}
	}
}
