package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/keyring"
	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/mcp"
)

// archive is two replicas' directories, whose receipts seal what they can.
type archive struct {
	dirs           []string
	ring, wrap     string
	sign, requests string // the key without its ending
}

// clerk is a caller in an archive.
func clerk(name, tenant string) guard.Principal {
	return guard.Principal{Subject: name, Issuer: "https://idp.example", Tenant: tenant, Roles: []string{"clerk"}}
}

func newArchive(t *testing.T, sealed bool) *archive {
	t.Helper()
	dir := t.TempDir()
	a := &archive{dirs: []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}, ring: filepath.Join(dir, "ring"), wrap: filepath.Join(dir, "wrap"), sign: filepath.Join(dir, "sign"), requests: filepath.Join(dir, "requests")}
	if code, _, words := say("audit", "keygen", a.sign); code != 0 {
		t.Fatal(words)
	}
	if err := os.WriteFile(a.wrap, []byte(strings.Repeat("ab", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(a.sign + ".key")
	if err != nil {
		t.Fatal(err)
	}
	key, err := chain.ParsePrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	w, err := keyring.NewLocal(strings.Repeat("ab", 32))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Open(t.Context(), keyring.Options{Directory: a.ring, Wrappers: []keyring.Wrapper{w}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	s := &audit.Sealing{Ring: ring, Subjects: sealed, Payloads: []audit.Payload{{Arguments: true}}, Largest: 1 << 10}
	m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"iban":"DE1"}}}`))
	if f != nil {
		t.Fatal(f)
	}
	for i, to := range a.dirs {
		k, err := audit.Keep(ledger.Options{Directory: to, SegmentSize: 1 << 16, SegmentTime: time.Hour, CheckpointEvery: time.Second, Key: key, Spool: 1 << 20, Log: slog.New(slog.DiscardHandler), Now: time.Now}, audit.Block)
		if err != nil {
			t.Fatal(err)
		}
		o := k.Under(audit.Form{Config: "c", Sealing: s})
		for j, p := range []guard.Principal{clerk("alice", "acme"), clerk("bob", "acme"), clerk("alice", "umbrella"), {}} {
			x := &guard.Exchange{ID: strings.Repeat(string("abcd"[j])+string("01"[i]), 16), Principal: p, Server: guard.Server{Name: "bank"}}
			if err := o.Observe(t.Context(), x, &m, &guard.Decision{Action: guard.Allow, At: time.Now(), Message: m}); err != nil {
				t.Fatal(err)
			}
		}
		if err := k.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// ask makes a request about all directories.
func (a *archive) ask(kind string, args ...string) (code int, out, words string) {
	all := append([]string{"audit", "subject", kind}, a.dirs...)
	all = append(all, "--keys", a.ring, "--wrap-with", "file:"+a.wrap, "--requests", a.requests, "--sign-with", "file:"+a.sign+".key", "--key", a.sign+".pub", "--by", "dpo")
	return say(append(all, args...)...)
}

func (a *archive) payloads(t *testing.T, more ...string) (code int, out, words string) {
	t.Helper()
	return say(append([]string{"audit", "payload", a.dirs[0], "--keys", a.ring, "--wrap-with", "file:" + a.wrap}, more...)...)
}

func TestAPersonIsFoundCopiedAndErasedOverAllReplicas(t *testing.T) {
	a := newArchive(t, true)
	code, out, words := a.ask("find", "--subject", "alice")
	if code != 0 || strings.Count(out, "\n") != 4 || strings.Contains(out, "alice") || words != "" {
		t.Fatalf("exit %d\n%s\n%s", code, out, words)
	}
	if _, out, _ := a.ask("find", "--subject", "alice", "--tenant", "acme"); strings.Count(out, "\n") != 2 {
		t.Errorf("within a tenant: %s", out)
	}
	if code, out, _ := a.ask("find", "--subject", "mallory"); code != 1 || out != "" {
		t.Errorf("nobody: exit %d, %s", code, out)
	}
	if code, _, _ := say("audit", "subject", "find", a.dirs[0], "--subject", "alice"); code != 2 {
		t.Errorf("a request that leaves no receipt: exit %d", code)
	}

	_, out, _ = a.ask("export", "--subject", "alice", "--tenant", "acme")
	var doc struct {
		Directories []struct{ OK bool }
		Receipts    []struct {
			Opened struct {
				Identity  struct{ Subject string }
				Arguments struct{ IBAN string }
			}
			Proof json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || len(doc.Receipts) != 2 || !doc.Directories[0].OK || doc.Receipts[1].Opened.Identity.Subject != "alice" || doc.Receipts[1].Opened.Arguments.IBAN != "DE1" {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.HasPrefix(out, `{"about":{"tenant":"acme","subject":"alice"},`) {
		t.Errorf("the copy says what it is about with names like the rest: %.100s", out)
	}
	proof := write(t, "proof.json", string(doc.Receipts[1].Proof))
	if code, _, words := say("audit", "verify", "--proof", proof, "--key", a.sign+".pub"); code != 0 {
		t.Errorf("the proof: %s", words)
	}

	if code, out, _ := a.ask("erase", "--subject", "alice", "--tenant", "acme"); code != 1 || !strings.Contains(out, "1 keys would be destroyed, about 2 receipts") {
		t.Errorf("without --yes: exit %d, %s", code, out)
	}
	if code, out, _ := a.ask("erase", "--subject", "alice", "--tenant", "acme", "--json"); code != 1 || out != `{"done":false,"keys":1,"receipts":2,"in_clear":0}`+"\n" {
		t.Errorf("without --yes, for machines: exit %d, %s", code, out)
	}
	backup, err := os.ReadFile(filepath.Join(a.ring, "keys.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if code, out, words := a.ask("erase", "--subject", "alice", "--tenant", "acme", "--why", "TICKET-7", "--yes"); code != 0 || !strings.Contains(out, "1 keys destroyed, about 2 receipts") {
		t.Fatalf("exit %d, %s%s", code, out, words)
	}
	code, out, _ = a.payloads(t)
	if code != 1 || strings.Count(out, "the key was destroyed") != 2 || strings.Count(out, "DE1") != 3 || strings.Count(out, `"bob"`) != 1 {
		t.Errorf("exit %d, %s", code, out)
	}
	if code, out, _ := a.ask("find", "--subject", "alice", "--tenant", "acme"); code != 1 || out != "" {
		t.Errorf("she is still found: %s", out)
	}
	for _, dir := range append(a.dirs, a.requests) {
		if code, _, words := say("audit", "verify", dir, "--key", a.sign+".pub"); code != 0 {
			t.Errorf("%s does not verify: %s", dir, words)
		}
	}
	_, out, _ = say("audit", "query", a.requests)
	if strings.Count(out, `"request":"find"`) != 4 || strings.Count(out, `"request":"export"`) != 1 || strings.Count(out, `"request":"erase"`) != 1 || !strings.Contains(out, "TICKET-7") || strings.Contains(out, "alice") {
		t.Errorf("what was asked: %s", out)
	}

	schema, err := jsonschema.NewCompiler().Compile("../../docs/receipts.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err == nil {
			err = schema.Validate(v)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, line)
		}
	}

	// Somebody puts the ring of before back, with all that it remembers.
	if err := os.WriteFile(filepath.Join(a.ring, "keys.jsonl"), backup, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, out, _ := a.payloads(t); strings.Count(out, "the key was destroyed") != 2 {
		t.Errorf("a file put back brings a key back: %s", out)
	}
	if err := os.Remove(filepath.Join(a.ring, "destroyed.jsonl")); err != nil {
		t.Fatal(err)
	}
	if code, out, words := a.payloads(t, "--requests", a.requests); code != 1 || out != "" || !strings.Contains(words, "a copy of it was put back") {
		t.Errorf("a ring put back as a whole is taken: exit %d, %s%s", code, out, words)
	}
}

func TestATenantIsErasedWithAllOfItsPeople(t *testing.T) {
	a := newArchive(t, true)
	code, out, words := a.ask("erase", "--tenant", "acme", "--yes", "--json")
	var did struct {
		Done      bool
		Keys      int
		Destroyed []string
		Receipts  int
		InClear   int `json:"in_clear"`
	}
	if err := json.Unmarshal([]byte(out), &did); err != nil || code != 0 || words != "" || !did.Done || did.Keys != 3 || len(did.Destroyed) != 3 || did.Receipts != 4 || did.InClear != 0 {
		t.Errorf("exit %d, %v, %s%s", code, err, out, words)
	}
	if _, out, _ := a.payloads(t); strings.Count(out, "the key was destroyed") != 4 || strings.Count(out, "DE1") != 2 {
		t.Errorf("%s", out)
	}
	_, out, _ = say("audit", "keys", "list", "--keys", a.ring, "--wrap-with", "file:"+a.wrap)
	if strings.Contains(out, "acme") || strings.Count(out, "umbrella") != 2 {
		t.Errorf("%s", out)
	}
}

// An erasure must not say yes where it could not erase.
func TestWhoIsNamedInClearCannotBeErased(t *testing.T) {
	a := newArchive(t, false)
	code, out, words := a.ask("erase", "--subject", "alice", "--yes")
	if code != 1 || !strings.Contains(out, "0 keys destroyed, about 4 receipts") || !strings.Contains(words, "4 receipts name the subject in clear") {
		t.Errorf("exit %d, %s%s", code, out, words)
	}
	if code, _, words := say("audit", "subject", "erase", a.dirs[0], "--subject", "alice", "--requests", a.requests, "--sign-with", "file:"+a.sign+".key"); code != 2 || !strings.Contains(words, "[config keys]") {
		t.Errorf("without a ring: exit %d, %s", code, words)
	}
}

func TestTheWrappingKeyChanges(t *testing.T) {
	a := newArchive(t, true)
	next := write(t, "next", strings.Repeat("cd", 32))
	if code, out, words := say("audit", "keys", "rewrap", "--keys", a.ring, "--wrap-with", "file:"+next, "--wrap-with", "file:"+a.wrap); code != 0 || out != "6 keys wrapped anew\n" {
		t.Fatalf("exit %d, %s%s", code, out, words)
	}
	if code, _, words := a.payloads(t); code != 1 || !strings.Contains(words, "none of its 6 keys opens") || strings.Contains(words, "abab") {
		t.Errorf("with the old one: exit %d, %s", code, words)
	}
	a.wrap = next
	if code, out, words := a.payloads(t); code != 0 || strings.Count(out, "DE1") != 4 {
		t.Errorf("with the new one: exit %d, %s%s", code, out, words)
	}
	if code, out, _ := say("audit", "keys", "rotate", "--tenant", "acme", "--keys", a.ring, "--wrap-with", "file:"+next); code != 0 || len(out) != 17 {
		t.Errorf("exit %d, %q", code, out)
	}
	code, out, _ := say("audit", "keys", "rotate", "--tenant", "acme", "--keys", a.ring, "--wrap-with", "file:"+next, "--json")
	var key struct {
		ID    string
		Owner keyring.Owner
	}
	if err := json.Unmarshal([]byte(out), &key); err != nil || code != 0 || len(key.ID) != 16 || key.Owner != keyring.TenantOf("acme") {
		t.Errorf("exit %d, %v, %s", code, err, out)
	}
	if code, out, _ := say("audit", "keys", "rewrap", "--keys", a.ring, "--wrap-with", "file:"+next, "--json"); code != 0 || out != `{"rewrapped":0}`+"\n" {
		t.Errorf("exit %d, %q", code, out)
	}
}
