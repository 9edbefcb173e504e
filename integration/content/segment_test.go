package content

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/segment"
)

// between is somebody between the gateway and a server, who edits what it says.
func between(t *testing.T, server string, edit func([]byte) []byte) string {
	t.Helper()
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	p := httputil.NewSingleHostReverseProxy(to)
	p.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	p.ModifyResponse = func(r *http.Response) error {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		b = edit(b)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
		r.Header.Set("Content-Length", fmt.Sprint(len(b)))
		return nil
	}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return s.URL
}

func TestSignedPromptsAndThoseWhoTamperWithThem(t *testing.T) {
	keys := make(map[string]ed25519.PrivateKey)
	set := func(names ...string) string {
		var list []segment.PublicKey
		for _, n := range names {
			keys[n] = ed25519.NewKeyFromSeed(bytes.Repeat([]byte(n[:1]), ed25519.SeedSize))
			k, err := segment.Public(keys[n].Public())
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, k)
		}
		b, err := segment.MarshalKeys(list...)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	binary := testenv.Build(t, "./examples/servers/playbook")
	start := func(name, key string) string {
		der, err := x509.MarshalPKCS8PrivateKey(keys[key])
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "key.pem")
		testenv.Write(t, file, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
		t.Setenv("SEGMENT_KEY", file)
		t.Setenv("SEGMENT_SERVER", name)
		p := testenv.Launch(t, binary, "-playbook", "127.0.0.1:0")
		const ready = "playbook ready playbook="
		testenv.Eventually(t, time.Minute, "the server is ready", func() bool { return strings.Contains(p.Text(), ready) && strings.Contains(p.Text(), "\n") })
		line, _, _ := strings.Cut(p.Text()[strings.Index(p.Text(), ready)+len(ready):], "\n")
		return line
	}
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	jwks := filepath.Join(filepath.Dir(path), "support.jwks")
	testenv.Write(t, jwks, set("old"))
	set("new")
	var tamper atomic.Pointer[func([]byte) []byte]
	same := func(b []byte) []byte { return b }
	tamper.Store(&same)
	testenv.Write(t, path, testenv.Config(t,
		"  - {name: playbook, url: "+between(t, start("playbook", "old"), func(b []byte) []byte { return (*tamper.Load())(b) })+"}\n"+
			"  - {name: rotated, url: "+start("rotated", "new")+"}\n"+
			"  - {name: elsewhere, url: "+start("playbook", "old")+"}\n", // it says what playbook says, signature and all
		"guards:\n  segment:\n    signers: [{name: support, keys: support.jwks, servers: [playbook, rotated, elsewhere]}]\n    unverified: refuse\n"))
	g := testenv.StartFile(t, path)
	get := func(s *sdk.ClientSession, name, order string) (*sdk.GetPromptResult, error) {
		p := &sdk.GetPromptParams{Name: name}
		if order != "" {
			p.Arguments = map[string]string{"order": order}
		}
		return s.GetPrompt(t.Context(), p)
	}
	status := func(meta sdk.Meta) string { return fmt.Sprint(meta["sallyport.dev/provenance"]) }
	const verified = "map[segments:[map[at:/result by:support status:verified]]]"
	s := connect(t, g.MCP+"/mcp/playbook")
	if i := s.InitializeResult(); !strings.HasPrefix(i.Instructions, "Playbooks") { // unverified ones are taken out
		t.Errorf("instructions %q", i.Instructions)
	}
	for name, order := range map[string]string{"triage": "", "refund": "4711"} {
		if r, err := get(s, name, order); err != nil || status(r.Meta) != verified {
			t.Errorf("%s: %v %+v", name, err, r)
		}
	}
	for _, c := range []struct {
		name   string
		edit   func([]byte) []byte
		reason string
	}{
		{"an altered text", func(b []byte) []byte { return bytes.Replace(b, []byte("Close none"), []byte("Close all"), 1) }, "does not fit"},
		{"a stripped signature", func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("sallyport.dev/segment"), []byte("sallyport.dev/nothing"))
		}, "has to be signed"},
		{"a claim of its own", func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("sallyport.dev/segment"), []byte("sallyport.dev/provenance"))
		}, "has to be signed"},
		{"alg none", func(b []byte) []byte { // "EdDSA" of the header, in base64url
			return bytes.ReplaceAll(b, []byte("eyJhbGciOiJFZERTQSIs"), []byte("eyJhbGciOiJub25lIiwg"))
		}, "does not fit"},
	} {
		tamper.Store(&c.edit)
		if r, err := get(s, "triage", ""); err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: %v %+v", c.name, err, r)
		}
	}
	answered := make(chan []byte, 1)
	capture := func(b []byte) []byte { answered <- bytes.Clone(b); return b }
	tamper.Store(&capture)
	if _, err := get(s, "refund", "4711"); err != nil {
		t.Fatal(err)
	}
	old := <-answered
	replay := func(b []byte) []byte { // the old answer, under the new request's id
		return bytes.Replace(old, id(old), id(b), 1)
	}
	tamper.Store(&replay)
	if r, err := get(s, "refund", "4712"); err == nil || !strings.Contains(err.Error(), "does not fit") {
		t.Errorf("the prompt for another order: %v %+v", err, r)
	}
	if r, err := get(s, "triage", ""); err == nil || !strings.Contains(err.Error(), "does not fit") {
		t.Errorf("the prompt under another name: %v %+v", err, r)
	}
	tamper.Store(&same)

	e := connect(t, g.MCP+"/mcp/elsewhere")
	if _, err := get(e, "triage", ""); err == nil || e.InitializeResult().Instructions != "" {
		t.Errorf("words of another server: %v %q", err, e.InitializeResult().Instructions)
	}
	r := connect(t, g.MCP+"/mcp/rotated")
	if _, err := get(r, "triage", ""); err == nil {
		t.Error("a key that nobody registered")
	}
	testenv.Write(t, jwks, set("old", "new"))
	testenv.Eventually(t, time.Minute, "the next key is known", func() bool { _, err := get(r, "triage", ""); return err == nil })
	if log := g.Get(t, "/metrics"); !strings.Contains(log, `mcp_gateway_events_total{event="segment_invalid"`) {
		t.Error("no event of an invalid signature")
	}
}

// id is the id of a message in an event or a body.
func id(b []byte) []byte {
	i := bytes.Index(b, []byte(`"id":`))
	end := bytes.IndexAny(b[i:], ",}")
	return b[i : i+end]
}
