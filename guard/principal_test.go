package guard_test

import (
	"context"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

func admitting(v guard.Verdict) full {
	return full{inspect: inspect(pass), admit: func(*guard.Exchange) (guard.Verdict, error) { return v, nil },
		settle: func(*guard.Exchange, guard.Outcome) {}}
}

func TestAnAdmissionNamesThePrincipalThatLaterGuardsSee(t *testing.T) {
	ana := &guard.Principal{Subject: "ana"}
	var seen string
	later := full{inspect: inspect(pass), settle: func(*guard.Exchange, guard.Outcome) {},
		admit: func(x *guard.Exchange) (guard.Verdict, error) {
			seen = x.Principal.Subject
			return guard.Pass(), nil
		}}
	c := chain(t, host(), member("identity", admitting(guard.Verdict{Action: guard.Allow, Principal: ana})), member("later", later))
	x := &guard.Exchange{}
	if d := c.Admit(context.Background(), x); d.Action != guard.Allow || x.Principal.Subject != "ana" || seen != "ana" {
		t.Errorf("%v, the principal is %+v, the later guard saw %q", d.Action, x.Principal, seen)
	}
}

func TestOnlyAnAllowedAdmissionNamesAPrincipal(t *testing.T) {
	root := &guard.Principal{Subject: "root"}
	x := &guard.Exchange{}
	refused := chain(t, host(), member("identity", admitting(guard.Verdict{Reason: no, Principal: root})))
	if d := refused.Admit(context.Background(), x); d.Action != guard.Deny || !x.Principal.IsAnonymous() {
		t.Errorf("a refusal made somebody %+v: %v", x.Principal, d.Action)
	}
	m := member("identity", admitting(guard.Verdict{Action: guard.Allow, Principal: root}))
	m.Mode = guard.Shadow
	if chain(t, host(), m).Admit(context.Background(), x); !x.Principal.IsAnonymous() {
		t.Errorf("a shadowed guard made somebody %+v", x.Principal)
	}
	message := chain(t, host(), member("late", says(guard.Verdict{Action: guard.Allow, Principal: root})))
	for _, dir := range []mcp.Direction{mcp.ToServer, mcp.ToClient} {
		m := call(t)
		m.Direction = dir
		if d := message.Run(context.Background(), x, m); d.Action != guard.Deny || !x.Principal.IsAnonymous() {
			t.Errorf("a message made somebody %+v: %v", x.Principal, d.Action)
		}
	}
}

func TestARequiredGuardCanBeNeitherShadowedNorExcused(t *testing.T) {
	spec := define("identity")
	spec.Required = true
	for name, s := range map[string]guard.Setting{
		"shadow":         setting(guard.Shadow, 0),
		"off":            setting(guard.Off, 0),
		"on_error allow": {OnError: guard.Allow, Decode: func(any) error { return nil }},
	} {
		if _, err := guard.Assemble([]guard.Spec{spec}, func(string) guard.Setting { return s }); err == nil || !strings.Contains(err.Error(), "guards.identity") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m, err := guard.Assemble([]guard.Spec{spec}, func(string) guard.Setting { return setting(guard.Enforce, 0) }); err != nil || len(m) != 1 {
		t.Error(m, err)
	}
}

func TestAGuardWithNothingToDoIsLeftOut(t *testing.T) {
	spec := define("idle")
	spec.Build = func(func(any) error) (guard.Guard, error) { return nil, nil }
	if m, err := guard.Assemble([]guard.Spec{spec}, func(string) guard.Setting { return setting(guard.Enforce, 0) }); err != nil || len(m) != 0 {
		t.Error(m, err)
	}
}
