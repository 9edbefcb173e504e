package binding_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/binding"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/sealed"
	"github.com/sallyport/sallyport/mcp"
)

const secret = "0123456789abcdef0123456789abcdef"

func source(secrets ...string) binding.Source {
	return func(binding.Config) (binding.Sealer, error) {
		k, err := sealed.New(secrets)
		return sealed.Binder{Keys: k}, err
	}
}

func TestConformance(t *testing.T) {
	bound := func(list bool) func(any) {
		return func(c any) {
			*c.(*binding.Config) = binding.Config{Keys: []notation.SecretRef{{Kind: "env", Name: "K"}}, ListTasks: list}
		}
	}
	guardtest.Run(t, binding.Spec(source(secret)), guardtest.Config{Name: "bound", Set: bound(false)}, guardtest.Config{Name: "lists", Set: bound(true)})
}

// desk is one caller's side of a chain with the guard alone.
type desk struct {
	t       testing.TB
	decoder *mcp.Decoder
	chain   *guard.Chain
	who     guard.Principal
	era     mcp.Revision
}

func newDesk(t testing.TB, subject string, era mcp.Revision, list bool, secrets ...string) *desk {
	t.Helper()
	d := &desk{t: t, decoder: mcp.NewDecoder(mcp.Config{}), who: guard.Principal{Issuer: "https://id.example", Subject: subject}, era: era}
	members, err := guard.Assemble([]guard.Spec{binding.Spec(source(secrets...))}, func(string) guard.Setting {
		return guard.Setting{Decode: func(c any) error {
			*c.(*binding.Config) = binding.Config{Keys: []notation.SecretRef{{Kind: "env", Name: "K"}}, ListTasks: list}
			return nil
		}}
	})
	if err != nil {
		t.Fatal(err)
	}
	await := func(ctx context.Context, _ time.Duration, wait func(context.Context) (guard.Verdict, error)) (guard.Verdict, error) {
		return wait(ctx)
	}
	if d.chain, err = guard.New(guard.Host{Now: time.Now, Decoder: d.decoder, Await: await}, members...); err != nil {
		t.Fatal(err)
	}
	return d
}

// talk sends a message to the server, and returns what reaches it, or the
// reason why nothing does; then the same for the replies.
func (d *desk) talk(sent string, replies ...string) []string {
	d.t.Helper()
	x := &guard.Exchange{Server: guard.Server{Name: "crm"}, Principal: d.who, Revision: d.era}
	out := []string{d.pass(x, mcp.ToServer, sent)}
	for _, r := range replies {
		out = append(out, d.pass(x, mcp.ToClient, r))
	}
	return out
}

func (d *desk) pass(x *guard.Exchange, dir mcp.Direction, text string) string {
	d.t.Helper()
	m, f := d.decoder.Decode(dir, []byte(text))
	if f != nil {
		d.t.Fatalf("%s: %v", text, f)
	}
	if dir == mcp.ToServer {
		x.Asked = guard.Asked{Kind: m.Kind, ID: m.ID, Method: m.Method, Name: m.Name}
	}
	got := d.chain.Run(d.t.Context(), x, &m)
	if got.Action != guard.Allow {
		return string(got.Reason)
	}
	for _, o := range got.Obligations {
		if o.Kind == guard.SetHeader && !strings.Contains(string(got.Message.Raw), o.Value) {
			d.t.Errorf("the header %s names %q, the body %s", o.Name, o.Value, got.Message.Raw)
		}
	}
	return string(got.Message.Raw)
}

func (d *desk) seal(id string) string {
	d.t.Helper()
	k, err := sealed.New([]string{secret})
	if err != nil {
		d.t.Fatal(err)
	}
	text, ok := sealed.Binder{Keys: k}.Seal(binding.Task, &guard.Exchange{Server: guard.Server{Name: "crm"}, Principal: d.who}, id)
	if !ok {
		d.t.Fatal("not sealed")
	}
	return text
}

const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

// $T stands for the task as its owner knows it, T for the server's own id.
func TestTaskIDsAreTranslatedBothWays(t *testing.T) {
	for _, tt := range []struct {
		name string
		era  mcp.Revision
		sent string // as the client sends it; "" for a call
		said string // by the server
	}{
		{"made by a call, 2025-11-25", mcp.R20251125, ``, `{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"$T","status":"working"}}}`},
		{"made by a call, 2026-07-28", mcp.R20260728, ``, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"task","taskId":"$T","status":"working"}}`},
		{"asked about", mcp.R20251125, `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"$T"}}`, `{"jsonrpc":"2.0","id":1,"result":{"taskId":"$T","status":"working"}}`},
		{"asked about, 2026-07-28", mcp.R20260728, `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"$T",` + meta + `}}`, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","taskId":"$T","status":"completed","result":{}}}`},
		{"its result", mcp.R20251125, `{"jsonrpc":"2.0","id":1,"method":"tasks/result","params":{"taskId":"$T"}}`, `{"jsonrpc":"2.0","id":1,"result":{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"$T"}}}}`},
		{"cancelled", mcp.R20251125, `{"jsonrpc":"2.0","id":1,"method":"tasks/cancel","params":{"taskId":"$T"}}`, `{"jsonrpc":"2.0","id":1,"result":{"taskId":"$T","status":"cancelled"}}`},
		{"updated", mcp.R20260728, `{"jsonrpc":"2.0","id":1,"method":"tasks/update","params":{"taskId":"$T","inputResponses":{},` + meta + `}}`, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}`},
		{"listened to", mcp.R20260728, `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"taskIds":["$T","$T"]},` + meta + `}}`, `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"taskIds":["$T"]}}}`},
		{"its news, 2026-07-28", mcp.R20260728, ``, `{"jsonrpc":"2.0","method":"notifications/tasks","params":{"taskId":"$T","status":"working"}}`},
		{"its news, 2025-11-25", mcp.R20251125, ``, `{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"$T","status":"working"}}`},
		{"a question about it", mcp.R20251125, ``, `{"jsonrpc":"2.0","id":9,"method":"elicitation/create","params":{"message":"?","requestedSchema":{},"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"$T"}}}}`},
		{"the answer to that", mcp.R20251125, `{"jsonrpc":"2.0","id":9,"result":{"action":"accept","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"$T"}}}}`, ``},
		{"what a call refers to", mcp.R20260728, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"io.modelcontextprotocol/relatedTaskIds":["$T"],` + meta[9:] + `}}`, ``},
		{"several, listed", mcp.R20251125, `{"jsonrpc":"2.0","id":1,"method":"tasks/list"}`, `{"jsonrpc":"2.0","id":1,"result":{"tasks":[{"taskId":"$T","a":[1]},{"b":{},"taskId":"$T"}],"nextCursor":"c"}}`},
		{"a task of the client's own", mcp.R20251125, `{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"mine","status":"working"}}`, `{"jsonrpc":"2.0","id":4,"method":"tasks/get","params":{"taskId":"mine"}}`},
		{"a member of a tool's result that is no task", mcp.R20251125, ``, `{"jsonrpc":"2.0","id":1,"result":{"content":[],"taskId":"JIRA-7","structuredContent":{"taskId":"JIRA-7"}}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t, "ada", tt.era, true, secret)
			theirs, ours := d.seal("T"), func(s string) string { return strings.ReplaceAll(s, "$T", "T") }
			sent, replies := tt.sent, []string{ours(tt.said)}
			if sent == "" {
				sent = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x",` + meta + `}}`
			}
			if tt.said == "" {
				replies = nil
			}
			got := d.talk(strings.ReplaceAll(sent, "$T", theirs), replies...)
			if got[0] != ours(sent) {
				t.Errorf("the server gets %s", got[0])
			}
			if want := strings.ReplaceAll(tt.said, "$T", theirs); tt.said != "" && got[1] != want {
				t.Errorf("the client gets %s\nwant %s", got[1], want)
			}
		})
	}
}

func TestAStolenTaskIsUnknown(t *testing.T) {
	ada := newDesk(t, "ada", mcp.R20251125, false, secret)
	stolen := ada.seal("T")
	for name, sent := range map[string]string{
		"to look at it":                    `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"%s"}}`,
		"to get what came of it":           `{"jsonrpc":"2.0","id":1,"method":"tasks/result","params":{"taskId":"%s"}}`,
		"to end it":                        `{"jsonrpc":"2.0","id":1,"method":"tasks/cancel","params":{"taskId":"%s"}}`,
		"to say that a call belongs to it": `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"%s"}}}}`,
	} {
		for whose, id := range map[string]string{"sealed for another": stolen, "the server's own": "T", "made up": "AAAA"} {
			if got := newDesk(t, "eve", mcp.R20251125, false, secret).talk(fmt.Sprintf(sent, id)); got[0] != string(binding.UnknownTask) {
				t.Errorf("%s, %s: %s", name, whose, got[0])
			}
		}
		if got := newDesk(t, "ada", mcp.R20251125, false, strings.ToUpper(secret)).talk(fmt.Sprintf(sent, stolen)); got[0] != string(binding.UnknownTask) {
			t.Errorf("%s, with a retired key: %s", name, got[0])
		}
	}
	if got := ada.talk(`{"jsonrpc":"2.0","id":1,"method":"tasks/list"}`); got[0] != string(binding.TasksNotListed) {
		t.Errorf("a list that hands out the tasks of others: %s", got[0])
	}
}

// Servers that read names without regard to case would find what a guard that
// compares exactly does not.
func TestNoOtherSpellingLeadsToTheServersOwnIDs(t *testing.T) {
	modern := newDesk(t, "eve", mcp.R20260728, false, secret)
	mine := modern.seal("mine")
	for _, params := range []string{
		`"notifications":{"taskIds":["T"]}`, `"notifications":{"TaskIDs":["T"]}`, `"notifications":{"ta\u0073kIds":["T"]}`, `"notifications":{"ta\u017fkIds":["T"]}`,
		`"notifications":{"taskIds":["` + mine + `"],"taskids":["T"]}`, `"notifications":{"taskIds":["` + mine + `","T"]}`, `"notifications":{"taskIds":"T"}`,
		`"notifications":{"taskIds":{"0":"T"}}`, `"notifications":{"taskIds":[["T"]]}`, `"notifications":{"taskIds":[7]}`,
		`"notifications":{"taskIds":[` + strings.Repeat(`"`+mine+`",`, 1000) + `"` + mine + `"]}`,
	} {
		got := modern.talk(`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{` + params + `,` + meta + `}}`)
		if got[0] != string(binding.UnknownTask) {
			t.Errorf("%.100s: %.200s", params, got[0])
		}
	}
}

// A client that holds an id of the older key must hear of the task by that id.
func TestATaskKeepsItsNameWhileKeysRotate(t *testing.T) {
	held := newDesk(t, "ada", mcp.R20251125, false, secret).seal("T")
	after := newDesk(t, "ada", mcp.R20251125, false, strings.ToUpper(secret), secret)
	said := `{"jsonrpc":"2.0","id":1,"result":{"taskId":"%s","status":"working"}}`
	got := after.talk(`{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"`+held+`"}}`, fmt.Sprintf(said, "T"))
	if got[1] != fmt.Sprintf(said, held) {
		t.Errorf("the client gets %s", got[1])
	}
}

func TestWhatCannotBeSealedIsWithheld(t *testing.T) {
	d := newDesk(t, "ada", mcp.R20251125, true, secret)
	for _, id := range []string{"", strings.Repeat("x", 1025)} {
		got := d.talk(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`, `{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"`+id+`"}}}`)
		if got[1] != string(guard.UpstreamBadReply) {
			t.Errorf("%d bytes: %s", len(id), got[1])
		}
	}
}

// A long list costs what its length costs, and not its square.
func BenchmarkListOfTasks(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := newDesk(b, "ada", mcp.R20251125, true, secret)
			list := `{"jsonrpc":"2.0","id":1,"result":{"tasks":[` + strings.TrimSuffix(strings.Repeat(`{"taskId":"T","status":"working"},`, n), ",") + `]}}`
			b.ReportAllocs()
			for b.Loop() {
				d.talk(`{"jsonrpc":"2.0","id":1,"method":"tasks/list"}`, list)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/task")
		})
	}
}

func BenchmarkMessage(b *testing.B) {
	spec := binding.Spec(source(secret))
	g := guardtest.Build(b, spec, func(c *binding.Config) {
		*c = binding.Config{Keys: []notation.SecretRef{{Kind: "env", Name: "K"}}}
	})
	d := newDesk(b, "ada", mcp.R20251125, false, secret)
	for name, one := range map[string]struct {
		dir  mcp.Direction
		text string
	}{
		"call":   {mcp.ToServer, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":"` + strings.Repeat("x", 200) + `"}}}`},
		"result": {mcp.ToClient, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"` + strings.Repeat("x", 200) + `"}]}}`},
		"task":   {mcp.ToServer, `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"` + d.seal("T") + `"}}`},
	} {
		b.Run(name, func(b *testing.B) {
			m, f := d.decoder.Decode(one.dir, []byte(one.text))
			if f != nil {
				b.Fatal(f)
			}
			x := &guard.Exchange{Server: guard.Server{Name: "crm"}, Principal: d.who, Revision: d.era, Asked: guard.Asked{Kind: mcp.Request, Method: "tools/call"}}
			b.ReportAllocs()
			for b.Loop() {
				if v, err := g.Inspect(b.Context(), x, &m); err != nil || v.Action != guard.Allow {
					b.Fatal(v.Reason, err)
				}
			}
		})
	}
}
