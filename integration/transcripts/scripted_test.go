package transcripts

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/mcp"
)

// scripted is the guard that the part "guard" of a transcript adds to the
// chain, behind all others.
type scripted struct {
	Mode    string // shadow, or empty for enforce
	OnError string `yaml:"on_error"` // allow, or empty for deny

	// Does is what it answers: error, panic, nothing (the zero verdict),
	// undeclared (a reason that is on no list), slow (no answer in time), edit, correct (a refusal that models read),
	// duty (an obligation that no host can carry out there) or header (x-user).
	Does     string
	To       string // client; empty for server
	Receipts string // lost: no receipt can be kept
}

// addScripted puts the guard that text describes into snap.
func addScripted(t *testing.T, snap *gate.Snapshot, text string, seen guard.Observer) {
	t.Helper()
	var g scripted
	if err := yaml.Unmarshal([]byte(text), &g); err != nil {
		t.Fatal(err)
	}
	want := guard.Want{Method: "*"}
	if g.To == "client" {
		want.Direction = mcp.ToClient
	}
	m := guard.Member{
		Spec: guard.Spec{Name: "scripted", Wants: []guard.Want{want}}, Guard: &g, Timeout: time.Minute,
	}
	if g.Does == "slow" {
		m.Timeout = 20 * time.Millisecond
	}
	if g.Mode == "shadow" {
		m.Mode = guard.Shadow
	}
	if g.OnError == "allow" {
		m.OnError = guard.Allow
	}
	observers := []guard.Observer{seen}
	if g.Receipts == "lost" {
		observers = []guard.Observer{lost{}, seen}
	}
	chain, err := guard.New(guard.Host{Now: time.Now, Decoder: snap.Decoder, Await: gate.Await, Observers: observers},
		append(slices.Clone(snap.Chain.Members()), m)...)
	if err != nil {
		t.Fatal(err)
	}
	snap.Chain, snap.RequestsOnly = chain, errors.Join(snap.RequestsOnly, chain.RequestsOnly())
}

// Inspect implements guard.Guard.
func (g *scripted) Inspect(context.Context, *guard.Exchange, *mcp.Message) (guard.Verdict, error) {
	v := guard.Pass()
	switch g.Does {
	case "error":
		return guard.Verdict{}, errors.New("what it asks is down")
	case "panic":
		panic("a message provoked this")
	case "nothing":
		return guard.Verdict{}, nil
	case "undeclared":
		return guard.Refuse("because_i_say_so", ""), nil
	case "slow":
		return guard.Verdict{Pending: func(ctx context.Context) (guard.Verdict, error) {
			<-ctx.Done()
			return guard.Pass(), nil // too late to count
		}}, nil
	case "edit":
		where := "/params/arguments"
		if g.To == "client" {
			where = "/result/content"
		}
		v.Edits = []mcp.Edit{mcp.SetPointer(where, []byte(`["edited"]`))}
	case "correct":
		return guard.Verdict{Reason: guard.InvalidParams, Hint: "/arguments/to: type", Result: true}, nil
	case "duty":
		v.Obligations = []guard.Obligation{{Kind: guard.Constrain, Value: "{}"}}
	case "header":
		v.Obligations = []guard.Obligation{{Kind: guard.SetHeader, Name: "x-user", Value: "ana"}}
	}
	return v, nil
}

type lost struct{}

// Observe implements guard.Observer.
func (lost) Observe(context.Context, *guard.Exchange, *mcp.Message, *guard.Decision) error {
	return errors.New("the disk is full")
}
