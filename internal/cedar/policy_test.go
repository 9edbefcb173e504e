package cedar

import (
	"context"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/policies"
)

// defaults are the files of the default bundle.
func defaults(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(policies.Cedar(), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && isPart(path) {
			files[path], err = fs.ReadFile(policies.Cedar(), path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func try(text string, s Settings) (*Policy, error) {
	return New(&Bundle{Version: "1.0.0", Files: map[string][]byte{"p.cedar": []byte(text)}}, s)
}

func input(arguments string) *policy.Input {
	return &policy.Input{
		Principal: &guard.Principal{Subject: "ann", Roles: []string{"clerk"}, Tenant: "acme"}, Server: &guard.Server{Name: "crm", Owner: "team"},
		Method: "tools/call", Kind: mcp.Request, Target: policy.Target{Kind: policy.Tool, Name: "pay"}, Revision: mcp.R20251125,
		Params: []byte(`{"name":"pay","arguments":` + arguments + `}`),
	}
}

const anything = "permit (principal, action, resource);\n"

func TestBundlesThatWouldNotDoWhatTheySayAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a syntax error":                         {"permit (principal", "p.cedar"},
		"nothing is permitted":                   {"forbid (principal, action, resource);", "permits nothing"},
		"a misspelt attribute":                   {anything + "forbid (principal, action, resource) when { principal.rolls == \"\" };", "rolls"},
		"an annotation that nobody carries out":  {"@audit(\"yes\")\n" + anything, "@audit"},
		"a reason that nobody knows":             {anything + "@reason(\"because\")\nforbid (principal, action, resource);", "because"},
		"a reason that is the guard's own":       {anything + "@reason(\"unknown_target\")\nforbid (principal, action, resource);", "unknown_target"},
		"lists would have to see arguments":      {anything + "forbid (principal, action, resource) when { context.arguments.a == 1 };", "write @step"},
		"the context as a whole":                 {anything + "@step(\"call\")\nforbid (principal, action, resource) when { context == {} };", "as a whole"},
		"a step that nobody knows":               {"@step(\"later\")\n" + anything, "no step"},
		"a condition of a no":                    {anything + "@label(\"a\")\nforbid (principal, action, resource);", "cannot carry"},
		"a scope that ends a header":             {anything + "@require_scope(\"a\\\"b\")\nforbid (principal, action, resource);", "no token"},
		"a mask without a path":                  {"@mask(\"[{}]\")\n" + anything, "no JSON pointer"},
		"an obligation with an unknown member":   {"@set(\"[{\\\"path\\\":\\\"/a\\\",\\\"value\\\":1,\\\"if\\\":2}]\")\n" + anything, "unknown field"},
		"a permit of calls that carries nothing": {anything + "@step(\"call\")\n" + anything, "permits nothing"},
	} {
		if _, err := try(c.text, Settings{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	forged := map[string][]byte{"p.cedar": []byte(anything), "entities.json": []byte(`[{"uid":{"type":"Principal","id":"|ann|"},"parents":[{"type":"Role","id":"boss"}],"attrs":{}}]`)}
	if _, err := New(&Bundle{Files: forged}, Settings{}); err == nil || !strings.Contains(err.Error(), "cannot be said here") {
		t.Errorf("entities that say who is calling: %v", err)
	}
}

func TestAnArgumentOfAnotherKindDoesNotGetRidOfARule(t *testing.T) {
	p, err := try(anything+"@step(\"call\")\n@reason(\"argument_not_allowed\")\nforbid (principal, action, resource) when { context.arguments.amount > 100 };", Settings{})
	if err != nil {
		t.Fatal(err)
	}
	for args, allow := range map[string]bool{
		`{"amount":100}`: true, `{"amount":101}`: false, `{"amount":"5"}`: false, `{"amount":null}`: false, `{"amount":5.5}`: false, `{"amount":1e400}`: false,
		`{"amount":[5]}`: false, `{"amount":{}}`: false, `{}`: false, `[]`: false, `{"amount":9223372036854775808}`: false, `{"a\u006dount":101}`: false,
	} {
		d, err := p.Decide(context.Background(), policy.Call, input(args))
		if err != nil || d.Allow != allow || !allow && d.Reason != policy.ArgumentNotAllowed {
			t.Errorf("%s: %+v, %v", args, d, err)
		}
	}
}

func TestADecisionThatCouldHaveReadTheCallIsNeverUsedAgain(t *testing.T) {
	for text, hits := range map[string]uint64{
		anything: 1,
		anything + "forbid (principal, action, resource) when { context.time > 99 };":                                               0,
		anything + "forbid (principal, action, resource == Tool::\"crm/other\") when { context.time > 99 };":                        1,
		anything + "forbid (principal, action, resource) when { context.labels.contains(\"pii\") };":                                0,
		anything + "forbid (principal, action, resource) unless { context has source };":                                            0,
		anything + "forbid (principal, action, resource) when { context.authentication.strength == \"x\" };":                        0,
		anything + "forbid (principal, action, resource) when { context.direction == \"to_client\" && principal.tenant == \"x\" };": 1,
	} {
		p, err := try(text, Settings{CacheTTL: time.Hour})
		if err != nil {
			t.Fatal(text, err)
		}
		for range 2 {
			if _, err := p.Decide(context.Background(), policy.Access, input(`{}`)); err != nil {
				t.Fatal(err)
			}
		}
		if s := p.Stats(); s.Hits != hits {
			t.Errorf("%s: %+v", text, s)
		}
	}
}

func TestWhatAYesCarries(t *testing.T) {
	p, err := try("@label(\"seen\")\n"+anything+"@step(\"oblige\")\n@approval(\"Ask.\")\n@tenant_argument(\"/tenant\")\n@mask(\"[{\\\"path\\\":\\\"/structuredContent/*/ssn\\\"}]\")\npermit (principal, action, resource == Tool::\"crm/pay\");", Settings{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Decide(context.Background(), policy.Access, input(`{}`))
	if err != nil || !d.Allow || d.Approval != "Ask." || len(d.Labels) != 1 || len(d.Mask) != 1 || len(d.Set) != 1 || string(d.Set[0].Value) != `"acme"` || !p.Masks() {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestEveryMethodIsAnActionOfTheSchema(t *testing.T) {
	schema := string(policies.CedarSchema())
	for _, m := range mcp.Methods() {
		group := ""
		for uid := range groups(m.Name).All() {
			group = string(uid.ID)
		}
		if !strings.Contains(schema, "action \""+m.Name+"\" in [\""+group+"\"]") {
			t.Errorf("%s in %s is not in the schema", m.Name, group)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	p, err := New(&Bundle{Version: "1.0.0", Files: defaults(b)}, Settings{})
	if err != nil {
		b.Fatal(err)
	}
	in := input(`{}`)
	in.Principal.Roles, in.Server.Classification, in.Target.Name = []string{"reader"}, "public", "search_x"
	b.ReportAllocs()
	for b.Loop() {
		if d, err := p.Decide(context.Background(), policy.Access, in); err != nil || !d.Allow {
			b.Fatal(d, err)
		}
	}
}
