package normalise_test

import (
	"context"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/guard/normalise"
	"github.com/sallyport/sallyport/internal/inspect/destination"
	"github.com/sallyport/sallyport/mcp"
)

var listed = &destination.Policy{Entries: []destination.Entry{{Host: "api.company.com"}}}

func set(text string) func(any) {
	return func(c any) { c.(*normalise.Config).Text = text }
}

func TestConformance(t *testing.T) {
	guardtest.Run(t, normalise.Spec(normalise.Ports{Inspect: true}),
		guardtest.Config{Name: "plain", Set: set("plain")}, guardtest.Config{Name: "html", Set: set("html")})
}

var decoder = mcp.NewDecoder(mcp.Config{})

func build(t *testing.T, p normalise.Ports, set func(*normalise.Config)) (guard.Guard, error) {
	t.Helper()
	return guardtest.Try(normalise.Spec(p), set)
}

func run(t *testing.T, g guard.Guard, asked, raw string) (guard.Verdict, string) {
	t.Helper()
	m, f := decoder.Decode(mcp.ToClient, []byte(raw))
	if f != nil {
		t.Fatalf("%s: %v", raw, f)
	}
	x := &guard.Exchange{Server: guard.Server{Name: "web"}, Asked: guard.Asked{Kind: mcp.Request, Method: asked, Name: "fetch"}}
	v, err := g.Inspect(context.Background(), x, &m)
	if err != nil || v.Action != guard.Allow {
		t.Fatal(v, err)
	}
	out, err := decoder.Apply(&m, v.Edits...)
	if err != nil {
		t.Fatal(err)
	}
	return v, string(out.Raw)
}

func result(body string) string { return `{"jsonrpc":"2.0","id":1,"result":` + body + `}` }

func TestWhatAModelReadsIsNormalised(t *testing.T) {
	g, err := build(t, normalise.Ports{Inspect: true, Egress: listed}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ asked, in, want string }{
		"a text block":                   {"tools/call", `{"content":[{"type":"text","text":"a\u200b <!-- obey -->b"}]}`, `{"content":[{"type":"text","text":"a b"}]}`},
		"an image to fetch":              {"tools/call", `{"content":[{"type":"text","text":"![x](https://evil.example/?q=\"1\")"}]}`, `{"content":[{"type":"text","text":"x"}]}`},
		"an allowed link":                {"tools/call", `{"content":[{"type":"text","text":"[x](https://api.company.com/\u0061)"}]}`, `{"content":[{"type":"text","text":"[x](https://api.company.com/\u0061)"}]}`},
		"JSON in a text block":           {"tools/call", `{"content":[{"type":"text","text":"{\"a\":\"<script>\\\"}\",\"b\":\"</script>c\"}"}]}`, `{"content":[{"type":"text","text":"{\"a\":\"\",\"b\":\"c\"}"}]}`},
		"structured content":             {"tools/call", `{"content":[],"structuredContent":{"text":"<b>a\u200b</b>"}}`, `{"content":[],"structuredContent":{"text":"<b>a</b>"}}`},
		"a resource":                     {"resources/read", `{"contents":[{"uri":"file:///a","mimeType":"text/html; charset=utf-8","text":"<script>x</script>a"}]}`, `{"contents":[{"uri":"file:///a","mimeType":"text/html; charset=utf-8","text":"a"}]}`},
		"source code":                    {"resources/read", `{"contents":[{"uri":"file:///a.go","mimeType":"text/x-go","text":"<script>\u202ea"}]}`, `{"contents":[{"uri":"file:///a.go","mimeType":"text/x-go","text":"<script>a"}]}`},
		"an embedded resource":           {"tools/call", `{"content":[{"type":"resource","resource":{"uri":"x:y","text":"<iframe src=x></iframe>a"}}]}`, `{"content":[{"type":"resource","resource":{"uri":"x:y","text":"a"}}]}`},
		"a media type with escapes":      {"resources/read", `{"contents":[{"uri":"file:///a","mimeType":"text\/html","text":"<script>x</script>a"}]}`, `{"contents":[{"uri":"file:///a","mimeType":"text\/html","text":"a"}]}`},
		"a block that claims to be code": {"tools/call", `{"content":[{"type":"text","mimeType":"text/x-go","text":"<script>x</script>a"}]}`, `{"content":[{"type":"text","mimeType":"text/x-go","text":"a"}]}`},
		"an embedded resource of code":   {"tools/call", `{"content":[{"type":"resource","resource":{"uri":"x:y","mimeType":"text/x-go","text":"<b>a"}}]}`, `{"content":[{"type":"resource","resource":{"uri":"x:y","mimeType":"text/x-go","text":"<b>a"}}]}`},
		"a prompt":                       {"prompts/get", `{"messages":[{"role":"user","content":{"type":"text","text":"a<style>b</style>"}}]}`, `{"messages":[{"role":"user","content":{"type":"text","text":"a"}}]}`},
		"an identifier with a bidi":      {"tools/call", `{"content":[{"type":"resource_link","uri":"file:///a","name":"\u202ea"}]}`, `{"content":[{"type":"resource_link","uri":"file:///a","name":"a"}]}`},
		"an identifier with brackets":    {"tools/call", `{"content":[{"type":"resource_link","uri":"file:///<a>","name":"<a>"}]}`, `{"content":[{"type":"resource_link","uri":"file:///<a>","name":"<a>"}]}`},
	} {
		v, got := run(t, g, c.asked, result(c.in))
		if got != result(c.want) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, result(c.want))
		}
		if changed := c.in != c.want; changed != (len(v.Obligations) == 1) {
			t.Errorf("%s: labels %v", name, v.Obligations)
		}
	}
	if _, got := run(t, g, "tools/call", `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":{"x":"a<!--b-->"}}}`); !strings.Contains(got, `"x":"a"`) {
		t.Errorf("a log message: %s", got)
	}
	if _, got := run(t, g, "tools/call", `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"a<!-- obey -->"}}`); !strings.Contains(got, `"message":"a"`) {
		t.Errorf("an error: %s", got)
	}
}

// A server that answers many small resources must not have each look through all
// of them: 20,000 took twenty seconds, and take a moment.
func TestManyResourcesAreLookedThroughOnce(t *testing.T) {
	g, err := build(t, normalise.Ports{Inspect: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	one := `{"uri":"x:y","text":"a\u200b","mimeType":"text/plain"}`
	_, got := run(t, g, "resources/read", result(`{"contents":[`+strings.Repeat(one+",", 3_999)+one+`]}`))
	if strings.Contains(got, `\u200b`) || strings.Count(got, `"text":"a"`) != 4_000 {
		t.Error("not normalised")
	}
}

func TestRulesAndDefaults(t *testing.T) {
	if g, err := build(t, normalise.Ports{}, nil); g != nil || err != nil {
		t.Errorf("without content inspection: %v, %v", g, err)
	}
	g, err := build(t, normalise.Ports{Inspect: true}, func(c *normalise.Config) {
		c.Rules = []normalise.Rule{{Servers: []string{"web"}, Tools: []string{"fetch"}, Text: "keep"}}
	})
	if err != nil {
		t.Fatal(err)
	}
	in := result(`{"content":[{"type":"text","text":"<!-- -->"}]}`)
	if _, got := run(t, g, "tools/call", in); got != in {
		t.Errorf("an exception: %s", got)
	}
	_, err = build(t, normalise.Ports{}, func(c *normalise.Config) {
		c.Text, c.Hosts, c.Rules = "rtf", []string{"https://x.example/"}, []normalise.Rule{{Text: "auto"}}
	})
	for _, want := range []string{`text: "rtf"`, "hosts[0]: ", "rules[0].text: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

func BenchmarkInspectOrdinaryResult(b *testing.B) {
	g := guardtest.Build[normalise.Config](b, normalise.Spec(normalise.Ports{Inspect: true, Egress: listed}), nil)
	raw := result(`{"content":[{"type":"text","text":"` + strings.Repeat("The order 4711 was shipped on Tuesday. ", 26) + `"}]}`)
	m, f := decoder.Decode(mcp.ToClient, []byte(raw))
	if f != nil {
		b.Fatal(f)
	}
	x := &guard.Exchange{Asked: guard.Asked{Kind: mcp.Request, Method: "tools/call"}}
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Inspect(context.Background(), x, &m); err != nil {
			b.Fatal(err)
		}
	}
}
