package guard_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

func constrains() guard.Member {
	v := guard.Pass()
	v.Obligations = []guard.Obligation{{Kind: guard.Constrain, Value: `{"max_rows":10}`}}
	return member("binder", says(v))
}

func TestConstraintsAreSignedOverTheMessageThatGoesUpstream(t *testing.T) {
	h := host()
	var signed, claims string
	h.Seal = func(_ *guard.Exchange, m *mcp.Message, list []string) (string, string, error) {
		signed, claims = string(m.Raw), strings.Join(list, " ")
		return "x-sallyport-constraint", "a.b.c", nil
	}
	later := guard.Pass()
	later.Edits = []mcp.Edit{mcp.SetPointer("/params/arguments/card", []byte(`"masked"`))}
	c := chain(t, h, constrains(), member("editor", says(later)))
	d := c.Run(context.Background(), asking(t), call(t))
	if d.Action != guard.Allow || signed != string(d.Message.Raw) || !strings.Contains(signed, "masked") || claims != `{"max_rows":10}` {
		t.Errorf("got %v; signed %s with %s", d, signed, claims)
	}
	if len(d.Obligations) != 1 || d.Obligations[0] != (guard.Obligation{Kind: guard.SetHeader, Name: "x-sallyport-constraint", Value: "a.b.c"}) {
		t.Errorf("obligations: %v", d.Obligations)
	}
}

func TestWhatCannotBeBoundDoesNotPass(t *testing.T) {
	broken := host()
	broken.Seal = func(*guard.Exchange, *mcp.Message, []string) (string, string, error) {
		return "", "", errors.New("no key")
	}
	for name, h := range map[string]guard.Host{"no signer": host(), "a signer that fails": broken} {
		d := chain(t, h, constrains()).Run(context.Background(), asking(t), call(t))
		if d.Action != guard.Deny || d.Reason != guard.GuardError || len(d.Obligations) != 0 {
			t.Errorf("%s: got %v", name, d)
		}
	}
}

func TestAHintReachesTheClientAndTheDetailDoesNot(t *testing.T) {
	v := guard.Refuse(no, "row 7 of the table")
	v.Hint = "Ask the owners of \"crm\" for the role sales."
	c := chain(t, host(), member("g", says(v)))
	x := asking(t)
	d := c.Run(context.Background(), x, call(t))
	body := string(c.Refusal(x, &d).Body)
	if !strings.Contains(body, `"hint":"Ask the owners of \"crm\" for the role sales."`) || strings.Contains(body, "row 7") {
		t.Errorf("got %s", body)
	}
	v.Hint = "two\nlines"
	d = chain(t, host(), member("g", says(v))).Run(context.Background(), x, call(t))
	if d.Reason != guard.GuardError {
		t.Errorf("a hint of two lines: %v", d)
	}
}

func TestDecisionsNameThePolicy(t *testing.T) {
	h := host()
	h.Policy = "1.2.0+abc"
	if d := chain(t, h, member("g", inspect(pass))).Run(context.Background(), asking(t), call(t)); d.Policy != "1.2.0+abc" {
		t.Errorf("got %q", d.Policy)
	}
}
