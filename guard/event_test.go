package guard_test

import (
	"context"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

func speaks(action guard.Action, o ...guard.Obligation) inspect {
	v := guard.Verdict{Action: action, Obligations: o}
	if action != guard.Allow {
		v.Reason = no
	}
	return says(v)
}

func informing(name string, g guard.Guard) guard.Member {
	m := member(name, g)
	m.Spec.Informs = true
	return m
}

// What a guard saw stays true when a later one refuses; what it allowed under a
// duty does not.
func TestEventsAndReplyHeadersOutliveALaterRefusal(t *testing.T) {
	first := informing("first", speaks(guard.Allow,
		guard.Obligation{Kind: guard.Raise, Name: "spike", Value: "7 times the usual"},
		guard.Obligation{Kind: guard.ResponseHeader, Name: "ratelimit", Value: `"a";r=3`},
		guard.Obligation{Kind: guard.SetHeader, Name: "x-user", Value: "ada"}))
	second := informing("second", speaks(guard.Deny,
		guard.Obligation{Kind: guard.Raise, Name: "overrun"},
		guard.Obligation{Kind: guard.ResponseHeader, Name: "ratelimit", Value: `"a";r=0`}))
	x, watch := asking(t), &observer{}
	h := host()
	h.Observers = []guard.Observer{watch}
	c := chain(t, h, first, second)
	d := c.Run(context.Background(), x, call(t))
	want := []guard.Event{{Guard: "first", Kind: "spike", Detail: "7 times the usual"}, {Guard: "second", Kind: "overrun"}}
	if d.Action != guard.Deny || !slices.Equal(d.Events, want) || !slices.Equal(watch.seen[0].Events, want) {
		t.Errorf("got %v with %v", d.Action, d.Events)
	}
	if r := c.Refusal(x, &d); !slices.Equal(r.Fields, []guard.Field{{Name: "ratelimit", Value: `"a";r=0`}}) {
		t.Errorf("fields of the refusal: %v", r.Fields)
	}
	for _, o := range d.Obligations {
		if o.Kind == guard.SetHeader {
			t.Errorf("a void duty is still there: %v", o)
		}
	}
}

func TestEventsOfTheAdmissionComeWithTheFirstMessage(t *testing.T) {
	g := full{inspect: pass, settle: func(*guard.Exchange, guard.Outcome) {}, admit: func(*guard.Exchange) (guard.Verdict, error) {
		return guard.Verdict{Action: guard.Allow, Obligations: []guard.Obligation{{Kind: guard.Raise, Name: "seen"}}}, nil
	}}
	x, c := asking(t), chain(t, host(), member("g", g))
	if d := c.Admit(context.Background(), x); d.Action != guard.Allow {
		t.Fatalf("got %v", d)
	}
	for i, want := range []int{1, 0} {
		if d := c.Run(context.Background(), x, call(t)); len(d.Events) != want {
			t.Errorf("message %d has events %v", i+1, d.Events)
		}
	}
}

func TestAShadowedGuardRaisesNothing(t *testing.T) {
	m := informing("g", speaks(guard.Allow, guard.Obligation{Kind: guard.Raise, Name: "seen"}, guard.Obligation{Kind: guard.ResponseHeader, Name: "ratelimit", Value: "1"}))
	m.Mode = guard.Shadow
	x := asking(t)
	if d := chain(t, host(), m).Run(context.Background(), x, call(t)); len(d.Events) != 0 || len(x.ReplyFields()) != 0 {
		t.Errorf("got %v, %v", d.Events, x.ReplyFields())
	}
}

func TestReplyHeadersThatAGuardMayNotSet(t *testing.T) {
	for name, o := range map[string]guard.Obligation{
		"a header that frames the reply": {Kind: guard.ResponseHeader, Name: "content-length", Value: "3"},
		"a header that sets a cookie":    {Kind: guard.ResponseHeader, Name: "set-cookie", Value: "a=b"},
		"a second header in the value":   {Kind: guard.ResponseHeader, Name: "ratelimit", Value: "1\r\nset-cookie: a=b"},
		"an empty value":                 {Kind: guard.ResponseHeader, Name: "ratelimit"},
		"an event kind with a newline":   {Kind: guard.Raise, Name: "a\nb"},
		"an event without a kind":        {Kind: guard.Raise},
	} {
		x := asking(t)
		if d := chain(t, host(), informing("g", speaks(guard.Allow, o))).Run(context.Background(), x, call(t)); d.Reason != guard.GuardError || len(x.ReplyFields()) != 0 {
			t.Errorf("%s: got %v, %v", name, d, x.ReplyFields())
		}
	}
	o := guard.Obligation{Kind: guard.ResponseHeader, Name: "ratelimit", Value: "1"}
	if d := chain(t, host(), member("g", speaks(guard.Allow, o))).Run(context.Background(), asking(t), call(t)); d.Reason != guard.GuardError {
		t.Errorf("a guard that does not say it informs: %v", d)
	}
	reply := mcp.Message{Direction: mcp.ToClient, Kind: mcp.Response}
	if d := chain(t, host(), informing("g", speaks(guard.Allow, o))).Run(context.Background(), asking(t), &reply); d.Reason != guard.GuardError {
		t.Errorf("after the reply has begun: %v", d)
	}
}

func TestOnlyAChainWithAGuardThatInformsNeedsReplies(t *testing.T) {
	if chain(t, host(), member("g", inspect(pass))).Informs() || !chain(t, host(), informing("g", inspect(pass))).Informs() {
		t.Error("wrong way round")
	}
}

func TestToolsThatNobodyDescribedAreUnknown(t *testing.T) {
	s := guard.Server{Tools: map[string]guard.Tool{"read": {ReadOnly: true}}}
	if _, known := s.Tool("drop"); known {
		t.Error("known")
	}
	s.Tools["*"] = guard.Tool{Risk: "high"}
	if tool, known := s.Tool("drop"); !known || tool.Risk != "high" {
		t.Errorf("got %v", tool)
	}
	if tool, _ := s.Tool("read"); !tool.ReadOnly {
		t.Error("the tool's own entry does not come first")
	}
}
