package guard_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// repeats says all it knows of the target, in many spellings.
type repeats struct {
	sensitive bool
	fail      bool
}

func (r repeats) Inspect(_ context.Context, _ *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	normal, _ := mcp.NormalURI(m.Name)
	text := fmt.Sprintf("%s, %q, %s", m.Name, m.Name, normal)
	for _, mark := range []string{"?", "#", "@", "="} {
		for part := range strings.SplitSeq(m.Name, mark) {
			text += "; " + part
		}
	}
	if r.fail {
		return guard.Verdict{}, errors.New(text)
	}
	return guard.Verdict{Action: guard.Deny, Reason: guard.InvalidParams, Detail: text, Sensitive: r.sensitive,
		Obligations: []guard.Obligation{{Kind: guard.Raise, Name: "odd", Value: text[:min(len(text), 200)]}}}, nil
}

type told struct{ text, shown string }

func (o *told) Observe(_ context.Context, x *guard.Exchange, m *mcp.Message, d *guard.Decision) error {
	_, o.shown = d.Target(x, m)
	o.text = d.Detail
	for _, e := range d.Journal {
		o.text += " | " + e.Detail
		if e.Err != nil {
			o.text += e.Err.Error()
		}
	}
	for _, e := range d.Events {
		o.text += " | " + e.Detail
	}
	return nil
}

func TestWhatAGuardRepeatsOfASecretInAURIIsNotTold(t *testing.T) {
	decoder := mcp.NewDecoder(mcp.Config{})
	for uri, want := range map[string]string{
		"https://bob:S3cr3t@h/a":                "https://[userinfo]@h/a",
		"crm://h/a?token=S3cr3t&x=1":            "crm://h/a?[query]",
		"crm://h/a?token=%533cr3t":              "crm://h/a?[query]",
		"crm://h/a#S3cr3t":                      "crm://h/a#[fragment]",
		"crm://h/a/b=S3cr3t/c":                  "crm://h/a/[path]",
		"data:text/plain,S3cr3t":                "data:[opaque]",
		"bob:S3cr3t@h":                          "[uri]",
		`crm://h/a?token=S3cr3t%22x` + "\u00a0": "crm://h/a?[query]",
	} {
		for _, g := range []repeats{{}, {fail: true}, {sensitive: true}} {
			o := new(told)
			c, err := guard.New(guard.Host{Now: clock(), Decoder: decoder, Await: inline, Observers: []guard.Observer{o}},
				guard.Member{Spec: guard.Spec{Name: "repeats", Wants: []guard.Want{{Method: "*", Direction: mcp.ToServer}}}, Guard: g, Timeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			m, f := decoder.Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":`+string(mcp.AppendQuote(nil, uri))+`}}`))
			if f != nil {
				t.Fatal(f)
			}
			x := &guard.Exchange{Asked: guard.Asked{Method: m.Method, Name: m.Name, Clear: m.InClear()}}
			c.Run(t.Context(), x, &m)
			if !strings.Contains(o.text, ";") {
				t.Fatalf("nothing was told: %s", o.text)
			}
			if strings.Contains(o.text, "S3cr3t") || strings.Contains(o.text, "533cr3t") {
				t.Errorf("%s: told %s", uri, o.text)
			}
			if g.sensitive {
				want = mcp.ExposeHost.URI(uri)
			}
			if o.shown != want || x.Asked.InClear() != want {
				t.Errorf("%s: shown %s and %s, want %s", uri, o.shown, x.Asked.InClear(), want)
			}
		}
	}
}

// A reply names nothing itself, and an earlier decision may have found that the path
// of what it answers is sensitive.
func TestWhatWasFoundInARequestIsHiddenOfItsReplyToo(t *testing.T) {
	x := &guard.Exchange{Asked: guard.Asked{Method: "resources/read", Name: "crm://h/a", Clear: "crm://h/[path]"}}
	var d guard.Decision
	if whole, shown := d.Target(x, &mcp.Message{Direction: mcp.ToClient, Kind: mcp.Response}); whole != "crm://h/a" || shown != "crm://h/[path]" {
		t.Error(whole, shown)
	}
	if _, shown := d.Target(x, &mcp.Message{Direction: mcp.ToClient, Method: "notifications/resources/updated", Name: "crm://h/b?c"}); shown != "crm://h/b?[query]" {
		t.Error(shown)
	}
	x.Asked = guard.Asked{Method: "resources/read", Name: "crm://u@h"} // by hand
	if _, shown := d.Target(x, nil); shown != "crm://[userinfo]@h" {
		t.Error(shown)
	}
}
