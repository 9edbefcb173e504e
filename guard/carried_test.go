package guard_test

import (
	"context"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/guard"
)

func TestWhatLabelsSayOfEarlierMessages(t *testing.T) {
	c := guard.CarriedBy([]string{"pii", "task:secret", "caller:internal", "task:confidential", "caller:secret", "arguments:internal", "arguments:public", "task"})
	if !slices.Equal(c.Task, []string{"secret", "confidential"}) || !slices.Equal(c.Caller, []string{"internal", "secret"}) ||
		!slices.Equal(c.Labels(), []string{"confidential", "internal", "secret"}) || c.Classification() != "confidential" || c.Arguments != "internal" {
		t.Errorf("%+v", c)
	}
	if c := guard.CarriedBy(nil); c.Labels() != nil && len(c.Labels()) > 0 || c.Classification() != "" {
		t.Errorf("%+v", c)
	}
}

// A guard that is not made for it, such as one that asks a policy, cannot make a
// message look as if its caller carried something.
func TestOnlyAGuardThatCarriesSaysWhatIsCarried(t *testing.T) {
	for _, label := range []string{"task:pii", "caller:pii", "arguments:internal"} {
		g := speaks(guard.Allow, guard.Obligation{Kind: guard.AddLabel, Name: label})
		x := asking(t)
		if d := chain(t, host(), member("g", g)).Run(context.Background(), x, call(t)); d.Reason != guard.GuardError || len(x.Labels()) != 0 {
			t.Errorf("%s: %v, %v", label, d.Action, x.Labels())
		}
		m := member("g", g)
		m.Spec.Carries = true
		if d := chain(t, host(), m).Run(context.Background(), asking(t), call(t)); d.Action != guard.Allow {
			t.Errorf("%s: %+v", label, d)
		}
	}
}

func TestSourcesAndFingerprintsOutliveALaterRefusal(t *testing.T) {
	first := member("first", speaks(guard.Allow, guard.Obligation{Kind: guard.Cite, Name: "task:pii", Value: "x1 crm"}, guard.Obligation{Kind: guard.Mark, Name: "values_cut", Value: "AbCdEfGhIj0 -_CdEfGhIj0"}))
	d := chain(t, host(), first, member("second", speaks(guard.Deny))).Run(context.Background(), asking(t), call(t))
	if d.Action != guard.Deny || !slices.Equal(d.Sources, []guard.Source{{Label: "task:pii", Exchange: "x1", Server: "crm"}}) || len(d.Values) != 2 || !d.ValuesCut {
		t.Errorf("%+v", d)
	}
	for name, o := range map[string]guard.Obligation{
		"a source without an exchange": {Kind: guard.Cite, Name: "task:pii"},
		"a source without a label":     {Kind: guard.Cite, Value: "x1 crm"},
		"a value in clear":             {Kind: guard.Mark, Name: "values", Value: "anna@mail.example"},
		"another kind of mark":         {Kind: guard.Mark, Name: "secrets", Value: "AbCdEfGhIj0"},
	} {
		if d := chain(t, host(), member("g", speaks(guard.Allow, o))).Run(context.Background(), asking(t), call(t)); d.Reason != guard.GuardError {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
