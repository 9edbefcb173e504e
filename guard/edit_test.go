package guard_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

func edits(e ...mcp.Edit) inspect { return says(guard.Verdict{Action: guard.Allow, Edits: e}) }

func set(pointer, value string) mcp.Edit { return mcp.SetPointer(pointer, json.RawMessage(value)) }

func TestLaterGuardsAndTheServerGetTheEditedMessage(t *testing.T) {
	var saw string
	later := inspect(func(_ *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
		saw = string(m.Params)
		return guard.Pass(), nil
	})
	c := chain(t, host(), member("dlp", edits(set("/params/arguments/card", `"****"`))), member("later", later))
	m := call(t)
	d := c.Run(context.Background(), asking(t), m)
	want := strings.Replace(callText, `"4111"`, `"****"`, 1)
	if d.Action != guard.Allow || !d.Edited || string(d.Message.Raw) != want {
		t.Errorf("got %+v with %s", d, d.Message.Raw)
	}
	if strings.Contains(saw, "4111") || !strings.Contains(saw, "****") {
		t.Errorf("the later guard saw %s", saw)
	}
	if string(m.Raw) != callText {
		t.Errorf("the original became %s", m.Raw)
	}
}

func TestEditsThatCannotBeMadeRefuse(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit mcp.Edit
	}{
		{"the zero edit", mcp.Edit{}},
		{"a value that is no JSON", set("/params/arguments/card", `"`)},
		{"a value with a duplicate key", set("/params/arguments/card", `{"a":1,"a":2}`)},
		{"a second method", mcp.SetSpan(1, 1, []byte(`"method":"tools/list",`))},
		{"another method", set("/method", `"tools/list"`)},
		{"another id", set("/id", "8")},
		{"a member that is not there", mcp.RemoveMember("/params/arguments/none")},
		{"a span beyond the message", mcp.SetSpan(0, 10_000, nil)},
		{"a key that passes for another", set("/params/Name", `"drop"`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := member("g", edits(tt.edit))
			g.OnError = guard.Allow // what was to be redacted must not slip through
			d := chain(t, host(), g).Run(context.Background(), asking(t), call(t))
			if d.Action != guard.Deny || d.Reason != guard.GuardError || d.Edited {
				t.Errorf("got %v %q edited=%v", d.Action, d.Reason, d.Edited)
			}
			if string(d.Message.Raw) != callText {
				t.Errorf("the message became %s", d.Message.Raw)
			}
		})
	}
}

func TestAShadowedGuardEditsNothing(t *testing.T) {
	g := member("g", says(guard.Verdict{Action: guard.Allow,
		Edits:       []mcp.Edit{set("/params/arguments/card", `"****"`)},
		Obligations: []guard.Obligation{{Kind: guard.AddLabel, Name: "pii"}, {Kind: guard.SetHeader, Name: "x-a", Value: "b"}}}))
	g.Mode = guard.Shadow
	x := asking(t)
	d := chain(t, host(), g).Run(context.Background(), x, call(t))
	if d.Action != guard.Allow || d.Edited || string(d.Message.Raw) != callText || len(d.Obligations) != 0 || len(x.Labels()) != 0 {
		t.Errorf("got %+v, labels %v", d, x.Labels())
	}
}

func TestAShadowedEditThatCannotBeMadeShowsInTheJournal(t *testing.T) {
	g := member("g", edits(mcp.Edit{}))
	g.Mode = guard.Shadow
	d := chain(t, host(), g).Run(context.Background(), asking(t), call(t))
	if d.Action != guard.Allow || d.Journal[0].Err == nil || d.Journal[0].Reason != guard.GuardError {
		t.Errorf("got %+v", d)
	}
}

func TestAChangedNameChangesItsHeaderInTheModernEra(t *testing.T) {
	for _, tt := range []struct {
		name     string
		revision mcp.Revision
		to, want string // want "": no header
	}{
		{"plain", mcp.R20260728, "write", "write"},
		{"with a space inside", mcp.R20260728, "a b", "a b"},
		{"with a space at the end, which header parsers trim", mcp.R20260728, "a ", "=?base64?YSA=?="},
		{"beyond ASCII", mcp.R20260728, "größe", "=?base64?Z3LDtsOfZQ==?="},
		{"that looks encoded", mcp.R20260728, "=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="},
		{"same", mcp.R20260728, "read", ""},
		{"legacy, where servers do not look at the header", mcp.R20251125, "write", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := host()
			h.Decoder = mcp.NewDecoder(mcp.Config{AnyNames: true})
			quoted := string(mcp.AppendQuote(nil, tt.to))
			c := chain(t, h, member("g", edits(set("/params/name", quoted))))
			d := c.Run(context.Background(), &guard.Exchange{Revision: tt.revision}, call(t))
			if d.Action != guard.Allow || d.Message.Name != tt.to {
				t.Fatalf("got %+v", d)
			}
			got := ""
			for _, o := range d.Obligations {
				if o.Kind == guard.SetHeader && o.Name == mcp.HeaderName {
					got = o.Value
				}
			}
			if got != tt.want {
				t.Errorf("header %q, want %q", got, tt.want)
			}
			if name, err := mcp.HeaderParam(got); got != "" && (err != nil || name != tt.to) {
				t.Errorf("the header reads %q, %v", name, err)
			}
		})
	}
}

// A host such as ext_authz changes no body. What it cannot forward it must not
// hear allowed, and the refusal is the one thing that is written down.
func TestAHostThatForwardsOriginalsOnlyRefusesWhatWasEdited(t *testing.T) {
	for _, tt := range []struct {
		name   string
		guard  inspect
		mode   guard.Mode
		action guard.Action
	}{
		{"an edited message is refused", edits(set("/params/arguments/card", `"****"`)), guard.Enforce, guard.Deny},
		{"an edit in shadow is none", edits(set("/params/arguments/card", `"****"`)), guard.Shadow, guard.Allow},
		{"an original goes on", pass, guard.Enforce, guard.Allow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, x := &observer{}, asking(t)
			x.Original = true
			g := member("g", tt.guard)
			g.Mode = tt.mode
			d := chain(t, host(o), g).Run(context.Background(), x, call(t))
			if d.Action != tt.action || d.Action == guard.Deny && d.Reason != guard.GuardError {
				t.Errorf("got %v %q", d.Action, d.Reason)
			}
			if len(o.seen) != 1 || o.seen[0].Action != tt.action {
				t.Errorf("observed %+v", o.seen)
			}
		})
	}
}
