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
	`data.org.tools[input.target.name].on`, `not data.org.tools[input.target.name].off`, `prepared[input.target.name]`, `not prepared.drop`,
	`"find" in {name | data.org.tools[name].on}`, `some n, t in data.org.tools; t.on; n == input.target.name`, `tally == 1`, `input.tool.sensitive`,
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
		fmt.Fprintf(&b, "\n\nhelper if %s\n\nhelper if %s\n\nabout[name] if {\n\tsome name in [\"find\", \"drop\"]\n\t%s\n}\n\nf(x) if {\n\tx != \"drop\"\n\t%s\n}\n\nprepared[name] := t.on if some name, t in data.org.tools\n\ntally := count(data.org.tools)\n",
			plain.Draw(r, "helper"), plain.Draw(r, "helper"), plain.Draw(r, "about"), plain.Draw(r, "f"))
		files := map[string]string{"p.rego": b.String(), "org/data.json": fmt.Sprintf(`{"on": %v, "tools": %s}`, rapid.Bool().Draw(r, "on"),
			rapid.SampledFrom([]string{`{"find": {"on": true}, "drop": {"off": 0}}`, `{"find": {"on": false}}`, `{}`, `{"drop": {"on": 1}}`}).Draw(r, "tools"))}
		cached := policyOf(t, files, Settings{CacheTTL: time.Hour, Places: 64, Deadline: time.Minute})
		anew := plainPolicy(t, files) // in every other way as the evaluator would do it itself
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

// plainPolicy decides without anything that is there for speed.
func plainPolicy(t testing.TB, files map[string]string) *Policy {
	t.Helper()
	b, err := Load(write(t, files), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := compiled(b, Settings{Places: 1, Deadline: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func question(r *rapid.T) *policy.Input {
	one := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(r, what) }
	in := &policy.Input{
		Principal: &guard.Principal{Subject: "s", Tenant: one("tenant", "acme", ""), Roles: []string{one("role", "support", "clerk", "root")}, Strength: one("strength", "mfa", "")},
		Server:    &guard.Server{Name: "crm", Tools: map[string]guard.Tool{"find": {Sensitive: rapid.Bool().Draw(r, "sensitive")}}}, Method: one("method", "tools/call", "tools/list"), Kind: mcp.Request,
		Target: policy.Target{Kind: policy.Tool, Name: one("name", "find", "drop")}, Revision: mcp.R20251125,
		Time: time.Unix(0, rapid.Int64Range(99, 102).Draw(r, "time")), Source: netip.MustParseAddr(one("source", "192.0.2.1", "192.0.2.2")),
		Params: []byte(one("params", `{"name":"x","arguments":{"n":2}}`, `{"arguments":{"n":1,"k":"x"}}`, `{"arguments":{"k":"y"}}`, `{}`)),
	}
	if rapid.Bool().Draw(r, "label") {
		in.Labels = []string{"pii"}
	}
	return in
}
