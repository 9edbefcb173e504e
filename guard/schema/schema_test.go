package schema_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/guard/schema"
	compiled "github.com/sallyport/sallyport/internal/schema"
	"github.com/sallyport/sallyport/mcp"
)

// pins are definitions by the name of the tool.
type pins map[string]schema.Tool

func (p pins) Tool(_, name string) (schema.Tool, bool) {
	t, ok := p[name]
	return t, ok
}

func pinned(definition string) schema.Tool { return compiled.Tool(json.RawMessage(definition)) }

var known = pins{
	"send": pinned(`{"inputSchema":{"type":"object","required":["to"],"properties":{"to":{"type":"string","maxLength":10},"o":{"type":"object","properties":{"a":{}}}}},
		"outputSchema":{"type":"object","required":["id"],"properties":{"id":{"type":"integer"}}}}`),
	"odd":  pinned(`{"inputSchema":{"properties":{"a":{"pattern":"^(?!x)"}}}}`),
	"echo": pinned(`{"inputSchema":{"type":"object"}}`),
}

func ports() schema.Ports { return schema.Ports{Schemas: known} }

func TestConformance(t *testing.T) {
	guardtest.Run(t, schema.Spec(ports()),
		guardtest.Config{Name: "strict", Set: func(c any) {
			*c.(*schema.Config) = schema.Config{Arguments: "enforce", Results: "enforce", Unknown: "refuse", Sensitive: "refuse"}
		}},
		guardtest.Config{Name: "strip, and no results", Set: func(c any) { c.(*schema.Config).Unknown, c.(*schema.Config).Results = "strip", "off" }},
		guardtest.Config{Name: "strip", Set: func(c any) { c.(*schema.Config).Unknown = "strip" }},
		guardtest.Config{Name: "alert", Set: func(c any) {
			*c.(*schema.Config) = schema.Config{Arguments: "alert", Results: "alert", Unknown: "strip", Sensitive: "allow"}
		}})
}

func build(t testing.TB, set func(*schema.Config)) guard.Guard {
	t.Helper()
	return guardtest.Build(t, schema.Spec(ports()), set)
}

var decoder = mcp.NewDecoder(mcp.Config{})

func ask(t testing.TB, g guard.Guard, x *guard.Exchange, dir mcp.Direction, raw string) (guard.Verdict, string) {
	t.Helper()
	m, f := decoder.Decode(dir, []byte(raw))
	if f != nil {
		t.Fatalf("%s: %v", raw, f)
	}
	v, err := g.Inspect(context.Background(), x, &m)
	if err != nil {
		t.Fatal(err)
	}
	out, err := decoder.Apply(&m, v.Edits...)
	if err != nil {
		t.Fatal(err)
	}
	return v, string(out.Raw)
}

func call(tool, arguments string) string {
	if arguments != "" {
		arguments = `,"arguments":` + arguments
	}
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `"` + arguments + `}}`
}

func crm() *guard.Exchange {
	return &guard.Exchange{Revision: mcp.R20250618, Server: guard.Server{Name: "crm", Tools: map[string]guard.Tool{"odd": {Sensitive: true}, "new": {Sensitive: true}}}}
}

func TestArguments(t *testing.T) {
	strict := func(c *schema.Config) { c.Unknown = "refuse" }
	for name, c := range map[string]struct {
		set             func(*schema.Config)
		tool, arguments string
		reason          guard.Reason
		hint            string
	}{
		"what fits":           {nil, "send", `{"to":"ada"}`, "", ""},
		"an absent member":    {nil, "send", `{}`, schema.ArgumentsInvalid, "/arguments: required (to)"},
		"no arguments at all": {nil, "send", "", schema.ArgumentsInvalid, "/arguments: required (to)"},
		"a secret in the wrong place is not said": {nil, "send", `{"to":"S3CRET-S3CRET"}`, schema.ArgumentsInvalid, "/arguments/to: maxLength"},
		"a secret as a type is not said":          {nil, "send", `{"to":{"S3CRET":1}}`, schema.ArgumentsInvalid, "/arguments/to: type"},
		"an unknown property by default":          {nil, "send", `{"to":"ada","S3CRET":1}`, "", ""},
		"an unknown property, refused":            {strict, "send", `{"to":"ada","S3CRET":1}`, schema.ArgumentsInvalid, "/arguments: unknown_properties"},
		"an unknown property deep down, refused":  {strict, "send", `{"to":"ada","o":{"S3CRET":1}}`, schema.ArgumentsInvalid, "/arguments/o: unknown_properties"},
		"a tool of which nothing is pinned":       {strict, "other", `{"x":1}`, "", ""},
		"a schema that cannot be used":            {nil, "odd", `{"a":"x"}`, "", ""},
		"that of a sensitive tool":                {func(c *schema.Config) { c.Sensitive = "refuse" }, "odd", `{"a":"x"}`, schema.SchemaUnknown, ""},
		"a sensitive tool that is not pinned":     {func(c *schema.Config) { c.Sensitive = "refuse" }, "new", `{}`, schema.SchemaUnknown, ""},
		"an alert":                                {func(c *schema.Config) { c.Arguments = "alert" }, "send", `{}`, "", ""},
		"off":                                     {func(c *schema.Config) { c.Arguments = "off" }, "send", `{}`, "", ""},
	} {
		v, _ := ask(t, build(t, c.set), crm(), mcp.ToServer, call(c.tool, c.arguments))
		if v.Reason != c.reason || (v.Action == guard.Allow) != (c.reason == "") || v.Hint != c.hint || v.Result != (c.hint != "") {
			t.Errorf("%s: %+v", name, v)
		}
		if strings.Contains(v.Detail+v.Hint, "S3CRET") {
			t.Errorf("%s: says a value: %+v", name, v)
		}
		if (name == "an alert") != (len(v.Obligations) == 1) {
			t.Errorf("%s: %v", name, v.Obligations)
		}
	}
}

func TestSensitiveToolsTakeNothingUnknown(t *testing.T) {
	x := crm()
	x.Server.Tools = map[string]guard.Tool{"send": {Sensitive: true}}
	for _, mode := range []string{"allow", "strip"} {
		v, _ := ask(t, build(t, func(c *schema.Config) { c.Unknown = mode }), x, mcp.ToServer, call("send", `{"to":"ada","bcc":"eve"}`))
		if v.Reason != schema.ArgumentsInvalid {
			t.Errorf("%s: %+v", mode, v)
		}
	}
}

func TestUnknownPropertiesAreTakenOut(t *testing.T) {
	strip := build(t, func(c *schema.Config) { c.Unknown = "strip" })
	for in, want := range map[string]string{
		`{"bcc":"eve","to":"ada","o":{"b":1,"a":2,"c":3},"x/y~z":1}`: `{"to":"ada","o":{"a":2}}`,
		`{"to":"ada"}`: `{"to":"ada"}`,
	} {
		if v, got := ask(t, strip, crm(), mcp.ToServer, call("send", in)); v.Action != guard.Allow || got != call("send", want) {
			t.Errorf("%s: %+v, %s", in, v, got)
		}
	}
	many := `{"to":"ada"`
	for i := range 300 {
		many += `,"x` + strings.Repeat("y", i) + `":1`
	}
	if v, _ := ask(t, strip, crm(), mcp.ToServer, call("send", many+"}")); v.Reason != schema.ArgumentsInvalid {
		t.Errorf("hundreds of edits: %+v", v)
	}
}

func TestResults(t *testing.T) {
	for name, c := range map[string]struct {
		result   string
		revision mcp.Revision
		hint     string
	}{
		"what fits":                        {`{"content":[],"structuredContent":{"id":1}}`, mcp.R20250618, ""},
		"another type":                     {`{"content":[],"structuredContent":{"id":"S3CRET"}}`, mcp.R20250618, "/structuredContent/id: type"},
		"orders in a key":                  {`{"content":[],"structuredContent":{"S3CRET":1}}`, mcp.R20250618, "/structuredContent: required (id)"},
		"a server that leaves it out":      {`{"content":[{"type":"text","text":"S3CRET"}]}`, mcp.R20250618, ": required (structuredContent)"},
		"an old client never gets any":     {`{"content":[]}`, mcp.R20250326, ""},
		"an error of the tool":             {`{"content":[],"isError":true}`, mcp.R20250618, ""},
		"a question to the client":         {`{"resultType":"input_required","inputRequests":{}}`, mcp.R20260728, ""},
		"a complete one that leaves it so": {`{"resultType":"complete","content":[]}`, mcp.R20260728, ": required (structuredContent)"},
	} {
		x := crm()
		x.Revision = c.revision
		x.Asked = guard.Asked{Kind: mcp.Request, Method: "tools/call", Name: "send", ID: json.RawMessage("1")}
		raw := `{"jsonrpc":"2.0","id":1,"result":` + c.result + `}`
		v, _ := ask(t, build(t, nil), x, mcp.ToClient, raw)
		if v.Hint != c.hint || (v.Action == guard.Allow) != (c.hint == "") || c.hint != "" && (v.Reason != schema.ResultInvalid || !v.Result) || strings.Contains(v.Detail, "S3CRET") {
			t.Errorf("%s: %+v", name, v)
		}
		v, _ = ask(t, build(t, func(c *schema.Config) { c.Results = "alert" }), x, mcp.ToClient, raw)
		if v.Action != guard.Allow || (len(v.Obligations) == 1) != (c.hint != "") {
			t.Errorf("%s, alert: %+v", name, v)
		}
		x.Asked.Name = "echo"
		if v, _ = ask(t, build(t, nil), x, mcp.ToClient, raw); v.Action != guard.Allow {
			t.Errorf("%s, of a tool without output schema: %+v", name, v)
		}
	}
}

// origins are the tools of tasks, by id.
type origins map[string]string

func (o origins) Remember(_ *guard.Exchange, task, tool string) { o[task] = tool }

func (o origins) Tool(_ *guard.Exchange, task string) (string, bool) {
	tool, ok := o[task]
	return tool, ok
}

// A tool that answers by way of a task is held to its schema all the same.
func TestResultsOfTasks(t *testing.T) {
	made := origins{}
	g := guardtest.Build[schema.Config](t, schema.Spec(schema.Ports{Schemas: known, Tasks: made}), nil)
	const good, bad = `{"content":[],"structuredContent":{"id":1}}`, `{"content":[],"structuredContent":{"id":"S3CRET"}}`
	for name, c := range map[string]struct{ begun, asks, id, answer, hint string }{
		"tasks/result":                       {`{"task":{"taskId":"t1","status":"working"}}`, "tasks/result", "t1", `"id":1,"result":` + bad, "/structuredContent/id: type"},
		"tasks/result that fits":             {`{"task":{"taskId":"t1","status":"working"}}`, "tasks/result", "t1", `"id":1,"result":` + good, ""},
		"tasks/get, later revision":          {`{"resultType":"task","taskId":"t2","status":"working"}`, "tasks/get", "t2", `"id":1,"result":{"taskId":"t2","status":"completed","result":` + bad + `}`, "/result/structuredContent/id: type"},
		"tasks/get while it works":           {`{"resultType":"task","taskId":"t2","status":"working"}`, "tasks/get", "t2", `"id":1,"result":{"taskId":"t2","status":"working"}`, ""},
		"a notification, on another stream":  {`{"resultType":"task","taskId":"t2","status":"working"}`, "subscriptions/listen", "", `"method":"notifications/tasks","params":{"taskId":"t2","status":"completed","result":` + bad + `}`, "/result/structuredContent/id: type"},
		"a task that nobody saw being begun": {`{"content":[]}`, "tasks/result", "t9", `"id":1,"result":` + bad, ""},
	} {
		x := crm()
		x.Revision, x.Asked = mcp.R20250326, guard.Asked{Kind: mcp.Request, Method: "tools/call", Name: "send", ID: json.RawMessage("1")}
		if v, _ := ask(t, g, x, mcp.ToClient, `{"jsonrpc":"2.0","id":1,"result":`+c.begun+`}`); v.Action != guard.Allow {
			t.Fatalf("%s: begun: %+v", name, v)
		}
		x = crm()
		x.Revision, x.Asked = mcp.R20251125, guard.Asked{Kind: mcp.Request, Method: c.asks, Name: "sealed", ID: json.RawMessage("1")}
		if c.id != "" {
			if v, _ := ask(t, g, x, mcp.ToServer, `{"jsonrpc":"2.0","id":1,"method":"`+c.asks+`","params":{"taskId":"`+c.id+`"}}`); v.Action != guard.Allow {
				t.Fatalf("%s: asked: %+v", name, v)
			}
		}
		v, _ := ask(t, g, x, mcp.ToClient, `{"jsonrpc":"2.0",`+c.answer+`}`)
		if v.Hint != c.hint || (v.Action == guard.Allow) != (c.hint == "") || v.Result || strings.Contains(v.Detail, "S3CRET") {
			t.Errorf("%s: %+v", name, v)
		}
		clear(made)
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	_, err := guardtest.Try(schema.Spec(ports()), func(c *schema.Config) { *c = schema.Config{Unknown: "x"} })
	for _, want := range []string{`arguments: ""`, `results: ""`, `unknown_properties: "x"`, `sensitive_unknown: ""`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

// What a schema names is a server's word too, and becomes part of a line.
func TestNamesOfSchemasCannotBreakTheLine(t *testing.T) {
	name := strings.Repeat(`\n\u202e`, 400)
	g := guardtest.Build[schema.Config](t, schema.Spec(schema.Ports{Schemas: pins{"t": pinned(`{"inputSchema":{"required":["` + name + `"]}}`)}}), nil)
	v, _ := ask(t, g, crm(), mcp.ToServer, call("t", "{}"))
	if len(v.Hint) > 410 || strings.ContainsAny(v.Hint, "\n\u202e") || v.Reason != schema.ArgumentsInvalid {
		t.Errorf("%+v", v)
	}
}

func BenchmarkInspect(b *testing.B) {
	g := build(b, nil)
	m, _ := decoder.Decode(mcp.ToServer, []byte(call("send", `{"to":"ada","o":{"a":"`+strings.Repeat("lorem ipsum ", 14)+`"}}`)))
	x := crm()
	b.ReportAllocs()
	for b.Loop() {
		if v, _ := g.Inspect(context.Background(), x, &m); v.Action != guard.Allow {
			b.Fatal(v)
		}
	}
}

// Whatever a client sends, what is taken out leaves JSON that the server can read.
func FuzzStrip(f *testing.F) {
	for _, s := range []string{`{"to":"ada","bcc":"eve"}`, `{"x/y~z":1,"to":"a","o":{"":2,"a":{"to":1}}}`, `{ "a" : 1 , "to" : "b" , "\u0061b":2 }`, `[]`} {
		f.Add(s)
	}
	g := build(f, func(c *schema.Config) { c.Unknown = "strip" })
	f.Fuzz(func(t *testing.T, arguments string) {
		m, fault := decoder.Decode(mcp.ToServer, []byte(call("send", arguments)))
		if fault != nil || m.Name != "send" {
			return
		}
		v, err := g.Inspect(context.Background(), crm(), &m)
		if err != nil {
			t.Fatal(err)
		}
		out, err := decoder.Apply(&m, v.Edits...)
		if err != nil {
			t.Fatalf("%s: %v", arguments, err)
		}
		if v.Action != guard.Allow {
			return
		}
		if again, _ := g.Inspect(context.Background(), crm(), &out); again.Action != guard.Allow || len(again.Edits) > 0 {
			t.Errorf("%s: %s is judged again: %+v", arguments, out.Raw, again)
		}
	})
}

// A client of a revision without a member reads past it, and so the member takes
// nothing out of sight.
func TestAMemberThatTheClientReadsPastHidesNoResult(t *testing.T) {
	g := build(t, func(c *schema.Config) { c.Results = "enforce" })
	for name, c := range map[string]struct {
		revision mcp.Revision
		result   string
		refused  bool
	}{
		"resultType before there is one":         {mcp.R20250618, `{"content":[],"structuredContent":{"id":"x"},"resultType":"input_required"}`, true},
		"a resultType that nobody knows":         {mcp.R20260728, `{"content":[],"structuredContent":{"id":"x"},"resultType":"odd"}`, true},
		"a result and a question":                {mcp.R20260728, `{"content":[],"structuredContent":{"id":"x"},"resultType":"input_required","inputRequests":{}}`, true},
		"a task before there is one":             {mcp.R20250618, `{"content":[],"structuredContent":{"id":"x"},"task":{"taskId":"t"}}`, true},
		"a task beside a result":                 {mcp.R20251125, `{"content":[],"structuredContent":{"id":"x"},"task":null}`, true},
		"a question alone":                       {mcp.R20260728, `{"resultType":"input_required","inputRequests":{}}`, false},
		"a question with an empty content":       {mcp.R20260728, `{"content":[],"resultType":"input_required","inputRequests":{"a":{}}}`, false},
		"a text of a kind that nobody knows":     {mcp.R20260728, `{"content":[{"type":"text","text":"x"}],"resultType":"odd"}`, true},
		"a task alone":                           {mcp.R20251125, `{"task":{"taskId":"t"}}`, false},
		"a fitting result with a task":           {mcp.R20251125, `{"content":[],"structuredContent":{"id":1},"task":{"taskId":"t"}}`, false},
		"what is said of an error is not judged": {mcp.R20250618, `{"content":[],"structuredContent":{"id":"x"},"isError":true}`, false},
	} {
		x := crm()
		x.Revision, x.Asked = c.revision, guard.Asked{Kind: mcp.Request, Method: "tools/call", Name: "send"}
		v, _ := ask(t, g, x, mcp.ToClient, `{"jsonrpc":"2.0","id":1,"result":`+c.result+`}`)
		if (v.Action == guard.Deny) != c.refused {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
