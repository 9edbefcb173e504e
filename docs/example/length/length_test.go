package length

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/mcp"
)

func TestOnlyNamesWithinTheBoundPass(t *testing.T) {
	g, err := Spec().Build(func(c any) error { c.(*Config).Most = 8; return nil })
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]guard.Verdict{
		"12345678":               guard.Pass(),
		"123456789":              guard.Refuse(NameTooLong, "9 bytes"),
		strings.Repeat("x", 999): guard.Refuse(NameTooLong, "999 bytes"),
	} {
		v, err := g.Inspect(t.Context(), nil, &mcp.Message{Method: "tools/call", Name: name})
		if err != nil || v.Action != want.Action || v.Reason != want.Reason || v.Detail != want.Detail {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

func TestItKeepsTheRulesOfGuards(t *testing.T) {
	guardtest.Run(t, Spec(), guardtest.Config{Name: "short", Set: func(c any) { c.(*Config).Most = 8 }})
}

func TestABoundThatLetsNothingPassIsAMistake(t *testing.T) {
	if _, err := Spec().Build(func(c any) error { c.(*Config).Most = 0; return nil }); err == nil {
		t.Error("no error")
	}
}
