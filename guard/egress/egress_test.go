package egress_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/egress"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/mcp"
)

// names is a resolver; "known:" before a name says that it needs no look-up.
type names map[string][]netip.Addr

func (n names) Known(host string) ([]netip.Addr, bool) { a, ok := n["known:"+host]; return a, ok }

func (n names) Lookup(_ context.Context, host string) ([]netip.Addr, error) {
	if a, ok := n[host]; ok {
		return a, nil
	}
	return nil, errors.New("no such name")
}

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

var dns = names{
	"api.company.com":         addrs("93.184.216.34"),
	"known:cdn.company.com":   addrs("93.184.216.35", "2606:2800:220:1::1"),
	"rebound.company.com":     addrs("93.184.216.34", "127.0.0.1"),
	"known:bad.company.com":   addrs("169.254.169.254"),
	"wiki.tools.company.com":  addrs("10.1.2.3"),
	"data.warehouse.internal": addrs("10.9.9.9"),
	"intra.company.com":       addrs("10.1.2.4"),
}

func spec() guard.Spec {
	return egress.Spec(egress.Ports{Resolver: dns, Allowlist: []string{"api.company.com", "cdn.company.com", "rebound.company.com", "bad.company.com", "data.warehouse.internal", "intra.company.com", "gone.company.com"}})
}

func entries(c *egress.Config) {
	c.Allow = []egress.Entry{
		{Host: "*.tools.company.com", Private: true},
		{Host: "only.company.com", Ports: []int{8443}, Schemes: []string{"https", "wss"}, Servers: []string{"crm"}, Tools: []string{"lookup"}, Tenants: []string{"acme"}},
		{Host: "93.184.216.40"},
	}
	c.Ignore = []egress.Tool{{Server: "crm", Tool: "search"}}
}

func TestConformance(t *testing.T) {
	guardtest.Run(t, egress.Spec(egress.Ports{}))
	guardtest.Run(t, spec(), guardtest.Config{Name: "more entries", Set: func(c any) { entries(c.(*egress.Config)) }})
}

var decoder = mcp.NewDecoder(mcp.Config{})

func judge(t *testing.T, s guard.Spec, set func(*egress.Config), raw string) guard.Verdict {
	t.Helper()
	g, m := guardtest.Build(t, s, set), guardtest.Decode(t, mcp.ToServer, raw)
	x := &guard.Exchange{Server: guard.Server{Name: "crm"}, Principal: guard.Principal{Tenant: "acme"}}
	v, err := g.Inspect(context.Background(), x, m)
	if err == nil && v.Pending != nil {
		v, err = v.Pending(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDestinationsAreJudgedWhereverTheyStand(t *testing.T) {
	call := func(tool, args string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":` + args + `}}`
	}
	for name, c := range map[string]struct {
		raw   string
		allow bool
	}{
		"nothing":                                  {call("lookup", `{"q":"42"}`), true},
		"a listed host":                            {call("lookup", `{"url":"https://api.company.com/x"}`), true},
		"a listed host, known":                     {call("lookup", `{"url":"https://cdn.company.com/x"}`), true},
		"a private name of the guide's list":       {call("lookup", `{"url":"https://data.warehouse.internal/x"}`), true},
		"a public name that leads inside":          {call("lookup", `{"url":"https://intra.company.com/x"}`), false},
		"a private name that may lead inside":      {call("lookup", `{"url":"https://wiki.tools.company.com/"}`), true},
		"one address of several is loopback":       {call("lookup", `{"url":"https://rebound.company.com/"}`), false},
		"a listed name leads to metadata":          {call("lookup", `{"url":"https://bad.company.com/"}`), false},
		"a listed name that does not exist":        {call("lookup", `{"url":"https://gone.company.com/"}`), false},
		"an unlisted host in prose":                {call("lookup", `{"q":"please post it to https://evil.example/c?d=1"}`), false},
		"an unlisted host in base64":               {call("lookup", `{"q":"aHR0cHM6Ly9ldmlsLmV4YW1wbGUvYz9kPTE="}`), false},
		"an unlisted host behind escapes":          {call("lookup", `{"q":"https:\u002f\u002fevil.example"}`), false},
		"an unlisted host as a key":                {call("lookup", `{"https://evil.example/":1}`), false},
		"a listed address":                         {call("lookup", `{"u":"https://93.184.216.40/"}`), true},
		"another port":                             {call("lookup", `{"u":"https://api.company.com:444/"}`), false},
		"an entry for this tool":                   {call("lookup", `{"u":"wss://only.company.com:8443/"}`), false}, // does not resolve
		"an entry for another tool":                {call("store", `{"u":"wss://only.company.com:8443/"}`), false},
		"a tool that goes nowhere":                 {call("search", `{"q":"what is https://evil.example"}`), true},
		"a resource elsewhere":                     {`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"http://10.0.0.1/"}}`, false},
		"a resource by a name of the server's own": {`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"crm://customers/7"}}`, true},
		"a file resource":                          {`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///data/x.csv"}}`, true},
		"an answer to the server's question":       {`{"jsonrpc":"2.0","id":1,"result":{"action":"accept","content":{"site":"https://evil.example"}}}`, false},
		"a URL that cannot be read without doubt":  {call("lookup", `{"url":"https://api.company.com\\@evil.example/"}`), false},
	} {
		v := judge(t, spec(), entries, c.raw)
		if (v.Action == guard.Allow) != c.allow || !c.allow && v.Reason != egress.Denied {
			t.Errorf("%s: %v %s %s", name, v.Action, v.Reason, v.Detail)
		}
	}
}

func TestWithoutAListOnlyMetadataServicesAreRefused(t *testing.T) {
	for url, allow := range map[string]bool{
		"https://anything.example/": true, "http://localhost:3000/": true, "http://169.254.169.254/latest": false,
		"http://[::ffff:a9fe:a9fe]/": false, "http://2852039166/": false, "http://metadata.google.internal/": false, "see fig. 3.2 :)": true,
	} {
		v := judge(t, egress.Spec(egress.Ports{Resolver: dns}), nil, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"u":"`+url+`"}}}`)
		if (v.Action == guard.Allow) != allow {
			t.Errorf("%s: %v %s", url, v.Action, v.Detail)
		}
	}
}

func TestEntriesThatAreNoHostsAreRefused(t *testing.T) {
	for _, host := range []string{"https://api.company.com", "api.company.com/x", "api.company.com:443", "*.10.0.0.1", "a b", "*", ""} {
		_, err := guardtest.Try(spec(), func(c *egress.Config) { c.Allow = []egress.Entry{{Host: host}} })
		if err == nil || !strings.HasPrefix(err.Error(), "allow[0].host: ") {
			t.Errorf("%q: %v", host, err)
		}
	}
}
