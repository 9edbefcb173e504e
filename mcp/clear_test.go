package mcp_test

import (
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/mcp"
)

func TestOfAURIOnlyWhatEveryReaderTakesForANameStandsInClear(t *testing.T) {
	for uri, want := range map[string]string{
		"crm://customers/C-1":                  "crm://customers/C-1",
		"file:///home/anna/Über%20uns,%20v2":   "file:///home/anna/Über%20uns,%20v2",
		"memo://insights":                      "memo://insights",
		"file:///C:/Users/a.txt":               "file:///C:/Users/a.txt",
		"crm:///u:s3cr3t:p/w@h/":               "crm:///[path]",
		"https://h.example:8443/":              "https://h.example:8443/",
		"https://[2001:db8::1]:8443/a":         "https://[2001:db8::1]:8443/a",
		"crm://customers/{id}":                 "crm://customers/{id}",
		"crm://h/a?token=s3cr3t":               "crm://h/a?[query]",
		"crm://h/a#s3cr3t":                     "crm://h/a#[fragment]",
		"crm://h?a#s3cr3t":                     "crm://h?[query]#[fragment]",
		"crm://h#a?s3cr3t":                     "crm://h#[fragment]",
		"crm://h?":                             "crm://h?[query]",
		"https://u:s3cr3t@h/a":                 "https://[userinfo]@h/a",
		"https://u:s3cr3t@x@h/a":               "https://[userinfo]@h/a",
		"https://u:s3/cr3t@h/a":                "https://[host]",
		`https://h\@s3cr3t/a`:                  "https://[userinfo]@s3cr3t/a", // the host, whoever reads it
		`https://s3cr3t\.h/a`:                  "https://[host]",
		"https://h%40s3cr3t/a":                 "https://[host]",
		"https://h:s3cr3t/a":                   "https://[host]",
		"https://[::1%25s3cr3t]/":              "https://[host]",
		"https:///u:s3cr3t@h/":                 "https://[host]",
		"https:/u:s3cr3t@h/":                   "https:[opaque]",
		"crm:////u:s3cr3t@h/":                  "crm:////[path]",
		"crm://h/a/b;id=s3cr3t/c":              "crm://h/a/[path]",
		"crm://h/a/id=s3cr3t":                  "crm://h/a/[path]",
		"crm://h/a%3Fs3cr3t":                   "crm://h/[path]",
		"crm://h/a%253Fs3cr3t":                 "crm://h/[path]",
		"crm://h/a%23s3cr3t":                   "crm://h/[path]",
		`crm://h/a\s3cr3t`:                     "crm://h/[path]",
		"crm://h/a/anna@mail.example/b?c":      "crm://h/a/[path]?[query]",
		"crm://h/a\uff1fs3cr3t":                "crm://h/[path]",
		"crm://h/a%EF%BC%9Fs3cr3t":             "crm://h/[path]",
		"crm://h/a%FFs3cr3t":                   "crm://h/[path]",
		"crm://h/a%zzs3cr3t":                   "crm://h/[path]",
		"crm://h/[query]":                      "crm://h/[path]",
		"data:text/plain,s3cr3t":               "data:[opaque]",
		"DATA:;base64,czNjcjN0":                "DATA:[opaque]",
		"mailto:anna@mail.example":             "mailto:[opaque]",
		"urn:isbn:0451450523":                  "urn:[opaque]",
		"javascript:s3cr3t()":                  "javascript:[opaque]",
		"s3cr3t":                               "[uri]",
		"//u:s3cr3t@h/":                        "[uri]",
		"a b://s3cr3t":                         "[uri]",
		strings.Repeat("a", 33) + "://s3cr3t/": "[uri]",
	} {
		if got := mcp.ExposePath.URI(uri); got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
}

func TestLessOrMoreOfAURIStandsInClearWhereConfigurationSaysSo(t *testing.T) {
	for uri, want := range map[string][2]string{
		"crm://h/a/b?c#d":      {"crm://h/[path]?[query]#[fragment]", "crm://h/a/b?c#d"},
		"crm://h/":             {"crm://h/", "crm://h/"},
		"https://u:p@h/a?b":    {"https://[userinfo]@h/[path]?[query]", "https://[userinfo]@h/a?b"},
		"urn:isbn:0451450523":  {"urn:[opaque]", "urn:isbn:0451450523"},
		"https:/u:s3cr3t@h/":   {"https:[opaque]", "https:[opaque]"},
		"https:///u:s3cr3t@h/": {"https://[host]", "https://[host]"},
		"no URI":               {"[uri]", "no URI"},
	} {
		if got := mcp.ExposeHost.URI(uri); got != want[0] {
			t.Errorf("host: %s: %s, want %s", uri, got, want[0])
		}
		if got := mcp.ExposeWhole.URI(uri); got != want[1] {
			t.Errorf("whole: %s: %s, want %s", uri, got, want[1])
		}
	}
}

func TestOnlyURIsOfResourcesAreCut(t *testing.T) {
	d := mcp.NewDecoder(mcp.Config{AnyNames: true})
	for raw, want := range map[string]string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a://b?c"}}`:                                                                   "a://b?c",
		`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"a?b"}}`:                                                                      "a?b",
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a://b?c"}}`:                                                                "a://b?[query]",
		`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"a://u@b"}}`:                                                           "a://[userinfo]@b",
		`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"a://b/{c}?d"},"argument":{"name":"c"}}}`: "a://b/{c}?[query]",
	} {
		m, f := d.Decode(mcp.ToServer, []byte(raw))
		if f != nil {
			t.Fatal(f)
		}
		if m.InClear() != want {
			t.Errorf("%s: %s", raw, m.InClear())
		}
		m = mcp.Message{Method: m.Method, Name: m.Name} // made by hand
		if m.InClear() != want {
			t.Errorf("%s, by hand: %s", raw, m.InClear())
		}
	}
}

// Whatever separators stand around a secret that some reader takes for a query, a
// fragment or user information, in whatever spelling, it is not shown.
func TestNoSpellingOfASeparatorShowsWhatComesBehindIt(t *testing.T) {
	pick := func(s ...string) string { return s[rand.N(len(s))] }
	begins := []string{"https://h", "crm://h", "file://", "HTTP://h:80", "a+b://h/x", "https:h", "crm:/h", "crm:h", "https:///h", `https:\\h`, "h", "//h", "crm://[::1]"}
	marks := []string{"?", "#", ";", "&", "=", "%3f", "%3F", "%23", "%3B", "%26", "%3d", "%253F", "%25253f", "\uff1f", "\uff03", "%EF%BC%9F", "\ufe56", "\u2047", "/?", "/a/b?", `\?`, "?#", "//?", "/%3f", "@"}
	for range 20_000 {
		uri := pick(begins...) + pick("", "/", "/a", "/a/b.txt", "//") + pick(marks...) + pick("", "a", "k=") + "S3cr3tOne"
		for _, e := range []mcp.Exposure{mcp.ExposePath, mcp.ExposeHost} {
			// Behind an @ that no slash precedes stands the host for every reader.
			if got := e.URI(uri); strings.Contains(got, "S3cr3t") && !strings.Contains(uri, "@S3cr3t") && !strings.Contains(uri, "@a") && !strings.Contains(uri, "@k=") {
				t.Fatalf("%q shows %q", uri, got)
			}
		}
		uri = pick("https:", "crm:", "HTTPS:", "") + pick("//", "/", "", "///", `\\`, `/\`) + pick("", "u:", "u%3A") + "S3cr3tOne" + pick("@", "%40", "\uff20", "@x@", ":1@", `\@`, ":p/w@", ":p@") + "h" + pick("", "/", "/a")
		if got := mcp.ExposePath.URI(uri); strings.Contains(got, "S3cr3t") {
			t.Fatalf("%q shows %q", uri, got)
		}
	}
}

func FuzzNothingThatAParserCallsSecretStandsInClear(f *testing.F) {
	for _, s := range []string{"https://u:p@h/a?q=1#f", "data:text/plain,x", "crm://h/%3Fa", `a:\\b@c?d`, "urn:x:y#z", "https://h/a;b?c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		whole, path, host := mcp.ExposeWhole.URI(uri), mcp.ExposePath.URI(uri), mcp.ExposeHost.URI(uri)
		u, err := url.Parse(uri)
		if err != nil {
			return
		}
		hides := func(what, secret, shown string) {
			// A secret that the rest of the URI says too is none.
			if len(secret) >= 4 && strings.Count(uri, secret) == 1 && strings.Contains(shown, secret) {
				t.Errorf("%s %q of %q stands in %q", what, secret, uri, shown)
			}
		}
		for _, shown := range []string{path, host} {
			hides("query", u.RawQuery, shown)
			hides("fragment", u.EscapedFragment(), shown)
			hides("opaque part", u.Opaque, shown)
		}
		if pw, ok := u.User.Password(); ok && u.Host != "" {
			for _, shown := range []string{path, host, whole} {
				hides("password", pw, shown)
			}
		}
		if u.Path != "/" && u.Host != "" {
			hides("path", u.EscapedPath(), host)
		}
	})
}
