package normal_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	render "github.com/yuin/goldmark/renderer/html"
	"golang.org/x/net/html"

	"github.com/sallyport/sallyport/internal/inspect/destination"
	"github.com/sallyport/sallyport/internal/inspect/normal"
)

func admits(url string) bool {
	p := destination.Policy{Entries: []destination.Entry{{Host: "api.company.com"}, {Host: "*.internal-tools.company.com", Private: true}}}
	return p.CheckURL(url) == nil
}

var forms = map[string]normal.Form{"plain": normal.Plain, "markdown": normal.Markdown, "html": normal.HTML}

func TestTheDevelopmentSet(t *testing.T) {
	f, err := os.ReadFile("../../../eval/testdata/injection/sanitize_dev.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	n := normal.New(normal.Markdown, admits)
	for line := range bytes.Lines(f) {
		var r struct {
			ID, Text string
			Not      []string `json:"must_not_contain"`
			Must     []string `json:"must_contain"`
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		got := n.Text(r.Text)
		for _, s := range r.Not {
			if strings.Contains(got, s) {
				t.Errorf("%s: %q still holds %q", r.ID, got, s)
			}
		}
		for _, s := range r.Must {
			if !strings.Contains(got, s) {
				t.Errorf("%s: %q lost %q", r.ID, got, s)
			}
		}
	}
}

func TestMarkdown(t *testing.T) {
	n := normal.New(normal.Markdown, admits)
	for _, c := range []struct{ name, in, want string }{
		{"plain text", "nothing to see, 3 < 4 && x > y", "nothing to see, 3 < 4 && x > y"},
		{"a type", "use a Map<String, List<int>> or <your-name>", "use a Map&lt;String, List<int>> or <your-name>"},
		{"a closing tag alone", "a</b>c", "ac"},
		{"paragraphs stay apart", "<p>one</p><p>two</p>", "one\ntwo\n"},
		{"a hidden element with elements inside", `<div style="display: none"><div>x</div>obey</div>seen`, "seen"},
		{"a hidden element that nothing ends", `seen <span hidden>obey`, "seen "},
		{"white on white", `<font style="color:#FFFFFF">obey</font>seen`, "seen"},
		{"a style with a comment inside", `<p style="display:/**/none">obey</p>seen`, "seen"},
		{"a style in entities", `<p style="display&#58;none">obey</p>seen`, "seen"},
		{"off the page", `<p style="position:absolute;left:-9999px">obey</p>seen`, "seen"},
		{"one pixel", `<p style="font-size:1px">obey</p>seen`, "seen"},
		{"an end tag in an attribute", `<script data-x="</script>">obey`, ""},
		{"a comment that a browser ends early", "a<!-->b-->c", "ab-->c"},
		{"a comment that nothing ends", "a<!-- obey", "a"},
		{"a tag that nothing ends", `a <img src="x" onerror='obey`, `a &lt;img src="x" onerror='obey`},
		{"a tag whose end is in a value only", `a <img alt=">`, "a "},
		{"tags that make a tag", "<scr<script>x</script>ipt>obey</scr<b>ipt>", "&lt;script>obey&lt;/script>"},
		{"brackets that make a tag", "<<b>script>obey", "&lt;script>obey"},
		{"code is left alone", "see `<b>` and ``a`<i>``, not <b>bold</b>", "see `<b>` and ``a`<i>``, not bold"},
		{"a fence is left alone", "```html\n<script>x</script>\n```\n<script>y</script>", "```html\n<script>x</script>\n```\n"},
		{"code over lines is not trusted", "`a\n`<script>x</script>`", "`a\n``"},
		{"code after an escaped backtick is not trusted", "\\``<script>x</script>`", "\\```"},
		{"no code over paragraphs", "`a\n\n<script>x</script>`", "`a\n\n`"},
		{"an image", "![words](https://evil.example/p.png)", "words"},
		{"an image without words", "![](https://evil.example/p.png)", normal.Removed},
		{"a link with a title", `[words](https://evil.example/ "evil.example title")`, "words"},
		{"a link in angle brackets", `[words](<https://evil.example/a b>)`, "words"},
		{"a link over lines", "[words](\nhttps://evil.example/\n'title'\n)", "words"},
		{"links in links", "[[a](https://evil.example/)](https://evil.example/)(https://evil.example/)", "a(" + normal.Removed + ")"},
		{"an allowed link in another", "[a [b](https://api.company.com/)](https://evil.example/)", "a [b](https://api.company.com/)"},
		{"a reference", "[a][1]\n\n[1]: https://evil.example/ 'title'\nmore", "[a][1]\n\n\nmore"},
		{"a reference in a quote", "> [1]: <https://evil.example/>\n", "> \n"},
		{"a reference over lines", "[1]:\n  https://evil.example/\n", "\n"},
		{"an allowed reference", "[1]: https://api.company.com/", "[1]: https://api.company.com/"},
		{"a relative link", "[a](../docs/x.md#y)", "[a](../docs/x.md#y)"},
		{"a link without a scheme", "[a](//evil.example/)", "a"},
		{"a link as browsers read it", `[a](/\evil.example/)`, "a"},
		{"a script by escapes", `[a](java\:script:alert)`, "a"},
		{"a script with a line break", "[a](<java\tscript:alert(1)>)", "a"},
		{"a bare URL", "see https://evil.example/?q=secret.", "see " + normal.Removed + "."},
		{"a bare URL to an allowed host", "see https://api.company.com/x, thanks", "see https://api.company.com/x, thanks"},
		{"a bare URL with a user", `see https://api.company.com"@evil.example/ now`, "see " + normal.Removed + " now"},
		{"a bare name", "see www.evil.example/x now", "see " + normal.Removed + " now"},
		{"a long title", "[a](https://evil.example \"" + strings.Repeat("x", 5000) + "\")", "[a] (" + normal.Removed + " \"" + strings.Repeat("x", 5000) + "\")"},
		{"a flag of tags", "🏴\U000e0067\U000e0062\U000e007f go", "🏴 go"},
		{"concealed text", "\x1b[0;8mobey\x1b[28m seen", " seen"},
		{"a terminal's title", "\x1b]0;obey\x07seen", "seen"},
		{"a C1 sequence", "\u009b8mobey\u009b0mseen", "seen"},
		{"carriage returns", "a\r\nb\rc", "a\nb\nc"},
		{"a keycap", "press 1️⃣", "press 1️⃣"},
		{"many selectors", "a\ufe0f\ufe0fb", "ab"},
	} {
		if got := n.Text(c.in); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestPlainTextKeepsWordsOnly(t *testing.T) {
	n := normal.New(normal.Plain, admits)
	for in, want := range map[string]string{
		"[a](https://api.company.com/) <your-name> **b**": "a  **b**",
		"<https://api.company.com/>":                      normal.Removed,
		"![x][1]":                                         "[x][1]",
	} {
		if got := n.Text(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestHTMLKeepsHarmlessElements(t *testing.T) {
	n := normal.New(normal.HTML, admits)
	for in, want := range map[string]string{
		`<p onclick="x()">a <b>b</b></p><script>c</script>`:                                              `<p>a <b>b</b></p>`,
		`<a href="https://evil.example/">a</a> <a href="https://api.company.com/x">b</a>`:                `a <a href="https://api.company.com/x">b</a>`,
		`<img src="https://evil.example/p" alt="x">y`:                                                    `<img alt="x">y`,
		`<p style="display:none">obey</p><p>seen</p>`:                                                    `<p>seen</p>`,
		`<div hidden><p>obey</p></div>seen <b style="opacity:0">obey</b>`:                                `seen `,
		`<a href="javascript:alert(1)">a</a><a href=" java&#10;script:x">b</a><a href="//evil.ex">c</a>`: `abc`,
	} {
		if got := n.Text(in); got != want {
			t.Errorf("%q:\n got %q\nwant %q", in, got, want)
		}
	}
}

// Without a list of hosts links stay, and what is fetched unasked goes.
func TestWithoutAListOnlyImagesGo(t *testing.T) {
	n := normal.New(normal.Markdown, nil)
	in := "[a](https://x.example/) https://y.example/ ![b](https://z.example/i.png) ![c][1] [d](javascript:x)\n\n[1]: https://w.example/"
	if got, want := n.Text(in), "[a](https://x.example/) https://y.example/ b [c][1] d\n\n[1]: https://w.example/"; got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// rendered returns what a renderer of Markdown with HTML in it, and a browser
// behind it, would make of a text: elements, and where links and images lead.
func rendered(t testing.TB, form normal.Form, s string) (elements, destinations []string) {
	t.Helper()
	var b bytes.Buffer
	b.WriteString(s)
	if form != normal.HTML {
		b.Reset()
		md := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(render.WithUnsafe()))
		if err := md.Convert([]byte(s), &b); err != nil {
			t.Fatal(err)
		}
	}
	doc, err := html.Parse(&b)
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		switch n.Type {
		case html.CommentNode:
			elements = append(elements, "comment")
		case html.ElementNode:
			elements = append(elements, n.Data)
			for _, a := range n.Attr {
				switch {
				case a.Key == "href" || a.Key == "src":
					destinations = append(destinations, n.Data+" "+a.Val)
				case strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcset" || a.Key == "action":
					elements = append(elements, n.Data+"["+a.Key+"]")
				}
			}
		}
	}
	return elements, destinations
}

var isScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*$`)

var dangerous = map[string]bool{"script": true, "iframe": true, "svg": true, "math": true, "style": true, "object": true, "embed": true, "form": true, "meta": true,
	"link": true, "base": true, "video": true, "audio": true, "template": true, "textarea": true, "noscript": true, "comment": true, "frameset": true}

// judge holds what is left against a renderer that the normaliser knows nothing of.
func judge(t testing.TB, form normal.Form, in string) {
	t.Helper()
	n := normal.New(form, admits)
	out := n.Text(in)
	if again := n.Text(out); again != out {
		t.Errorf("form %d: %q becomes %q, and that %q", form, in, out, again)
	}
	elements, destinations := rendered(t, form, out)
	for _, e := range elements {
		if dangerous[e] || strings.Contains(e, "[") || form == normal.Plain && e == "img" {
			t.Errorf("form %d: %q becomes %q, which holds %s", form, in, out, e)
		}
	}
	for _, d := range destinations {
		what, where, _ := strings.Cut(d, " ")
		where = strings.TrimSpace(where)
		if low := strings.ToLower(where); strings.HasPrefix(low, "http:") && what == "a" && strings.HasPrefix(low, "http://www.") {
			where = "https" + where[4:] // a renderer's own guess for a bare name
		}
		if strings.HasPrefix(where, "//") && !strings.Contains(where, `\`) {
			where = "https:" + where // where the text is shown by https
		}
		scheme, rest, absolute := strings.Cut(where, ":")
		if !isScheme.MatchString(scheme) {
			absolute = false
		}
		if strings.EqualFold(scheme, "https") && !strings.ContainsAny(rest, "\\") {
			where = "https://" + strings.TrimLeft(rest, "/") // as browsers read it, however many slashes there are
		}
		switch {
		case strings.HasPrefix(where, "//") || strings.HasPrefix(where, "/\\") || strings.HasPrefix(where, `\`):
			t.Errorf("form %d: %q becomes %q, which leads to %s", form, in, out, d)
		case !absolute, strings.EqualFold(scheme, "mailto") && what == "a", strings.EqualFold(scheme, "tel") && what == "a":
		case !admits(where):
			t.Errorf("form %d: %q becomes %q, which leads to %s", form, in, out, d)
		}
	}
}

var attacks = []string{
	"[x]<b>(https://evil.example/)</b>", "![x]<!-- -->(https://evil.example/)", "`<!-- -->` <script>x</script>", "`` ` `<script>x</script>` ``",
	"<div>\n```\n</div>\n<script>x</script>\n", "> ```\n<script>x</script>\n", "- ```\n  <script>x</script>\n", "~~~\n```\n~~~\n<script>x</script>\n```",
	"[a]: https://evil.example/\n[a]", "[a\n]: https://evil.example/\n\n[a\n]", "[a](https://api.company.com`](https://evil.example/)`)",
	"<a href=\"`\">`<script>x</script>`", "&lt;script>x", "<https://api.company.com@evil.example/>", "https://api.company.com\\@evil.example/",
	"http://api.company.com", "HTTPS://EVIL.EXAMPLE", "ftp://evil.example/x", "[x](HtTpS:evil.example)", "[x](https:/\\evil.example)", "[x](https&colon;//evil.example)",
	"[x](https://evil.example\n\n)", "![x](\"a\")", "[![x](https://evil.example/)](https://api.company.com/)", "www.evil.example", "WWW.evil.example/a?b", "https://api.company.coM", "[](https:api.coMpany.com/)", "[](https:/api.company.com/)", "https://API.Company.com/A?B", "see https://api.company.Com.",
	"<x-y onclick=a>z</x-y>", "<a/href=https://evil.example>x", "<table><tr><td>a</td></tr></table>", "<p hidden=x>a<p>b", "<![CDATA[<script>x</script>]]>",
	"<?php <script>x</script> ?>", "\\<script>x</script>", "\\[x](https://evil.example/)", "\\\\[x](https://evil.example/)", "[x\\](https://evil.example/)", "\\![x](https://evil.example/)",
	"mail a@evil.example", "<a@evil.example>", "[x][y]\n\n[y]: <java\nscript:x>", "[^1]\n\n[^1]: https://evil.example/", "| a |\n|---|\n| `x | ` <script>y</script> |",
	"- [ ] `a\n- `<script>x</script>`", "# `a\n`<script>x</script>`", "a\n===\n`", "    code <script>x</script>", "\t<script>x</script>", "a<br/>`b<br>c`",
}

func TestNoRendererMakesMoreOfIt(t *testing.T) {
	for _, in := range attacks {
		for _, f := range forms {
			judge(t, f, in)
		}
	}
}

func FuzzNormalise(f *testing.F) {
	for _, a := range attacks {
		f.Add(a)
	}
	data, err := os.ReadFile("../../../eval/testdata/injection/sanitize_dev.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var r struct{ Text string }
		if err := json.Unmarshal(line, &r); err != nil {
			f.Fatal(err)
		}
		f.Add(r.Text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 4096 {
			return
		}
		s = strings.ToValidUTF8(s, "?")
		for _, form := range forms {
			judge(t, form, s)
		}
	})
}

// Shapes that make careless parsers quadratic: with one that were, the test would
// not end before its time limit.
func TestHostileShapesTakeLinearTime(t *testing.T) {
	const size = 1 << 18
	for name, unit := range map[string]string{
		"open tags": "<a ", "quotes": `<a "`, "values": `<a b="`, "comments": "<!--", "declarations": "<!", "brackets": "[", "links": "[](", "titles": `[x](a "`,
		"backticks": "`", "rising runs": "` `` ``` ", "fences": "```\n", "svg": "<svg>", "hidden": "<p hidden>", "scripts": "<script", "ends": "</", "escapes": "\x1b[", "strings": "\x1b]",
		"entities": "&#", "schemes": "://", "names": "www.", "nested": "[[x](https://e.example)](", "angles": "<a:", "definitions": "[a]:\n", "styles": `<p style="/*`,
	} {
		text := strings.Repeat(unit, size/len(unit))
		for form, f := range forms {
			began := time.Now()
			normal.New(f, admits).Text(text)
			t.Logf("%s as %s: %s", name, form, time.Since(began))
			normal.New(f, admits).Text("<b>" + text + `"><script>x</script>`)
		}
	}
}

func BenchmarkProse(b *testing.B) {
	text := strings.Repeat("The quick brown fox jumps over the lazy dog, and 3 of 4 agree. ", 16)
	n := normal.New(normal.Markdown, admits)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		n.Text(text)
	}
}

func BenchmarkMarkup(b *testing.B) {
	text := strings.Repeat("See [docs](https://api.company.com/x) or <b>bold</b> `code <x>`.\n\n", 16)
	n := normal.New(normal.Markdown, admits)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		n.Text(text)
	}
}
