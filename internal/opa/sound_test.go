package opa

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
)

// conditions are what random rules are made of: reads of every kind, through
// helpers, negations, comprehensions and rule indexes.
var conditions = []string{
	`input.principal.tenant == "acme"`, `"support" in input.principal.roles`, `not input.principal.anonymous`,
	`input.target.name == "find"`, `startswith(input.target.name, "f")`, `input.method == "tools/call"`,
	`input.arguments.n > 1`, `not input.arguments.n`, `object.get(input.arguments, "k", "x") == "x"`,
	`count([1 | some v in input.arguments; v == 1]) == 1`, `input.time > 100`, `input.labels == ["pii"]`, `"pii" in input.labels`,
	`input.source == "192.0.2.1"`, `input.authentication.strength == "mfa"`, `helper`, `not helper`, `about[input.target.name]`,
	`f(input.target.name)`, `input.params.name`, `some r in input.principal.roles; r == "clerk"`, `data.org.on`, `every q in input.principal.roles { q != "root" }`,
}

// TestTheCacheNeverChangesAnAnswer asks random policies random questions, and
// holds answers from the cache against answers made anew.
func TestTheCacheNeverChangesAnAnswer(t *testing.T) {
	hits := uint64(0)
	rapid.Check(t, func(r *rapid.T) {
		pick := func(what string) string { return rapid.SampledFrom(conditions).Draw(r, what) }
		var b strings.Builder
		b.WriteString("package sallyport\n\naccess := {\"allow\": true}\n\n")
		n := rapid.IntRange(1, 4).Draw(r, "rules")
		for i := range n {
			if i == 0 {
				b.WriteString("call := ")
			} else {
				b.WriteString(" else := ")
			}
			first := pick("first") // a body may declare a variable once
			second := rapid.SampledFrom(conditions).Filter(func(s string) bool { return s != first }).Draw(r, "second")
			fmt.Fprintf(&b, "{\"allow\": %v, \"detail\": \"rule %d\"} if {\n\t%s\n\t%s\n}", rapid.Bool().Draw(r, "allow"), i, first, second)
		}
		// Helpers must not read themselves.
		plain := rapid.SampledFrom(conditions[:15])
		fmt.Fprintf(&b, "\n\nhelper if %s\n\nhelper if %s\n\nabout[name] if {\n\tsome name in [\"find\", \"drop\"]\n\t%s\n}\n\nf(x) if {\n\tx != \"drop\"\n\t%s\n}\n",
			plain.Draw(r, "helper"), plain.Draw(r, "helper"), plain.Draw(r, "about"), plain.Draw(r, "f"))
		files := map[string]string{"p.rego": b.String(), "org/data.json": fmt.Sprintf(`{"on": %v}`, rapid.Bool().Draw(r, "on"))}
		cached := policyOf(t, files, Settings{CacheTTL: time.Hour, Places: 64, Deadline: time.Minute})
		anew := policyOf(t, files, Settings{Places: 1, Deadline: time.Minute})
		for range rapid.IntRange(2, 12).Draw(r, "questions") {
			in := question(r)
			got, err := cached.Decide(context.Background(), policy.Call, in)
			if err != nil {
				r.Fatal(err)
			}
			want, err := anew.Decide(context.Background(), policy.Call, in)
			if err != nil {
				r.Fatal(err)
			}
			if got.Allow != want.Allow || got.Detail != want.Detail {
				r.Fatalf("%s\n%s\nfrom the cache %+v, anew %+v", b.String(), in.AppendJSON(nil), got, want)
			}
		}
		hits += cached.Stats().Hits
	})
	if hits == 0 {
		t.Error("nothing came from the cache, so nothing was tested")
	}
	t.Logf("%d answers from the cache", hits)
}

func question(r *rapid.T) *policy.Input {
	one := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(r, what) }
	in := &policy.Input{
		Principal: &guard.Principal{Subject: "s", Tenant: one("tenant", "acme", ""), Roles: []string{one("role", "support", "clerk", "root")}, Strength: one("strength", "mfa", "")},
		Server:    &guard.Server{Name: "crm"}, Method: one("method", "tools/call", "tools/list"), Kind: mcp.Request,
		Target: policy.Target{Kind: policy.Tool, Name: one("name", "find", "drop")}, Revision: mcp.R20251125,
		Time: time.Unix(0, rapid.Int64Range(99, 102).Draw(r, "time")), Source: netip.MustParseAddr(one("source", "192.0.2.1", "192.0.2.2")),
		Params: []byte(one("params", `{"name":"x","arguments":{"n":2}}`, `{"arguments":{"n":1,"k":"x"}}`, `{"arguments":{"k":"y"}}`, `{}`)),
	}
	if rapid.Bool().Draw(r, "label") {
		in.Labels = []string{"pii"}
	}
	return in
}
