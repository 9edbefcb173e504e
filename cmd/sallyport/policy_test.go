package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/policies"
)

// releaseKeys writes a key pair and returns references to it.
func releaseKeys(t *testing.T) (private, public string) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	save := func(name, kind string, der []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return "file:" + write(t, name, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	der, err := x509.MarshalPKCS8PrivateKey(priv)
	private = save("release.pem", "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(pub)
	return private, save("release.pub", "PUBLIC KEY", der, err)
}

const support = `{"roles":{"support":{"clearance":"internal","servers":{"crm":[{"tools":["search_*"]}]}}},
 "tools":{},"servers":{},"settings":{"freeze":false,"ranks":{"public":0,"internal":1},"unclassified":"internal","sensitive_max_age":300,"client_requests":[],"scope_mapping":{},"hints":{"tool_not_allowed":"Ask for the role support."}}}`

func TestAPolicyIsTestedBuiltSignedVerifiedAndDecides(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "bundle")
	if err := os.CopyFS(source, policies.Default()); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"roles", "tools", "servers", "settings"} {
		if err := os.RemoveAll(filepath.Join(source, "org", part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(source, "org", "data.json"), []byte(support), 0o600); err != nil {
		t.Fatal(err)
	}
	private, public := releaseKeys(t)
	_, stranger := releaseKeys(t)
	built, signed := filepath.Join(dir, "built.tar.gz"), filepath.Join(dir, "signed.tar.gz")
	cases := write(t, "cases.json", `[{"name":"support searches","principal":{"subject":"sue","roles":["support"]},"server":{"name":"crm"},"target":{"kind":"tool","name":"search_x"}},
		{"name":"support drops","principal":{"subject":"sue","roles":["support"]},"server":{"name":"crm"},"target":{"kind":"tool","name":"drop"}}]`)
	cfg := write(t, "policy.yaml", strings.Replace(good, "policy_engine: none", "policy_engine: OPA, decision_cache_ttl: 5m", 1)+
		"guards: {policy: {bundle: "+signed+", keys: [{id: k1, algorithm: EdDSA, key: \""+public+"\"}]}}\n")
	recorded := write(t, "receipts.jsonl", `{"v":1,"time":"2026-11-01T12:00:00Z","exchange":"e","direction":"to_server","action":"allow","server":"crm","revision":"2025-11-25","subject":"sue","roles":["support"],"kind":"request","method":"tools/call","name":"search_x","guards":[{"name":"policy","action":"allow","took_us":1}],"took_us":2}
{"v":1,"time":"2026-11-01T12:00:00Z","exchange":"e","direction":"to_client","action":"allow","server":"crm","subject":"sue","roles":["support"],"kind":"response","method":"tools/call","guards":[{"name":"policy","action":"allow","took_us":1}],"took_us":2}
`)
	alice := write(t, "alice.json", `{"subject":"alice","roles":["support"]}`)
	search := write(t, "search.json", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_x"}}`)
	drop := write(t, "drop.json", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"drop"}}`)
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"the default bundle's tests", []string{"policy", "test", "default"}, 0, "0 failed"},
		{"the bundle's own", []string{"policy", "test", source}, 0, "0 failed"},
		{"what changes", []string{"policy", "diff", "default", source, "--cases", cases}, 1, "support searches: deny server_not_allowed -> allow"},
		{"nothing changes", []string{"policy", "diff", source, source, "--cases", cases}, 0, "0 of 2"},
		{"build without a semantic version", []string{"policy", "build", source, "--version", "1.4", "-o", built}, 1, "no semantic version"},
		{"build", []string{"policy", "build", source, "--version", "1.4.0", "-o", built}, 0, ""},
		{"what was built is not signed", []string{"policy", "verify", built, "--key", public, "--id", "k1"}, 1, "signature"},
		{"sign with a key that is no reference", []string{"policy", "sign", built, "--key", "secret", "--id", "k1", "-o", signed}, 1, "not a reference"},
		{"sign", []string{"policy", "sign", built, "--key", private, "--id", "k1", "-o", signed}, 0, ""},
		{"verify", []string{"policy", "verify", signed, "--key", public, "--id", "k1"}, 0, "1.4.0+"},
		{"a stranger's key", []string{"policy", "verify", signed, "--key", stranger, "--id", "k1"}, 1, ""},
		{"a replay under what decided", []string{"policy", "replay", "--receipts", recorded, "--bundle", source}, 0, "0 of 1 decisions change; 2 receipts, 1 not"},
		{"a replay under what would not allow it", []string{"policy", "replay", "--receipts", recorded, "--bundle", "default"}, 1, "sue (support): crm tools/call search_x: allow -> deny server_not_allowed"},
		{"of one bundle against another", []string{"policy", "replay", "--receipts", recorded, "--bundle", "default", "--against", source, "--json"}, 1, `"before": "allow"`},
		{"the configuration", []string{"validate", cfg}, 0, "good"},
		{"alice searches", []string{"explain", "-c", cfg, "--server", "crm", "--principal", alice, search}, 0, `"policy": "1.4.0+`},
		{"alice drops", []string{"explain", "-c", cfg, "--server", "crm", "--principal", alice, drop}, 1, `"reason": "unknown_target"`},
		{"nobody searches", []string{"explain", "-c", cfg, "--server", "crm", search}, 1, `"reason": "unknown_server"`},
		{"a principal that is nobody", []string{"explain", "-c", cfg, "--server", "crm", "--principal", write(t, "p.json", `{"roles":["support"]}`), search}, 1, "it is nobody"},
		{"a principal with a misspelt role", []string{"explain", "-c", cfg, "--server", "crm", "--principal", write(t, "p.json", `{"role":"support"}`), search}, 1, "unknown field"},
	} {
		code, out, words := say(c.args...)
		if code != c.code || !strings.Contains(out+words, c.want) {
			t.Errorf("%s: exit %d\n%s%s", c.name, code, out, words)
		}
	}
}

func TestPolicySettingsWithoutEffectAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		strings.Replace(good, "policy_engine: none", "policy_engine: none, decision_cache_ttl: 5m", 1):                                                              "has no effect",
		good + "guards: {policy: {hide: false}}\n":                                                                                                                  "has no effect",
		strings.Replace(good, "policy_engine: none", "policy_engine: OPA", 1) + "guards: {policy: {bundle: /tmp/x}}\n":                                              "needs keys",
		strings.Replace(good, "policy_engine: none", "policy_engine: OPA", 1) + "guards: {policy: {mode: off}}\n":                                                   "contradicts",
		strings.Replace(good, "policy_engine: none", "policy_engine: OPA", 1) + "guards: {policy: {bundle: /no/where, signatures: optional}}\n":                     "no such file",
		strings.Replace(good, "policy_engine: none", "policy_engine: OPA", 1) + "guards: {policy: {bundle: \"https://x/b\", signatures: optional}}\n":               "needs store",
		strings.Replace(good, "policy_engine: none", "policy_engine: OPA", 1) + "guards: {policy: {bundle: \"http://x/b\", store: s, signatures: optional}}\n":      "needs https",
		strings.Replace(good, "policy_engine: none", "policy_engine: OPA", 1) + "guards: {policy: {bundle: \"ftp://x/b\", store: s, signatures: optional}}\n":       "must begin with https",
		strings.Replace(good, "policy_engine: none", "policy_engine: OPA", 1) + "guards: {policy: {bundle: \"https://u:p@x/b\", store: s, signatures: optional}}\n": "must not hold a password",
		strings.Replace(good, "policy_engine: none", "policy_engine: OPA", 1) + "guards: {policy: {canary: {after: 5}}}\n":                                          "without stages",
		strings.Replace(good, "policy_engine: none", "policy_engine: OPA", 1) + "guards: {policy: {canary: {stages: [{for: 1m}]}}}\n":                               "who meets the new bundle",
		strings.Replace(good, "policy_engine: none", "policy_engine: OPA", 1) + "guards: {policy: {shadow: {sample: \"10%\"}}}\n":                                   "without bundle",
	} {
		if code, _, words := say("validate", write(t, "c.yaml", text)); code != 1 || !strings.Contains(words, want) {
			t.Errorf("want %s, got exit %d: %s\n%s", want, code, words, text)
		}
	}
}

func TestCedarPoliciesAreTestedBuiltSignedAndDecide(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "bundle")
	if err := os.CopyFS(source, policies.Cedar()); err != nil {
		t.Fatal(err)
	}
	private, public := releaseKeys(t)
	built, signed := filepath.Join(dir, "built.tar.gz"), filepath.Join(dir, "signed.tar.gz")
	cedar := strings.NewReplacer("policy_engine: none", "policy_engine: Cedar, decision_cache_ttl: 5m", "name: crm", "data_classification: public, name: crm").Replace(good)
	cfg := write(t, "policy.yaml", cedar+"guards: {policy: {bundle: "+signed+", keys: [{id: k1, algorithm: EdDSA, key: \""+public+"\"}]}}\n")
	table := write(t, "cases.json", `[{"name":"a reader searches","principal":{"subject":"ann","roles":["reader"]},"server":{"name":"crm","data_classification":"public"},"target":{"kind":"tool","name":"search_x"}}]`)
	ann := write(t, "ann.json", `{"subject":"ann","roles":["reader"]}`)
	search := write(t, "search.json", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_x"}}`)
	drop := write(t, "drop.json", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"drop"}}`)
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"the default bundle's tests", []string{"policy", "test", "default-cedar"}, 0, "0 failed"},
		{"what no case reaches", []string{"policy", "test", source, "--coverage"}, 0, "not reached organisation.cedar"},
		{"both languages say the same", []string{"policy", "diff", "default", source, "--cases", table}, 0, "0 of 1"},
		{"build", []string{"policy", "build", source, "--version", "1.4.0", "--commit", "abc", "-o", built}, 0, ""},
		{"what was built is not signed", []string{"policy", "verify", built, "--key", public, "--id", "k1"}, 1, "signature"},
		{"sign", []string{"policy", "sign", built, "--key", private, "--id", "k1", "-o", signed}, 0, ""},
		{"verify", []string{"policy", "verify", signed, "--key", public, "--id", "k1"}, 0, "1.4.0+"},
		{"the configuration", []string{"validate", cfg}, 0, "good"},
		{"ann searches", []string{"explain", "-c", cfg, "--server", "crm", "--principal", ann, search}, 0, `"policy": "1.4.0+`},
		{"ann drops", []string{"explain", "-c", cfg, "--server", "crm", "--principal", ann, drop}, 1, "tool_not_allowed in access: no policy permits tools/call"},
		{"nobody searches", []string{"explain", "-c", cfg, "--server", "crm", search}, 1, `"reason": "unknown_server"`},
		{"a bundle of Rego for Cedar", []string{"validate", write(t, "rego.yaml", cedar+"guards: {policy: {bundle: "+regoBundle(t)+", signatures: optional}}\n")}, 1, "permits nothing"},
	} {
		code, out, words := say(c.args...)
		if code != c.code || !strings.Contains(out+words, c.want) {
			t.Errorf("%s: exit %d\n%s%s", c.name, code, out, words)
		}
	}
}

func regoBundle(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "rego")
	if err := os.CopyFS(dir, policies.Default()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTheGuidesBlocksDecideWhichBundlesAreTaken(t *testing.T) {
	dir := t.TempDir()
	private, public := releaseKeys(t)
	source := regoBundle(t)
	archive := func(name string, args ...string) string {
		t.Helper()
		built, signed := filepath.Join(dir, name+".built"), filepath.Join(dir, name+".tar.gz")
		for _, a := range [][]string{append([]string{"policy", "build", source, "-o", built}, args...), {"policy", "sign", built, "--key", private, "--id", "k1", "-o", signed}} {
			if code, _, words := say(a...); code != 0 {
				t.Fatal(a, words)
			}
		}
		return signed
	}
	good1, anonymous := archive("good", "--version", "1.4.0", "--commit", "abc"), archive("anonymous", "--version", "1.4.0")
	untested := regoBundle(t)
	for _, name := range []string{"sallyport_test.rego", "flow_test.rego"} {
		if err := os.Remove(filepath.Join(untested, "sallyport", name)); err != nil {
			t.Fatal(err)
		}
	}
	failing := regoBundle(t)
	if err := os.WriteFile(filepath.Join(failing, "sallyport", "broken_test.rego"), []byte("package sallyport.broken\n\ntest_no if 1 == 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	unversioned := regoBundle(t)
	if err := os.WriteFile(filepath.Join(unversioned, ".manifest"), []byte(`{"revision": "friday", "roots": ["sallyport", "org"], "rego_version": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	const verbatim = "policy_framework:\n  storage: \"Git repository\"\n  language: \"OPA Rego / Cedar\"\n  versioning: \"Semantic versioning\"\n  deployment: \"GitOps with signed releases\"\n  validation: \"CI/CD policy tests\"\n  enforcement: \"Distributed PEPs\"\n"
	with := func(bundle, rest string) string {
		return "guards: {policy: {bundle: " + bundle + ", keys: [{id: k1, algorithm: EdDSA, key: \"" + public + "\"}]" + rest + "}}\n"
	}
	for _, c := range []struct{ name, engine, text, want string }{
		{"the guide's block, and a release that keeps to it", "OPA", verbatim + with(good1, ""), "good"},
		{"and no policy", "none", verbatim, "no policy decides"},
		{"and the policy of this build", "OPA", verbatim, "must name a release"},
		{"and a release of an unknown commit", "OPA", verbatim + with(anonymous, ""), "names no commit"},
		{"and signatures that are optional", "OPA", verbatim + with(good1, ", signatures: optional"), "demands signed releases"},
		{"and a guard that only looks", "OPA", verbatim + strings.Replace(with(good1, ""), "policy: {", "policy: {mode: shadow, ", 1), "must be in mode enforce"},
		{"another language", "OPA", "policy_framework: {language: Cedar}\n", `policy_engine is "OPA"`},
		{"the other way round", "Cedar", "policy_framework: {language: OPA Rego}\n", `policy_engine is "Cedar"`},
		{"a version that is none", "OPA", "policy_framework: {versioning: Semantic versioning}\n" + with(unversioned, ", signatures: optional"), `"friday" is no semantic one`},
		{"no tests, and no signature to go by", "OPA", "policy_framework: {validation: CI/CD policy tests}\n" + with(untested, ", signatures: optional"), "brings no tests"},
		{"a test that fails", "OPA", "policy_framework: {validation: CI/CD policy tests}\n" + with(failing, ", signatures: optional"), "policy_framework.validation: 1 of its "},
		{"tests that pass", "OPA", "policy_framework: {validation: CI/CD policy tests}\n" + with(source, ", signatures: optional"), "good"},
		{"the tests of this build", "Cedar", "policy_framework: {validation: CI/CD policy tests, language: Cedar}\n", "good"},
		{"the identity framework's words", "OPA", "identity_framework: {access_control: ABAC/ReBAC, policy_storage: Git with signed releases}\n" + with(good1, ""), "good"},
		{"and no keys", "OPA", "identity_framework: {policy_storage: Git with signed releases}\nguards: {policy: {bundle: " + source + ", signatures: optional}}\n", "demands signed releases"},
		{"rules without a policy", "none", "identity_framework: {access_control: RBAC}\n", "no policy decides"},
	} {
		code, out, words := say("validate", write(t, "c.yaml", strings.Replace(good, "policy_engine: none", "policy_engine: "+c.engine, 1)+c.text))
		if !strings.Contains(out+words, c.want) || (code == 0) != (c.want == "good") {
			t.Errorf("%s: exit %d: %s%s", c.name, code, out, words)
		}
	}
}
