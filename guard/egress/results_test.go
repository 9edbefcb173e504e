package egress_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/egress"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/mcp"
)

// answered judges what a server answered to a call of crm/lookup, and returns what
// the client gets.
func answered(t testing.TB, s guard.Spec, results, raw string) (guard.Verdict, string) {
	t.Helper()
	g := guardtest.Build(t, s, func(c *egress.Config) {
		c.Results, c.Ignore = results, []egress.Tool{{Server: "crm", Tool: "search"}}
	})
	m := guardtest.Decode(t, mcp.ToClient, raw)
	tool := "lookup"
	if strings.Contains(raw, "searched") {
		tool = "search"
	}
	x := &guard.Exchange{Server: guard.Server{Name: "crm"}, Asked: guard.Asked{Kind: mcp.Request, Method: "tools/call", Name: tool, ID: json.RawMessage("1")}}
	v, err := g.Inspect(t.Context(), x, m)
	if err != nil {
		t.Fatal(err)
	}
	if v.Action != guard.Allow {
		return v, ""
	}
	if len(v.Edits) == 0 {
		return v, raw
	}
	out, err := decoder.Apply(m, v.Edits...)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v, string(out.Raw)
}

func content(blocks string) string {
	return `{"jsonrpc":"2.0","id":1,"result":{"content":[` + blocks + `]}}`
}

func TestLinksInAnswersAreJudgedLikeThoseInCalls(t *testing.T) {
	link := func(uri string) string { return `{"type":"resource_link","name":"x","uri":"` + uri + `"}` }
	text := func(s string) string { return `{"type":"text","text":"` + s + `"}` }
	withheld := text("[Withheld by the gateway: a link to a place that is not allowed]")
	for name, tt := range map[string]struct {
		answer, stripped string // the same: nothing is foreign; empty: it is withheld
	}{
		"nothing":                                {content(text("42")), content(text("42"))},
		"a resource link to an allowed host":     {content(link("https://api.company.com/x")), content(link("https://api.company.com/x"))},
		"a resource link of the server's own":    {content(link("crm://customers/7")), content(link("crm://customers/7"))},
		"a name that is no place":                {content(link("urn:isbn:0451450523")), content(link("urn:isbn:0451450523"))},
		"a file":                                 {content(link("file:///x")), content(link("file:///x"))},
		"a share":                                {content(link("file://evil.example/x")), content(withheld)},
		"a host that is spoken of":               {content(text("db7.example:5432 runs 1.2.3.4:80")), content(text("db7.example:5432 runs 1.2.3.4:80"))},
		"a resource link elsewhere":              {content(text("a") + "," + link("https://evil.example/c?d=1")), content(text("a") + "," + withheld)},
		"a resource link to a metadata service":  {content(link("http://169.254.169.254/x")), content(withheld)},
		"a resource link by a number":            {content(link("https://2852039166/x")), content(withheld)},
		"a resource link behind escapes":         {content(link(`https:\u002f\u002fevil.example`)), content(withheld)},
		"a type that stands behind":              {content(`{"uri":"https://evil.example","name":"x","type":"resource_link"}`), content(withheld)},
		"an icon of a resource link":             {content(`{"type":"resource_link","name":"x","uri":"crm://7","icons":[{"src":"https://evil.example/pixel?d=1"}]}`), content(withheld)},
		"an embedded resource":                   {content(`{"type":"resource","resource":{"uri":"https://evil.example/x","text":"kept"}}`), content(`{"type":"resource","resource":{"uri":"urn:sallyport:withheld","text":"kept"}}`)},
		"a link in a text":                       {content(text("see https://evil.example/c?d=1, and https://api.company.com/x.")), content(text("see [link withheld], and https://api.company.com/x."))},
		"an image in Markdown":                   {content(text("![x](https://evil.example/p?d=1) y")), content(text("![x]([link withheld]) y"))},
		"HTML":                                   {content(text(`<a href='https://evil.example/'>x</a>`)), content(text(`<a href='[link withheld]'>x</a>`))},
		"a link in the query of an allowed one":  {content(text("https://api.company.com/?to=https://evil.example/")), content(text("[link withheld]"))},
		"a link that cannot be cut out":          {content(text("aHR0cHM6Ly9ldmlsLmV4YW1wbGUvYz9kPTE=")), content(withheld)},
		"a link without slashes":                 {content(text("https:evil.example")), content(withheld)},
		"a script":                               {content(text("javascript:alert(1)")), content(withheld)},
		"another port":                           {content(text("https://api.company.com:444/")), content(text("[link withheld]"))},
		"structured content":                     {`{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"next":{"url":"https://evil.example/"}}}}`, `{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"next":{"url":"[link withheld]"}}}}`},
		"a name of a member":                     {`{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"https://evil.example/":1}}}`, ""},
		"a page that the client shall open":      {`{"jsonrpc":"2.0","id":9,"method":"elicitation/create","params":{"mode":"url","message":"m","elicitationId":"e","url":"https://evil.example/login"}}`, ""},
		"a message with a link":                  {`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"at https://evil.example/"}}`, `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"at [link withheld]"}}`},
		"a task that is told of":                 {`{"jsonrpc":"2.0","method":"notifications/tasks","params":{"taskId":"t","statusMessage":"at https://evil.example/"}}`, `{"jsonrpc":"2.0","method":"notifications/tasks","params":{"taskId":"t","statusMessage":"at [link withheld]"}}`},
		"the results of a search, which is used": {content(text("searched https://evil.example/")), content(text("searched https://evil.example/"))},
	} {
		v, got := answered(t, spec(), "strip", tt.answer)
		if got != tt.stripped || (tt.stripped == "") != (v.Reason == egress.ForeignLink) {
			t.Errorf("%s: stripped, %s %s\n%s\nwant\n%s", name, v.Reason, v.Detail, got, tt.stripped)
		}
		foreign := tt.stripped != tt.answer
		if v, got = answered(t, spec(), "refuse", tt.answer); (v.Reason == egress.ForeignLink) != foreign {
			t.Errorf("%s: to be refused: %s %s %s", name, v.Reason, v.Detail, got)
		}
		v, got = answered(t, spec(), "annotate", tt.answer)
		if v.Action != guard.Allow || (len(v.Obligations) > 0) != foreign || foreign && strings.Contains(tt.answer, `"result"`) != strings.Contains(got, `"sallyport.dev/links":{"foreign":[{"at":"/result/`) {
			t.Errorf("%s: to be annotated: %+v\n%s", name, v, got)
		}
		if strings.Contains(v.Detail, "d=1") {
			t.Errorf("%s: more than the host is told: %s", name, v.Detail)
		}
	}
}

func TestAnswersAreLookedAtOnlyWhereThatIsAskedFor(t *testing.T) {
	for _, tt := range []struct {
		results         string
		inspect, listed bool
		looks           bool
	}{{"auto", true, true, true}, {"auto", false, true, false}, {"auto", true, false, false}, {"strip", false, false, true}, {"allow", true, true, false}} {
		p := egress.Ports{Inspect: tt.inspect}
		if tt.listed {
			p.Allowlist = []string{"api.company.com"}
		}
		g := guardtest.Build(t, egress.Spec(p), func(c *egress.Config) { c.Results = tt.results })
		looks := false
		for _, w := range g.(guard.Wanter).Wants() {
			looks = looks || w.Direction == mcp.ToClient
		}
		if looks != tt.looks || (g.(guard.OneWay).RequestsOnly() != nil) != tt.looks {
			t.Errorf("%+v: looks %v", tt, looks)
		}
	}
	if v, _ := answered(t, egress.Spec(egress.Ports{}), "refuse", content(`{"type":"text","text":"https://evil.example/"}`)); v.Action != guard.Allow {
		t.Errorf("without any list: %+v", v)
	}
	if v, _ := answered(t, egress.Spec(egress.Ports{}), "refuse", content(`{"type":"text","text":"http://169.254.169.254/"}`)); v.Action == guard.Allow {
		t.Error("without any list a metadata service may be linked to")
	}
}

// However links are written, none is left where they are taken out.
func FuzzNoLinkIsLeft(f *testing.F) {
	for _, s := range []string{"https://evil.example", "x https://a@b://evil.example/?u=http://c", "://", "+://https://evil", "aHR0cHM6Ly9ldmlsLmV4YW1wbGUvYz9kPTE=", "1http://evil.example"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, text, uri string) {
		block, err := json.Marshal([]map[string]any{{"type": "text", "text": text}, {"type": "resource_link", "name": text, "uri": uri}, {"type": "resource", "resource": map[string]string{"uri": uri, "text": text}}})
		if err != nil || len(text)+len(uri) > 4096 {
			return
		}
		raw := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"result":{"content":%s}}`, block)
		if _, fault := decoder.Decode(mcp.ToClient, []byte(raw)); fault != nil {
			return
		}
		_, got := answered(t, spec(), "strip", raw)
		if got == "" {
			return
		}
		if v, _ := answered(t, spec(), "refuse", got); v.Action != guard.Allow {
			t.Errorf("%s\nis left in\n%s", v.Detail, got)
		}
	})
}

func BenchmarkLinks(b *testing.B) {
	page := content(`{"type":"text","text":"` + strings.Repeat("The committee met at 10:30. It read report.txt, and https://api.company.com/x was named. ", 100) + `"}`)
	g := guardtest.Build(b, spec(), func(c *egress.Config) { c.Results = "strip" })
	m := guardtest.Decode(b, mcp.ToClient, page)
	x := &guard.Exchange{Server: guard.Server{Name: "crm"}, Asked: guard.Asked{Kind: mcp.Request, Method: "tools/call", Name: "lookup"}}
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		if _, err := g.Inspect(b.Context(), x, m); err != nil {
			b.Fatal(err)
		}
	}
}
