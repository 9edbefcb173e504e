package envelope

import (
	"context"
	"testing"

	"github.com/sallyport/sallyport/guard"
)

// lines is a header block in order.
type lines [][2]string

func (l lines) Get(name string) (value string, n int) {
	for _, f := range l {
		if f[0] == name {
			if n == 0 {
				value = f[1]
			}
			n++
		}
	}
	return value, n
}

func (l lines) Each(visit func(name string, value []byte)) {
	for _, f := range l {
		visit(f[0], []byte(f[1]))
	}
}

func made(t testing.TB, c Config) *envelope {
	t.Helper()
	g, err := build(c)
	if err != nil {
		t.Fatal(err)
	}
	return g.(*envelope)
}

func TestAPageThatRebindsItsNameIsRefused(t *testing.T) {
	g := made(t, Config{
		AllowedHosts:   []string{"mcp.example.com", "*.apps.example.com"},
		AllowedOrigins: []string{"https://app.example.com", "http://tool.example.com:8080", "vscode-webview://abc"},
	})
	host := func(v string) lines { return lines{{":authority", v}} }
	origin := func(v string) lines { return lines{{":authority", "localhost"}, {"origin", v}} }
	for _, tt := range []struct {
		name string
		h    lines
		want guard.Reason
	}{
		{"an attacker's name that now points here", host("evil.example:8080"), HostNotAllowed},
		{"a name of wildcard DNS that points here", host("127.0.0.1.nip.io"), HostNotAllowed},
		{"a name that begins with localhost", host("localhost.evil.example"), HostNotAllowed},
		{"a name that ends like an allowed one", host("evil-mcp.example.com"), HostNotAllowed},
		{"an allowed name inside another", host("mcp.example.com.evil.example"), HostNotAllowed},
		{"a name that ends like a wildcard's", host("evilapps.example.com"), HostNotAllowed},
		{"a wildcard's own name", host("apps.example.com"), HostNotAllowed},
		{"nothing before a wildcard's name", host(".apps.example.com"), HostNotAllowed},
		{"a user before the attacker's name", host("localhost@evil.example"), HostNotAllowed},
		{"two ports", host("localhost:80:80"), HostNotAllowed},
		{"no port after the colon", host("localhost:"), HostNotAllowed},
		{"port 0", host("localhost:0"), HostNotAllowed},
		{"a port out of range", host("localhost:65536"), HostNotAllowed},
		{"a signed port", host("localhost:+80"), HostNotAllowed},
		{"a path", host("localhost/evil.example"), HostNotAllowed},
		{"NUL", host("localhost\x00.evil.example"), HostNotAllowed},
		{"a Kelvin sign", host("localhost.\u212aevin"), HostNotAllowed},
		{"two names", host("localhost, evil.example"), HostNotAllowed},
		{"an open bracket", host("[::1"), HostNotAllowed},
		{"a name in brackets", host("[evil.example]"), HostNotAllowed},
		{"an address of version 4 in brackets", host("[127.0.0.1]"), HostNotAllowed},
		{"text after the bracket", host("[::1]evil.example"), HostNotAllowed},
		{"127.0.0.1 as one number", host("2130706433"), HostNotAllowed},
		{"127.0.0.1 in hex", host("0x7f.0.0.1"), HostNotAllowed},
		{"two dots at the end", host("localhost.."), HostNotAllowed},
		{"an empty host", host(""), HostNotAllowed},
		{"no host at all", lines{}, HostNotAllowed},
		{"two host headers", lines{{"host", "localhost"}, {"host", "evil.example"}}, HostNotAllowed},
		{"two authorities", lines{{":authority", "localhost"}, {":authority", "evil.example"}}, HostNotAllowed},
		{"a good authority beside an attacker's host", lines{{":authority", "localhost"}, {"host", "evil.example"}}, HostNotAllowed},
		{"a good host beside an attacker's authority", lines{{":authority", "evil.example"}, {"host", "localhost"}}, HostNotAllowed},

		{"localhost", host("localhost:8080"), ""},
		{"localhost in capitals with a dot", host("LocalHost."), ""},
		{"a name below localhost", host("mcp.localhost:80"), ""},
		{"an address", host("192.0.2.7:8080"), ""},
		{"an address of version 6", host("[2001:db8::1]:8080"), ""},
		{"a listed name", host("MCP.example.com:443"), ""},
		{"a listed name in the host header", lines{{"host", "mcp.example.com"}}, ""},
		{"a name below a wildcard", host("a.b.apps.example.com"), ""},

		{"a foreign page", origin("https://evil.example"), OriginNotAllowed},
		{"a page of another scheme", origin("http://app.example.com"), OriginNotAllowed},
		{"a page of another port", origin("https://app.example.com:8443"), OriginNotAllowed},
		{"a page below a listed one", origin("https://x.app.example.com"), OriginNotAllowed},
		{"a page whose name begins like a listed one", origin("https://app.example.com.evil.example"), OriginNotAllowed},
		{"a page with localhost in its name", origin("http://localhost.evil.example"), OriginNotAllowed},
		{"a page on some address", origin("http://192.0.2.7"), OriginNotAllowed},
		{"a sandboxed page or a file", origin("null"), OriginNotAllowed},
		{"an origin with a path", origin("https://app.example.com/x"), OriginNotAllowed},
		{"an origin with a user", origin("https://app.example.com@evil.example"), OriginNotAllowed},
		{"an origin without a scheme", origin("app.example.com"), OriginNotAllowed},
		{"an odd scheme on loopback", origin("gopher://localhost"), OriginNotAllowed},
		{"an empty origin", origin(""), OriginNotAllowed},
		{"two origins", lines{{":authority", "localhost"}, {"origin", "http://localhost"}, {"origin", "https://evil.example"}}, OriginNotAllowed},
		{"a cross-site image", lines{{":authority", "localhost"}, {"sec-fetch-site", "cross-site"}}, OriginNotAllowed},
		{"two opinions on the site", lines{{":authority", "localhost"}, {"sec-fetch-site", "none"}, {"sec-fetch-site", "cross-site"}}, OriginNotAllowed},

		{"a listed page", origin("https://APP.example.com"), ""},
		{"a listed page with its default port", origin("https://app.example.com:443"), ""},
		{"a listed page with its port", origin("http://tool.example.com:8080"), ""},
		{"a listed page of an editor", origin("vscode-webview://abc"), ""},
		{"a local page", origin("http://localhost:5173"), ""},
		{"a local page by address", origin("http://127.8.9.1:5173"), ""},
		{"a local page by an address of version 6", origin("https://[::1]"), ""},
		{"a local page by a mapped address", origin("http://[::ffff:127.0.0.1]"), ""},
		{"a person at the address bar", lines{{":authority", "localhost"}, {"sec-fetch-site", "none"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := g.Admit(context.Background(), &guard.Exchange{Headers: tt.h})
			if err != nil || v.Reason != tt.want || (v.Action == guard.Allow) != (tt.want == "") {
				t.Errorf("got %s %q (%s), %v", v.Action, v.Reason, v.Detail, err)
			}
		})
	}
	if v, _ := g.Admit(context.Background(), &guard.Exchange{}); v.Action != guard.Deny {
		t.Error("a request without any headers was admitted")
	}
}

func TestEveryBadEntryIsNamed(t *testing.T) {
	_, err := build(Config{
		AllowedHosts:   []string{"ok.example", "https://mcp.example.com", "mcp.example.com:443", "*", "[::1]", ""},
		AllowedOrigins: []string{"https://ok.example", "app.example.com", "null", "https://*"},
		AllowedMethods: []string{"tools/call", "tools/cal", "*", "to_client:tools/call"},
		DeniedMethods:  []string{"sampling/*", "Tools/*", "to_nobody:ping", "acme/thing"},
	})
	for _, key := range []string{"allowed_hosts[1]", "allowed_hosts[2]", "allowed_hosts[3]", "allowed_hosts[4]", "allowed_hosts[5]",
		"allowed_origins[1]", "allowed_origins[2]", "allowed_origins[3]", "allowed_methods[1]", "allowed_methods[2]", "allowed_methods[3]",
		"denied_methods[1]", "denied_methods[2]"} {
		if err == nil || !contains(err.Error(), key+": ") {
			t.Errorf("nothing is said about %s: %v", key, err)
		}
	}
	for _, key := range []string{"allowed_hosts[0]", "allowed_origins[0]", "allowed_methods[0]", "denied_methods[0]", "denied_methods[3]"} {
		if err != nil && contains(err.Error(), key) {
			t.Errorf("%s is refused: %v", key, err)
		}
	}
}
