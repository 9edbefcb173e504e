package guard_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// toldID is what an observer can write down of a message.
type toldID struct {
	told
	id, asked string
}

func (o *toldID) Observe(ctx context.Context, x *guard.Exchange, m *mcp.Message, d *guard.Decision) error {
	o.id, o.asked = string(d.ID(x, m)), string(x.Asked.IDInClear())
	return o.told.Observe(ctx, x, m, d)
}

// Whoever makes up a prompt or an id can write a secret there, which is refused, and
// stood in receipts for good: the guard that refused it was no judge of secrets.
func TestNamesAndIdsThatShowASecretAreNotWrittenDown(t *testing.T) {
	const secret = "AKIAQ3EGRIPWNLKT5XZV"
	decoder := mcp.NewDecoder(mcp.Config{AnyNames: true})
	asked := 0
	for _, c := range []struct{ raw, name, id string }{
		{`"id":1,"method":"prompts/get","params":{"name":"` + secret + `"}}`, "[name]", `1`},
		{`"id":1,"method":"tools/call","params":{"name":"` + secret + `"}}`, "[name]", `1`},
		{`"id":1,"method":"tasks/get","params":{"taskId":"` + secret + `"}}`, "[name]", `1`},
		{`"id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"` + secret + `"},"argument":{"name":"a","value":"b"}}}`, "[name]", `1`},
		{`"id":1,"method":"resources/read","params":{"uri":"crm://h/` + secret + `"}}`, "crm://h/[path]", `1`},
		{`"id":1,"method":"resources/read","params":{"uri":"crm://` + secret + `/a"}}`, "[name]", `1`},
		{`"id":"` + secret + `","method":"tools/call","params":{"name":"known"}}`, "known", `"[id]"`},
		{`"id":"\u0041KIAQ3EGRIPWNLKT5XZV","method":"tools/call","params":{"name":"known"}}`, "known", `"[id]"`},
		{`"id":4111111111111111,"method":"tools/call","params":{"name":"known"}}`, "known", `"[id]"`},
		{`"id":7,"method":"tools/call","params":{"name":"known"}}`, "known", `7`},
		{`"id":"6f1c2b0e-3c55-4d5e-9d8e-0c1b2a3f4d5e","method":"prompts/get","params":{"name":"weekly-report"}}`, "weekly-report", `"6f1c2b0e-3c55-4d5e-9d8e-0c1b2a3f4d5e"`},
		{`"id":"` + secret + `","result":{}}`, "", `"[id]"`},
	} {
		m, f := decoder.Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0",`+c.raw))
		if f != nil {
			t.Fatal(f)
		}
		var o toldID
		chain, err := guard.New(guard.Host{Now: time.Now, Decoder: decoder, Await: func(ctx context.Context, _ time.Duration, wait func(context.Context) (guard.Verdict, error)) (guard.Verdict, error) {
			return wait(ctx)
		}, Observers: []guard.Observer{&o}, Reveals: func(s string) bool {
			asked++
			return strings.Contains(s, secret) || s == "4111111111111111"
		}}, guard.Member{Spec: guard.Spec{Name: "repeats", Wants: []guard.Want{{Method: "*"}}}, Guard: repeats{}, Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		x := &guard.Exchange{ID: "x", Server: guard.Server{Name: "s", Tools: map[string]guard.Tool{"known": {}}}, Asked: guard.Asked{Kind: m.Kind, Method: m.Method, Name: m.Name, Clear: m.InClear()}}
		if m.Kind == mcp.Request {
			x.Asked.ID = append(json.RawMessage(nil), m.ID...)
		}
		chain.Run(t.Context(), x, &m)
		if o.shown != c.name || o.id != c.id || m.Kind == mcp.Request && o.asked != c.id || strings.Contains(o.text, secret) {
			t.Errorf("%s: %q %s %s: %s", c.raw, o.shown, o.id, o.asked, o.text)
		}
	}
	if asked > 16 { // neither numbers of ids nor words nor what the registry knows
		t.Errorf("%d texts are looked into", asked)
	}
	unread := guard.Asked{ID: json.RawMessage(`"` + secret + `"`)}
	if got := string(unread.IDInClear()); got != `"[id]"` {
		t.Errorf("the id of what did not decode is shown: %s", got)
	}
}
