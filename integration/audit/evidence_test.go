package audit

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

var update = flag.Bool("update", false, "write docs/example/compliance anew")

// agency is a gateway with everything that evidence is made from: identities, a
// policy, detectors, and receipts that are signed, published and sealed.
type agency struct {
	*testenv.Gateway
	dir    string
	issuer *testenv.Issuer
}

const organisation = `{
  "roles": {"clerk": {"clearance": "confidential", "servers": {"bank": [{"tools": ["balance", "note"]}]}}},
  "tools": {"bank": {"pay": {"sensitive": true}}},
  "servers": {},
  "settings": {
    "freeze": false, "ranks": {"public": 0, "internal": 1, "confidential": 2}, "unclassified": "internal", "sensitive_max_age": 300,
    "client_requests": [], "scope_mapping": {}, "hints": {}
  }
}`

func openAgency(t *testing.T) *agency {
	t.Helper()
	upstream := startServer(t, `{"content":[{"type":"text","text":"write to ben@mail.example"}]}`)
	a := &agency{dir: t.TempDir(), issuer: testenv.StartIssuer(t)}
	testenv.SigningKey(t, a.at("sign"))
	testenv.Write(t, a.at("wrap"), strings.Repeat("5e", 32))
	testenv.Write(t, a.at("bind"), strings.Repeat("k", 40))
	testenv.Write(t, a.at("sallyport.yaml"), fmt.Sprintf(`listeners: [{address: "127.0.0.1:0"}]
gateway:
  authentication: {method: JWT}
  authorization: {policy_engine: OPA}
  rate_limiting: {per_principal: "1000/hour"}
identity_framework: {token_lifetime: "1 hour"}
extproc: {address: "127.0.0.1:0"}
xds: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
envoy: {admin_address: "127.0.0.1:0", concurrency: 1}
guards:
  identity: {public_url: "https://gateway.example", issuers: [{url: %q, tenant: acme}]}
  policy: {bundle: %q, signatures: optional}
  binding: {keys: ["file:%s"]}
  dlp: {to_client: {pii: mask}}
receipts:
  directory: receipts
  sign_with: file:%s
  publish: published.jsonl
  checkpoint_every: 50ms
  sealing:
    keys: ring
    wrap_with: ["file:%s"]
    subjects: sealed
    payloads: [{tenants: [acme], keep: [arguments, results]}]
servers:
  - {name: bank, owner: team-pay, data_classification: confidential, url: %q, tools: [{name: balance, read_only: true}, {name: pay, sensitive: true, financial: true, destructive: true}]}
`, a.issuer.URL, testenv.Bundle(t, organisation), a.at("bind"), a.at("sign.key"), a.at("wrap"), upstream+"/"))
	a.Gateway = testenv.StartFile(t, a.at("sallyport.yaml"))
	return a
}

func (a *agency) at(name string) string { return filepath.Join(a.dir, name) }

// call calls a tool as somebody, and returns what came back.
func (a *agency) call(t *testing.T, who, tool, arguments string) string {
	t.Helper()
	var header []string
	if who != "" {
		header = []string{"Authorization", "Bearer " + a.issuer.Token(t, "https://gateway.example/mcp/bank", 10*time.Minute, map[string]any{"sub": who, "roles": []string{"clerk"}})}
	}
	return testenv.Post(t, a.MCP+"/mcp/bank", fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, tool, arguments), header...).Text
}

// A day at the agency, what its auditors read afterwards, and what its people can
// ask for.
func TestWhatAuditorsAndPeopleGetToSee(t *testing.T) {
	a := openAgency(t)
	if got := a.call(t, "ana.lopez", "balance", `{"account":"A-17"}`); !strings.Contains(got, "[EMAIL_ADDRESS]") {
		t.Fatal(got)
	}
	a.call(t, "ana.lopez", "note", `{"text":"call back"}`)
	a.call(t, "ben", "balance", `{"account":"B-4"}`)
	for _, c := range [][2]string{{"", "unauthenticated"}, {"ana.lopez", "unknown_target"}} { // in this order, which the reports show
		if got := a.call(t, c[0], "pay", `{"to":"X"}`); !strings.Contains(got, c[1]) {
			t.Fatalf("%s: %s", c[0], got)
		}
	}
	if got := a.call(t, "ben", "note", `{"text":"ghp_k3Jx9QpLm2Vb7Nc4Rt8Ws1Yz5Hd6Fg0Uak3J"}`); !strings.Contains(got, "secret_blocked") {
		t.Fatal(got)
	}
	if err := a.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	a.Exited <- <-a.Exited

	t.Run("nothing is in clear that was to be sealed", func(t *testing.T) {
		all := string(read(t, a.at("receipts/segment-00000001.jsonl"))) + a.Log()
		for _, never := range []string{"ana.lopez", "A-17", "call back", "ghp_k3", "ben@mail"} {
			if strings.Contains(all, never) {
				t.Errorf("%s is in the receipts or in the log", never)
			}
		}
		code, out, words := sallyport(t, "audit", "payload", a.at("receipts"), "-c", a.Config)
		for _, want := range []string{`"subject":"ana.lopez"`, `"account":"A-17"`, "[EMAIL_ADDRESS]"} {
			if code != 0 || !strings.Contains(out, want) {
				t.Errorf("exit %d, no %s in\n%s%s", code, want, out, words)
			}
		}
		if strings.Contains(out, "ghp_k3") || strings.Contains(out, "ben@mail") {
			t.Errorf("what did not go on is kept: %s", out)
		}
	})
	t.Run("reports", func(t *testing.T) {
		for _, framework := range []string{"cosai", "eu-ai-act", "iso-23894", "iso-27001", "iso-42001", "nist-ai-rmf", "owasp-mcp"} {
			a.golden(t, framework, "md")
		}
		a.golden(t, "eu-ai-act", "html")
		a.golden(t, "eu-ai-act", "oscal")
		a.proofsVerify(t)
	})
	t.Run("a person is erased", func(t *testing.T) {
		erase := []string{"audit", "subject", "erase", a.at("receipts"), "-c", a.Config, "--subject", "ana.lopez", "--requests", a.at("requests"), "--key", a.at("sign.pub"), "--by", "dpo", "--yes"}
		if code, out, words := sallyport(t, erase...); code != 0 || !strings.Contains(out, "1 keys destroyed") {
			t.Fatalf("exit %d, %s%s", code, out, words)
		}
		_, out, _ := sallyport(t, "audit", "payload", a.at("receipts"), "-c", a.Config)
		if strings.Contains(out, "ana.lopez") || strings.Contains(out, "A-17") || !strings.Contains(out, `"account":"B-4"`) {
			t.Errorf("%s", out)
		}
		if code, _, words := sallyport(t, "audit", "verify", a.at("receipts"), "--key", a.at("sign.pub"), "--published", a.at("published.jsonl")); code != 0 {
			t.Errorf("the receipts do not verify: %s", words)
		}
	})
}

// proofsVerify makes a report's proofs and checks each as an auditor would, without
// the directory that they are from.
func (a *agency) proofsVerify(t *testing.T) {
	t.Helper()
	if code, _, words := sallyport(t, "audit", "report", a.at("receipts"), "--framework", "cosai", "-c", a.Config, "--key", a.at("sign.pub"), "--samples", "2", "--proofs", a.at("proofs"), "-o", a.at("report.md")); code != 0 {
		t.Fatal(words)
	}
	files, err := filepath.Glob(a.at("proofs/receipt-*.json"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%d proofs, %v", len(files), err)
	}
	for _, file := range files {
		if code, _, words := sallyport(t, "audit", "verify", "--proof", file, "--key", a.at("sign.pub")); code != 0 {
			t.Errorf("%s: %s", filepath.Base(file), words)
		}
	}
	forged := bytes.Replace(read(t, files[0]), []byte("bank"), []byte("tank"), 1)
	testenv.Write(t, a.at("forged.json"), string(forged))
	if code, _, _ := sallyport(t, "audit", "verify", "--proof", a.at("forged.json"), "--key", a.at("sign.pub")); code != 1 {
		t.Errorf("a forged receipt verifies: exit %d", code)
	}
}

var (
	hashes  = regexp.MustCompile(`\b[0-9a-f]{16}(…|\b)`)
	wide    = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	moments = regexp.MustCompile(`20\d\d-\d\d-\d\dT[0-9:.]+Z`)
	uuids   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[45][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
	boxes   = regexp.MustCompile(`("value": ")[A-Za-z0-9+/=]{100,}`)
	builds  = regexp.MustCompile(`sallyport \(devel\)|sallyport v\S+|sallyport unknown`)
	version = regexp.MustCompile(`("version": ")[^"]*`)
	sealed  = regexp.MustCompile(`\d+ of \d+ checkpoints`)
)

// golden holds a report against docs/example/compliance, with what differs from run
// to run replaced.
func (a *agency) golden(t *testing.T, framework, format string) {
	t.Helper()
	code, out, words := sallyport(t, "audit", "report", a.at("receipts"), "--framework", framework, "-c", a.Config, "--key", a.at("sign.pub"), "--published", a.at("published.jsonl"), "--format", format)
	if code != 0 {
		t.Fatal(words)
	}
	out = strings.ReplaceAll(out, a.dir, "/var/lib/sallyport")
	out = wide.ReplaceAllString(out, strings.Repeat("0", 64))
	out = hashes.ReplaceAllString(out, strings.Repeat("0", 16)+"$1")
	out = moments.ReplaceAllString(out, "2026-11-02T09:00:00Z")
	out = boxes.ReplaceAllString(out, "${1}AAAA")
	out = builds.ReplaceAllString(out, "sallyport v1.0.0")
	out = version.ReplaceAllString(out, "${1}v1.0.0")
	out = sealed.ReplaceAllString(out, "all checkpoints")
	ids := map[string]string{}
	out = uuids.ReplaceAllStringFunc(out, func(id string) string {
		if ids[id] == "" {
			ids[id] = fmt.Sprintf("00000000-0000-5000-8000-%012d", len(ids)+1)
		}
		return ids[id]
	})
	name := framework + "." + format
	if format == "oscal" {
		name += ".json"
	}
	path := filepath.Join(testenv.Root(), "docs/example/compliance", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := read(t, path); !bytes.Equal(want, []byte(out)) {
		was, is := strings.Split(string(want), "\n"), strings.Split(out, "\n")
		for i := range min(len(was), len(is)) {
			if was[i] != is[i] {
				t.Fatalf("%s is not what the report says now; run go test ./integration/audit -run Auditors -update\nline %d was %s\nand is     %s", path, i+1, was[i], is[i])
			}
		}
		t.Fatalf("%s has %d lines, and the report has %d", path, len(was), len(is))
	}
}
