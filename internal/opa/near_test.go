package opa

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/policies"
)

func TestMemoryIsTheEvaluatorsOwn(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		ours, theirs := &memory{}, topdown.NewVirtualCache()
		ours.Push()
		depth := 1
		for range rapid.IntRange(1, 80).Draw(r, "steps") {
			ref := ast.Ref{ast.DefaultRootDocument}
			for range rapid.IntRange(1, 10).Draw(r, "length") {
				ref = append(ref, ast.StringTerm(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "part")))
			}
			switch rapid.IntRange(0, 9).Draw(r, "do") {
			case 0:
				ours.Push()
				theirs.Push()
				depth++
			case 1:
				if depth > 1 {
					ours.Pop()
					theirs.Pop()
					depth--
				}
			case 2, 3, 4:
				if v, u := theirs.Get(ref); v == nil && !u { // the evaluator puts once
					value := ast.IntNumberTerm(rapid.IntRange(0, 9).Draw(r, "value"))
					if rapid.Bool().Draw(r, "undefined") {
						value = nil
					}
					ours.Put(ref, value)
					theirs.Put(ref, value)
				}
			}
			got, gotUndefined := ours.Get(ref)
			want, wantUndefined := theirs.Get(ref)
			if got != want || gotUndefined != wantUndefined {
				r.Fatalf("%v: got %v %v, want %v %v", ref, got, gotUndefined, want, wantUndefined)
			}
		}
		names := func(keys []ast.Ref) []string {
			var out []string
			for _, k := range keys {
				out = append(out, k.String())
			}
			slices.Sort(out)
			return out
		}
		if got, want := names(ours.Keys()), names(theirs.Keys()); !slices.Equal(got, want) {
			r.Fatalf("keys: got %v, want %v", got, want)
		}
	})
}

func TestWhatReadsNoInputIsWorkedOutOnce(t *testing.T) {
	files := map[string]string{
		"p.rego":        "package sallyport\n\nimport data.lib\n\naccess := {\"allow\": true} if lib.open[input.server.name] == 2\n",
		"l.rego":        "package lib\n\nopen[server] := count(list) if some server, list in data.org.servers\n",
		"org/data.json": `{"servers": {"crm": [1, 2], "hr": [1]}}`,
	}
	p := policyOf(t, files, Settings{})
	if p.near == nil || !strings.Contains(p.near.String(), `{"crm": 2, "hr": 1}`) {
		t.Errorf("what is near: %v", p.near)
	}
	if d, err := p.Decide(context.Background(), policy.Access, full()); err != nil || !d.Allow {
		t.Errorf("got %+v, %v", d, err)
	}
	files["l.rego"] = "package lib\n\nopen[server] := n if {\n\tsome server, _ in data.org.servers\n\tn := count([1 | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); a == b])\n}\n"
	began := time.Now()
	if _, err := tryPolicy(t, files, Settings{Preparation: 200 * time.Millisecond}); err == nil || !strings.Contains(err.Error(), "takes too long") {
		t.Errorf("an endless comprehension that reads no input: %v", err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("took %v", took)
	}
	files["l.rego"] = "package lib\n\nopen[server] := n if {\n\tsome server, _ in data.org.servers\n\tn := to_number(\"x\")\n}\n"
	if _, err := tryPolicy(t, files, Settings{}); err == nil || !strings.Contains(err.Error(), "data.lib.open") {
		t.Errorf("a rule that fails whatever is asked: %v", err)
	}
}

func TestRulesThatReplaceDataSeeTheReplacement(t *testing.T) {
	p := policyOf(t, map[string]string{
		"p.rego":        "package sallyport\n\naccess := {\"allow\": inner} if inner := allowed with data.org.on as true\n\nallowed := data.org.on\n",
		"org/data.json": `{"on": false}`,
	}, Settings{})
	if d, err := p.Decide(context.Background(), policy.Access, full()); err != nil || !d.Allow {
		t.Errorf("got %+v, %v", d, err)
	}
}

func TestNoPolicyCanNameWhatIsNear(t *testing.T) {
	if _, err := tryPolicy(t, map[string]string{"p.rego": "package sallyport\n\naccess := {\"allow\": true} if input[\"\\u0000near\"].data\n"}, Settings{}); err == nil {
		t.Error("it compiled")
	}
}

// TestTheUsualIsWhatAllTopicsSay holds the default bundle's short cut against
// the bundle without it.
func TestTheUsualIsWhatAllTopicsSay(t *testing.T) {
	files := map[string]string{"org/data.json": `{
	"roles": {"a": {"clearance": "internal", "servers": {"crm": [{"tools": ["find*", "sum"], "prompts": ["p"], "resources": ["r://*"]}, {"task_types": ["t"], "tools": ["drop", "gr*"]}], "hr": [{"tools": ["*"]}]}},
		"b": {"clearance": "restricted", "servers": {"crm": [{"task_types": ["t", "u"], "tools": ["*"]}]}},
		"anonymous": {"clearance": "public", "servers": {"crm": [{"tools": ["hello"]}]}}},
	"tools": {"crm": {"find_all": {"scopes": ["s"]}, "grow": {"classification": "restricted", "effect": "read"}, "sum": {"approval": "Ask."}}},
	"servers": {"hr": {"tenants": ["acme"]}},
	"settings": {"freeze": FREEZE, "ranks": {"public": 0, "internal": 1, "confidential": 2, "restricted": 3}, "unclassified": "UNCLASSIFIED",
		"client_requests": ["ping"], "scope_mapping": {}, "hints": {}APPROVALS}}`}
	err := fs.WalkDir(policies.Default(), "sallyport", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !isTest(path) {
			var b []byte
			b, err = fs.ReadFile(policies.Default(), path)
			files[path] = string(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	type pair struct{ short, long *Policy }
	var pairs []pair
	for _, settings := range [][3]string{
		{"false", "internal", ""}, {"false", "restricted", `, "approvals": {}`}, {"true", "internal", ""},
		{"false", "internal", `, "approvals": {"destructive": "Ask.", "high_risk": "Ask."}`},
	} {
		with := maps.Clone(files)
		with["org/data.json"] = strings.NewReplacer("FREEZE", settings[0], "UNCLASSIFIED", settings[1], "APPROVALS", settings[2]).Replace(files["org/data.json"])
		without := maps.Clone(with)
		without["sallyport/usual.rego"] = "package sallyport.usual\n\nallowed if 1 == 2\n"
		pairs = append(pairs, pair{policyOf(t, with, Settings{}), policyOf(t, without, Settings{})})
	}
	usual := 0
	rapid.Check(t, func(r *rapid.T) {
		one := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(r, what) }
		p := rapid.SampledFrom(pairs).Draw(r, "settings")
		for range 20 {
			in := &policy.Input{
				Principal: &guard.Principal{Subject: one("subject", "s", "s", "s", ""), Tenant: one("tenant", "acme", ""), TaskType: one("task", "", "t", "*"),
					Roles: rapid.SliceOfN(rapid.SampledFrom([]string{"a", "a", "b", "c", "anonymous"}), 1, 2).Draw(r, "roles")},
				Server: &guard.Server{Name: one("server", "crm", "crm", "crm", "hr", "x"), Classification: one("class", "", "internal", "public", "internal", "confidential"), Tools: map[string]guard.Tool{
					"find": {Sensitive: rapid.Bool().Draw(r, "sensitive"), Destructive: true, Risk: "high"}, "drop": {Classification: one("tool class", "public", "restricted")}}},
				Method: one("method", "tools/call", "ping"), Kind: mcp.Request, Revision: mcp.R20251125,
				Target: policy.Target{Kind: policy.TargetKind(one("kind", "tool", "tool", "tool", "tool", "tool", "tool", "prompt", "resource", "template", "task", "")),
					Name: one("name", "find", "find_all", "sum", "drop", "grow", "p", "r://x", "hello", "")},
				Direction: rapid.SampledFrom([]mcp.Direction{mcp.ToServer, mcp.ToServer, mcp.ToServer, mcp.ToServer, mcp.ToClient}).Draw(r, "direction"),
			}
			short, err := p.short.Decide(context.Background(), policy.Access, in)
			if err != nil {
				r.Fatal(err)
			}
			long, err := p.long.Decide(context.Background(), policy.Access, in)
			if err != nil {
				r.Fatal(err)
			}
			if got, want := fmt.Sprintf("%+v", *short), fmt.Sprintf("%+v", *long); got != want {
				r.Fatalf("%s\nin short %s\nat length %s", in.AppendJSON(nil), got, want)
			}
			if short.Allow && in.Target.Kind == policy.Tool {
				usual++
			}
		}
	})
	if usual == 0 {
		t.Error("nothing was allowed, so nothing was tested")
	}
	t.Logf("%d calls of tools were allowed", usual)
}
