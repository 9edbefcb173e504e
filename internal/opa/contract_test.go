package opa

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/policies"
)

// full is an input of which everything is known.
func full() *policy.Input {
	in := benchInput()
	in.Principal.Actors, in.Principal.Strength, in.Principal.TokenID = []string{"planner", "root"}, "mfa", "jti-1"
	in.Server.Tools = map[string]guard.Tool{"search_customers": {Classification: "confidential", Clearance: "public", Risk: "high", Sensitive: true, External: true}}
	in.Principal.AuthTime, in.Principal.Expires = time.Unix(100, 5), time.Unix(1000, 0)
	in.Source, in.Labels, in.Time = netip.MustParseAddr("192.0.2.7"), []string{"pii", "task:secret", "task:restricted", "caller:pii", "caller:internal", "arguments:public"}, time.Unix(200, 0)
	in.Budget = budgetOf(`{"remaining":{"sandbox":{"thousandths":412,"cost":12000000,"calls":41,"bytes":7,"destructive":0,"time":61}},"low":["per_project"]}`)
	in.Params = []byte(`{"name":"search_customers","arguments":{"a":"\u0061\ud83d\ude00\n","n":-1.50e2,"big":123456789012345678901234567890,"l":[ true,false,null,[],{} ],"":0}}`)
	return in
}

func TestPoliciesSeeTheDocumentedInput(t *testing.T) {
	c := jsonschema.NewCompiler()
	schema, err := policies.InputSchema()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AddResource("input.json", schema); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("input.json")
	if err != nil {
		t.Fatal(err)
	}
	p := policyOf(t, map[string]string{"p.rego": "package sallyport\n\naccess := {\"allow\": true}\n\ncall := {\"allow\": true, \"obligations\": {\"constrain\": {\"in\": input}}}\n"}, Settings{})
	if !p.call.reads.whole {
		t.Fatal("a policy that reads the whole input is not noticed")
	}
	nobody := &policy.Input{Principal: &guard.Principal{}, Server: &guard.Server{Name: "crm"}, Method: "tools/list", Kind: mcp.Request, Time: time.Unix(1, 0)}
	for name, in := range map[string]*policy.Input{"all known": full(), "nothing known": nobody} {
		want := in.AppendJSON(nil)
		if err := s.Validate(decodedNumbers(t, want)); err != nil {
			t.Errorf("%s: %v\n%s", name, err, want)
		}
		d, err := p.Decide(context.Background(), policy.Call, in)
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ In json.RawMessage }
		if err := json.Unmarshal(d.Constrain, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(decodedNumbers(t, got.In), decodedNumbers(t, want)) {
			t.Errorf("%s: the policy saw\n%s\nand the documentation says\n%s", name, got.In, want)
		}
	}
}

func TestWhoeverIsNotVerifiedIsAnonymousAndNothingElse(t *testing.T) {
	p := policyOf(t, map[string]string{"p.rego": "package sallyport\n\naccess := {\"allow\": input.principal.roles == [\"anonymous\"]}\n"}, Settings{})
	for name, c := range map[string]struct {
		principal guard.Principal
		want      bool
	}{
		"nobody":                          {guard.Principal{}, true},
		"nobody, with roles all the same": {guard.Principal{Roles: []string{"admin"}}, true},
		"somebody without roles":          {guard.Principal{Subject: "s"}, false},
		"a workload without roles":        {guard.Principal{Peer: "spiffe://a/b"}, false},
	} {
		in := full()
		in.Principal = &c.principal
		d, err := p.Decide(context.Background(), policy.Access, in)
		if err != nil || d.Allow != c.want {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

func decodedNumbers(t testing.TB, text []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// each reads one member of the input and returns it as a detail.
func reading(expr string) map[string]string {
	return map[string]string{"p.rego": "package sallyport\n\naccess := {\"allow\": true}\n\ncall := {\"allow\": true, \"detail\": sprintf(\"%v\", [" + expr + "])}\n"}
}

func TestWhatBelongsToOneCallIsNeverAnsweredFromTheCache(t *testing.T) {
	for expr, change := range map[string]func(*policy.Input){
		"input.time":   func(in *policy.Input) { in.Time = time.Unix(7, 0) },
		"input.source": func(in *policy.Input) { in.Source = netip.MustParseAddr("192.0.2.9") },
		"input.labels": func(in *policy.Input) { in.Labels = []string{"x"} },
		"input.budget.remaining.b.calls": func(in *policy.Input) {
			in.Budget = budgetOf(`{"remaining":{"b":{"thousandths":10,"calls":1}},"low":["b"]}`)
		},
		"input.arguments":                        func(in *policy.Input) { in.Params = []byte(`{"arguments":{"a":2}}`) },
		"input.params.name":                      func(in *policy.Input) { in.Params = []byte(`{"name":"other"}`) },
		"input.authentication.strength":          func(in *policy.Input) { p := *in.Principal; p.Strength = "pwd"; in.Principal = &p },
		"object.get(input.arguments, \"zz\", 1)": func(in *policy.Input) { in.Params = []byte(`{"arguments":{"zz":2}}`) },
		"count([1 | not input.arguments.zz])":    func(in *policy.Input) { in.Params = []byte(`{"arguments":{"zz":2}}`) },
	} {
		p := policyOf(t, reading(expr), Settings{CacheTTL: time.Hour})
		first, err := p.Decide(context.Background(), policy.Call, full())
		if err != nil {
			t.Fatal(expr, err)
		}
		in := full()
		change(in)
		second, err := p.Decide(context.Background(), policy.Call, in)
		if err != nil || first.Detail == second.Detail {
			t.Errorf("%s: %q for both (%v)", expr, second.Detail, err)
		}
		if s := p.Stats(); s.Hits != 0 || s.Uncacheable != 2 {
			t.Errorf("%s: %+v", expr, s)
		}
	}
}

func TestADecisionIsUsedAgainForEqualInputsOnly(t *testing.T) {
	const expr = "[input.principal, input.server, input.target, input.tool, input.method, input.direction, input.kind, input.revision, input.flow]"
	principal := func(change func(p *guard.Principal)) func(*policy.Input) {
		return func(in *policy.Input) { p := *in.Principal; change(&p); in.Principal = &p }
	}
	server := func(change func(s *guard.Server)) func(*policy.Input) {
		return func(in *policy.Input) { s := *in.Server; change(&s); in.Server = &s }
	}
	for name, change := range map[string]func(*policy.Input){
		"subject": principal(func(p *guard.Principal) { p.Subject = "bob" }), "issuer": principal(func(p *guard.Principal) { p.Issuer = "x" }),
		"agent": principal(func(p *guard.Principal) { p.Agent = "x" }), "actors": principal(func(p *guard.Principal) { p.Actors = []string{"plannerroot"} }),
		"client": principal(func(p *guard.Principal) { p.Client = "x" }), "tenant": principal(func(p *guard.Principal) { p.Tenant = "x" }),
		"roles": principal(func(p *guard.Principal) { p.Roles = nil }), "scopes": principal(func(p *guard.Principal) { p.Scopes = []string{"crm", "read"} }),
		"task": principal(func(p *guard.Principal) { p.Task = "x" }), "task type": principal(func(p *guard.Principal) { p.TaskType = "x" }),
		"peer":   principal(func(p *guard.Principal) { p.Peer = "x" }),
		"server": server(func(s *guard.Server) { s.Name = "x" }), "owner": server(func(s *guard.Server) { s.Owner = "x" }),
		"domain": server(func(s *guard.Server) { s.Domain = "x" }), "classification": server(func(s *guard.Server) { s.Classification = "restricted" }),
		"tool": func(in *policy.Input) {
			s := *in.Server
			s.Tools = map[string]guard.Tool{"search_customers": {Classification: "confidential", Risk: "high", Sensitive: true, Financial: true}}
			in.Server = &s
		},
		"tool no longer registered": server(func(s *guard.Server) { s.Tools = nil }),
		"target":                    func(in *policy.Input) { in.Target.Name = "x" },
		"target kind":               func(in *policy.Input) { in.Target.Kind = policy.Prompt },
		"method":                    func(in *policy.Input) { in.Method = "prompts/get" },
		"direction":                 func(in *policy.Input) { in.Direction = mcp.ToClient },
		"kind":                      func(in *policy.Input) { in.Kind = mcp.Notification },
		"revision":                  func(in *policy.Input) { in.Revision = mcp.R20260728 },
		"what a task carries":       func(in *policy.Input) { in.Labels = append(in.Labels, "task:pii") },
		"what a caller carries":     func(in *policy.Input) { in.Labels = append(in.Labels, "caller:secret") },
		"the class of a field":      func(in *policy.Input) { in.Labels = append(in.Labels, "arguments:internal") },
		"clearance": server(func(s *guard.Server) {
			s.Tools = map[string]guard.Tool{"search_customers": {Classification: "confidential", Clearance: "internal", Risk: "high", Sensitive: true, External: true}}
		}),
		"one name's end moved to the next": principal(func(p *guard.Principal) { p.Subject, p.Issuer = p.Subject+p.Issuer[:1], p.Issuer[1:] }),
	} {
		p := policyOf(t, reading(expr), Settings{CacheTTL: time.Hour})
		ask := func(in *policy.Input) string {
			d, err := p.Decide(context.Background(), policy.Call, in)
			if err != nil {
				t.Fatal(name, err)
			}
			return d.Detail
		}
		first := ask(full())
		changed := full()
		change(changed)
		if second := ask(changed); first == second || p.Stats().Hits != 0 {
			t.Errorf("%s: the same answer for both", name)
		}
		same := full()
		same.Params, same.Time, same.Labels = nil, time.Time{}, same.Labels[1:]
		if third := ask(same); third != first || p.Stats().Hits != 1 {
			t.Errorf("%s: an equal input was evaluated again: %+v", name, p.Stats())
		}
	}
}

func TestACachedDecisionEndsWithItsTime(t *testing.T) {
	now := time.Unix(1000, 0)
	p := policyOf(t, reading("input.method"), Settings{CacheTTL: time.Minute, Now: func() time.Time { return now }})
	for i, step := range []struct {
		after time.Duration
		hits  uint64
	}{{0, 0}, {59 * time.Second, 1}, {time.Second, 1}, {0, 2}} {
		now = now.Add(step.after)
		if _, err := p.Decide(context.Background(), policy.Call, full()); err != nil || p.Stats().Hits != step.hits {
			t.Errorf("step %d: %+v, %v", i, p.Stats(), err)
		}
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	p := policyOf(t, reading("input.target"), Settings{CacheTTL: time.Hour, Places: 8})
	for i := range 100 {
		in := full()
		in.Target.Name = strings.Repeat("x", i+1)
		if d, err := p.Decide(context.Background(), policy.Call, in); err != nil || !strings.Contains(d.Detail, `"`+in.Target.Name+`"`) {
			t.Fatal(d, err)
		}
	}
	if n := p.memo.Places(); n != 8 {
		t.Errorf("%d places", n)
	}
}

func TestBundlesThatCannotDecideAreRefused(t *testing.T) {
	const ok = "\naccess := {\"allow\": true}\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a syntax error":                      {map[string]string{"p.rego": "package sallyport\naccess := {"}, "rego_parse_error"},
		"no entry point":                      {map[string]string{"p.rego": "package other\n" + ok}, "has no rule data.sallyport.access"},
		"access looks at arguments":           {map[string]string{"p.rego": "package sallyport\naccess := {\"allow\": true} if data.lib.f", "l.rego": "package lib\nf if input.arguments.a"}, "read input.arguments"},
		"through a rule it names by value":    {map[string]string{"p.rego": "package sallyport\naccess := {\"allow\": data.lib[input.method]}", "l.rego": "package lib\nf if input.params.a"}, "read input.arguments"},
		"a misspelt member":                   {map[string]string{"p.rego": "package sallyport\naccess := {\"allow\": input.principal.rolls == []}"}, "undefined ref"},
		"the network":                         {map[string]string{"p.rego": "package sallyport\naccess := {\"allow\": http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1\"}).status_code == 200}"}, "undefined function http.send"},
		"name resolution":                     {map[string]string{"p.rego": "package sallyport\naccess := {\"allow\": count(net.lookup_ip_addr(\"a\")) > 0}"}, "undefined function"},
		"the environment":                     {map[string]string{"p.rego": "package sallyport\naccess := {\"allow\": opa.runtime().env.A == \"\"}"}, "undefined function"},
		"the clock":                           {map[string]string{"p.rego": "package sallyport\naccess := {\"allow\": time.now_ns() > 0}"}, "undefined function"},
		"chance":                              {map[string]string{"p.rego": "package sallyport\naccess := {\"allow\": rand.intn(\"a\", 2) == 0}"}, "undefined function"},
		"an unused variable, which is strict": {map[string]string{"p.rego": "package sallyport\naccess := {\"allow\": true} if x := 1"}, "assigned var x unused"},
		"masks that depend on the caller":     {map[string]string{"p.rego": "package sallyport\n" + ok + "masks if input.method == \"a\""}, "reads the input"},
	} {
		_, err := tryPolicy(t, c.files, Settings{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestAnswersThatAreNoneRefuse(t *testing.T) {
	decide := func(rules string) (*policy.Decision, error) {
		p := policyOf(t, map[string]string{"p.rego": "package sallyport\n\n" + rules}, Settings{Deadline: 200 * time.Millisecond})
		return p.Decide(context.Background(), policy.Access, full())
	}
	d, err := decide(`access := {"allow": true} if input.method == "nothing"`)
	if err != nil || d.Allow || d.Reason != policy.PolicyDenied {
		t.Errorf("an undefined answer: %+v, %v", d, err)
	}
	for name, rules := range map[string]string{
		"no allow":                     `access := {"reason": "policy_denied"}`,
		"a truthy text":                `access := {"allow": "yes"}`,
		"no object":                    `access := true`,
		"a member nobody knows":        `access := {"allow": true, "obligation": {"labels": ["a"]}}`,
		"a condition nobody knows":     `access := {"allow": true, "obligations": {"notify": "me"}}`,
		"a reason nobody knows":        `access := {"allow": false, "reason": "because"}`,
		"a reason that is the guard's": `access := {"allow": false, "reason": "unknown_target"}`,
		"a path that is none":          `access := {"allow": true, "obligations": {"set": [{"path": "a", "value": 1}]}}`,
		"a scope that ends a header":   `access := {"allow": false, "reason": "insufficient_scope", "challenge": {"scopes": ["a\"b"]}}`,
		"a builtin that fails":         `access := {"allow": to_number(input.method) == 1}`,
		"two answers": `access := {"allow": true} if input.kind == "request"

access := {"allow": false} if input.method == "tools/call"`,
		"an endless comprehension": `access := {"allow": count([1 | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); a == b]) == 1}`,
	} {
		began := time.Now()
		if d, err := decide(rules); err == nil {
			t.Errorf("%s: got %+v", name, d)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

func TestANumberThatFillsTheMemoryIsNotReckonedWith(t *testing.T) {
	p := policyOf(t, reading("input.arguments.n % 2"), Settings{})
	in := full()
	in.Params = []byte(`{"arguments":{"n":1e600000000}}`)
	if d, err := p.Decide(context.Background(), policy.Call, in); err != nil || d.Allow || d.Reason != policy.ArgumentNotAllowed {
		t.Errorf("got %+v, %v", d, err)
	}
}

func keyPair(t testing.TB) (private, public string) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	der, err := x509.MarshalPKCS8PrivateKey(priv)
	private = encode("PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(pub)
	return private, encode("PUBLIC KEY", der, err)
}

func TestOnlySignedBundlesPassWhereSignaturesAreRequired(t *testing.T) {
	private, public := keyPair(t)
	_, stranger := keyPair(t)
	unsigned, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	var archive, plain bytes.Buffer
	if err := Sign(&archive, unsigned, private, "EdDSA", "k1"); err != nil {
		t.Fatal(err)
	}
	if err := Build(&plain, unsigned, "1.0.0"); err != nil {
		t.Fatal(err)
	}
	keys := func(pem, id string, optional bool) *Keys {
		return &Keys{Public: map[string]Key{id: {PEM: pem, Algorithm: "EdDSA"}}, Optional: optional}
	}
	signed, err := Read(bytes.NewReader(archive.Bytes()), "a", keys(public, "k1", false))
	if err != nil {
		t.Fatal(err)
	}
	if signed.Revision() != unsigned.Revision() {
		t.Errorf("signing changed the revision from %s to %s", unsigned.Revision(), signed.Revision())
	}
	for name, c := range map[string]struct {
		data []byte
		keys *Keys
		ok   bool
	}{
		"no signature":                           {plain.Bytes(), keys(public, "k1", false), false},
		"no signature, in development":           {plain.Bytes(), keys(public, "k1", true), true},
		"a stranger's signature":                 {archive.Bytes(), keys(stranger, "k1", false), false},
		"a stranger's signature, in development": {archive.Bytes(), keys(stranger, "k1", true), false},
		"a key of another name":                  {archive.Bytes(), keys(public, "k2", false), false},
		"no archive":                             {[]byte("x"), keys(public, "k1", false), false},
	} {
		if _, err := Read(bytes.NewReader(c.data), "a", c.keys); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One changed rule under a good signature.
	dir := t.TempDir()
	path := filepath.Join(dir, "b.tar.gz")
	forged := withoutTests(signed)
	for i := range forged.Modules {
		if strings.HasSuffix(forged.Modules[i].Path, "freeze.rego") {
			forged.Modules[i].Raw = append(forged.Modules[i].Raw, "\nallowed if true\n"...)
		}
	}
	var tampered bytes.Buffer
	if err := writeBundle(&tampered, forged); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, tampered.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, keys(public, "k1", false)); err == nil || !strings.Contains(err.Error(), "freeze.rego") {
		t.Errorf("a changed rule under a good signature: %v", err)
	}
}

func TestBuildWantsASemanticVersion(t *testing.T) {
	b, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	for version, ok := range map[string]bool{"1.2.3": true, "1.2.3-rc.1": true, "": true, "1.2": false, "v1.2.3": false, "1.2.3+x": false} {
		if err := Build(&bytes.Buffer{}, b, version); (err == nil) != ok {
			t.Errorf("%q: %v", version, err)
		}
	}
}

// TestTheDefaultBundlesOwnTests runs what `sallyport policy test` runs.
func TestTheDefaultBundlesOwnTests(t *testing.T) {
	b, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Test(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Failed {
		t.Errorf("%s at %s: %s", f.Test, f.At, f.Why)
	}
	t.Logf("%d tests passed, %.1f %% of the rules covered; missed %v", r.Passed, r.Coverage, r.Missed)
	if r.Passed < 20 || r.Coverage < 90 {
		t.Errorf("%d tests, %.1f %% covered", r.Passed, r.Coverage)
	}
}

func budgetOf(text string) func() json.RawMessage {
	return func() json.RawMessage { return json.RawMessage(text) }
}
