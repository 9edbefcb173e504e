package guard_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

func TestAdmissionDecidesFromHeadersAlone(t *testing.T) {
	v := guard.Pass()
	var verr error
	g := full{inspect: pass, settle: func(*guard.Exchange, guard.Outcome) {}}
	for _, tt := range []struct {
		name   string
		admit  func(*guard.Exchange) (guard.Verdict, error)
		action guard.Action
		reason guard.Reason
	}{
		{"a pass admits", func(*guard.Exchange) (guard.Verdict, error) { return v, verr }, guard.Allow, ""},
		{"a no refuses", func(*guard.Exchange) (guard.Verdict, error) { return guard.Refuse(no, ""), nil }, guard.Deny, no},
		{"an error refuses", func(*guard.Exchange) (guard.Verdict, error) { return v, errors.New("down") }, guard.Deny, guard.GuardError},
		{"a panic refuses", func(*guard.Exchange) (guard.Verdict, error) { panic("header") }, guard.Deny, guard.GuardError},
		{"there is nothing to edit", func(*guard.Exchange) (guard.Verdict, error) {
			return guard.Verdict{Action: guard.Allow, Edits: []mcp.Edit{mcp.RemoveMember("/params")}}, nil
		}, guard.Deny, guard.GuardError},
		{"there is nothing to give a header to", func(*guard.Exchange) (guard.Verdict, error) {
			return guard.Verdict{Action: guard.Allow, Obligations: []guard.Obligation{{Kind: guard.SetHeader, Name: "x", Value: "y"}}}, nil
		}, guard.Deny, guard.GuardError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &observer{}
			g.admit = tt.admit
			d := chain(t, host(o), member("g", g)).Admit(context.Background(), &guard.Exchange{})
			if d.Action != tt.action || d.Reason != tt.reason {
				t.Errorf("got %v %q: %s", d.Action, d.Reason, d.Detail)
			}
			if observed := len(o.seen) == 1; observed != (tt.action != guard.Allow) {
				t.Errorf("observed %d times", len(o.seen))
			}
		})
	}
}

func TestTheJournalOfTheAdmissionIsKept(t *testing.T) {
	shadow := member("shadow", full{inspect: pass, settle: func(*guard.Exchange, guard.Outcome) {},
		admit: func(*guard.Exchange) (guard.Verdict, error) { return guard.Refuse(no, "foreign page"), nil }})
	shadow.Mode = guard.Shadow
	journal := func(d guard.Decision) string {
		var out []string
		for _, e := range d.Journal {
			out = append(out, e.Guard+" "+e.Action.String())
		}
		return strings.Join(out, ", ")
	}
	c := chain(t, host(), shadow, member("b", inspect(pass)))
	ctx, x := context.Background(), asking(t)
	if d := c.Admit(ctx, x); d.Action != guard.Allow {
		t.Fatal(d)
	}
	if got := journal(c.Run(ctx, x, call(t))); got != "shadow deny, shadow allow, b allow" {
		t.Errorf("first message: %s", got)
	}
	if got := journal(c.Run(ctx, x, message(t, mcp.ToClient, `{"jsonrpc":"2.0","id":7,"result":{}}`))); got != "b allow, shadow allow" {
		t.Errorf("second message: %s", got)
	}
	x = asking(t)
	c.Admit(ctx, x)
	if got := journal(c.Reject(ctx, x, nil, mcp.ToServer, &mcp.Fault{Reason: mcp.ReasonMalformed})); got != "shadow deny" {
		t.Errorf("parse failure: %s", got)
	}
}

func TestSettleReachesEveryGuardOnceInReverse(t *testing.T) {
	var settled []string
	settler := func(name string, mode guard.Mode, breaks bool) guard.Member {
		m := member(name, full{inspect: says(guard.Refuse(no, "")),
			admit: func(*guard.Exchange) (guard.Verdict, error) { return guard.Pass(), nil },
			settle: func(_ *guard.Exchange, o guard.Outcome) {
				settled = append(settled, name+" "+o.Ending.String())
				if breaks {
					panic("settle")
				}
			}})
		m.Mode = mode
		return m
	}
	c := chain(t, host(), settler("a", guard.Enforce, false), settler("b", guard.Shadow, true), settler("off", guard.Off, false), settler("c", guard.Enforce, false))
	for _, ending := range []guard.Ending{guard.Completed, guard.Refused, guard.Reset, guard.TimedOut, guard.Broken} {
		for _, asked := range []bool{true, false} {
			settled = nil
			x := asking(t)
			if asked {
				c.Admit(context.Background(), x)
				c.Run(context.Background(), x, call(t))
			}
			err := c.Settle(context.Background(), x, guard.Outcome{Ending: ending})
			if err2 := c.Settle(context.Background(), x, guard.Outcome{Ending: guard.Completed}); err2 != nil {
				t.Errorf("a second settle says %v", err2)
			}
			e := " " + ending.String()
			if want := []string{"c" + e, "b" + e, "a" + e}; !slices.Equal(settled, want) {
				t.Errorf("settled %q, want %q", settled, want)
			}
			var broken *guard.Defect
			if !errors.As(err, &broken) || broken.Guard != "b" || len(broken.Stack) == 0 {
				t.Errorf("the panic of b is reported as %v", err)
			}
		}
	}
}

func TestSlotsArePrivateToGuardAndExchange(t *testing.T) {
	a, b := guard.NewSlot[int](), guard.NewSlot[int]()
	x, y := &guard.Exchange{}, &guard.Exchange{}
	if _, ok := a.Get(x); ok {
		t.Error("an empty slot holds something")
	}
	a.Set(x, 1)
	b.Set(x, 2)
	a.Set(x, 3)
	if v, ok := a.Get(x); !ok || v != 3 {
		t.Errorf("a holds %d", v)
	}
	if v, ok := b.Get(x); !ok || v != 2 {
		t.Errorf("b holds %d", v)
	}
	if _, ok := a.Get(y); ok {
		t.Error("an exchange sees the slot of another")
	}
}

func TestNamesOfModesAndEndingsNeverPanic(t *testing.T) {
	if guard.Mode(99).String() != "unknown" || guard.Ending(99).String() != "unknown" || guard.Action(99).String() != "deny" {
		t.Error("a value out of range has a name")
	}
}

// A fact of the registry must not be escaped by spelling: some servers take
// Delete_User for delete_user.
func TestFactsHoldInEveryCase(t *testing.T) {
	s := guard.Server{
		Tools:  map[string]guard.Tool{"delete_user": {Sensitive: true}, "list": {ReadOnly: true}, "LIST": {}, "*": {Risk: "low"}},
		Prices: map[string]guard.Price{"search": {Call: 7}},
	}
	for name, want := range map[string]guard.Tool{
		"delete_user": {Sensitive: true}, "Delete_User": {Sensitive: true}, "other": {Risk: "low"}, "list": {ReadOnly: true}, "LIST": {}, "List": {},
	} {
		if got, known := s.Tool(name); !known || got != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if p, known := s.Price("Search"); !known || p.Call != 7 {
		t.Errorf("%+v", p)
	}
	if _, known := s.Price("other"); known {
		t.Error("a price from nowhere")
	}
}
