package identity

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// watching is an MCP server that answers calls, and streams to those who watch.
func watching(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if !bytes.Contains(b, []byte("watch")) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for n := range 600 {
			fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":%d}}\n\n", n)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// withRedis runs a gateway in front of crm that shares r with others.
func withRedis(t testing.TB, p *testenv.Issuer, upstream string, r *testenv.Redis, more string) *testenv.Gateway {
	t.Helper()
	config := strings.Replace(testenv.Config(t, "  - {name: crm, url: "+upstream+"}\n", ""), "authentication: {method: none}", "authentication: {method: JWT}", 1)
	config += fmt.Sprintf("guards:\n  identity:\n    public_url: %s\n    issuers: [{url: %q, scopes: [mcp]}]\n", public, p.URL)
	config += "redis: {addresses: [\"" + r.Address + "\"], timeout: 1s}\n" + more
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	testenv.Write(t, path, config)
	return testenv.StartFile(t, path)
}

// revoke runs the command against a gateway and returns what it says.
func revoke(t testing.TB, g *testenv.Gateway, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, testenv.Binary(t), append([]string{"revoke", "--admin", g.Admin}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("revoke %v: %v: %s", args, err, out)
	}
	return string(out)
}

// admin asks the admin interface.
func admin(t testing.TB, g *testenv.Gateway, method, path, body string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, g.Admin+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// ID of the revocation that an answer is about.
func revocationID(t testing.TB, body string) string {
	t.Helper()
	var got struct {
		Revocation struct {
			ID string `json:"id"`
		} `json:"revocation"`
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || got.Revocation.ID == "" {
		t.Fatalf("%v: %s", err, body)
	}
	return got.Revocation.ID
}

// Ana's cached token opens nothing any more on either replica, her streams end,
// and Bo, who calls all the while, loses nothing.
func TestARevocationTakesEffectOnEveryReplicaUnderLoad(t *testing.T) {
	p, r, upstream := startIssuer(t), testenv.StartRedis(t), watching(t)
	one, two := withRedis(t, p, upstream, r, ""), withRedis(t, p, upstream, r, "")
	ana := p.Token(t, public+"/mcp/crm", 10*time.Minute, map[string]any{"jti": "t-ana"})
	bo := p.Token(t, public+"/mcp/crm", 10*time.Minute, map[string]any{"sub": "bo", "client_id": "till", "act": map[string]any{"sub": "agent-8"}, "jti": "t-bo"})

	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	defer load.Wait()
	defer stop()
	call1 := func(g *testenv.Gateway, token string) (int, string) {
		resp, body, err := do(context.Background(), http.DefaultClient, g.MCP+"/mcp/crm", "Authorization", "Bearer "+token)
		if err != nil {
			return 0, err.Error()
		}
		return resp.StatusCode, body
	}
	var served atomic.Int64
	for _, g := range []*testenv.Gateway{one, two} {
		for range 2 {
			load.Go(func() {
				for ctx.Err() == nil {
					if status, body := call1(g, bo); status != http.StatusOK {
						t.Errorf("bo was refused: %d %s", status, body)
						return
					}
					served.Add(1)
				}
			})
		}
	}
	allowed := func(g *testenv.Gateway) func() bool {
		return func() bool { status, _ := call1(g, ana); return status == http.StatusOK }
	}
	stream := send(t, t.Context(), http.MethodPost, two.MCP+"/mcp/crm", ana, `{"jsonrpc":"2.0","id":"s","method":"tools/call","params":{"name":"watch"}}`)
	if stream.StatusCode != http.StatusOK {
		t.Fatal(stream.Status)
	}
	for i, c := range []struct{ kind, value string }{
		{"subject", "ana"}, {"client", "desk"}, {"token", "t-ana"}, {"subject", "agent-7"}, {"subject", "ana"},
	} {
		if !allowed(one)() || !allowed(two)() {
			t.Fatal("ana is refused before she is revoked")
		}
		began := time.Now()
		status, body := admin(t, one, http.MethodPost, "/v1/revocations", fmt.Sprintf(`{"kind":%q,"value":%q,"issuer":%q}`, c.kind, c.value, p.URL))
		if status != http.StatusCreated {
			t.Fatalf("%d %s", status, body)
		}
		if status, body := call1(one, ana); status != http.StatusUnauthorized || !strings.Contains(body, "identity_revoked") {
			t.Errorf("on the replica that was told: %d %s", status, body)
		}
		testenv.Eventually(t, time.Minute, "the first refusal on the other replica", func() bool { return !allowed(two)() })
		t.Logf("%s %s: %v from the POST on one replica to the first refusal on the other", c.kind, c.value, time.Since(began).Round(time.Millisecond))
		if i == 0 { // the stream that ana had open there
			var last string
			lines := bufio.NewScanner(stream.Body)
			for lines.Scan() {
				if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
					last = data
				}
			}
			if !strings.Contains(last, `"id":"s"`) || !strings.Contains(last, "identity_revoked") {
				t.Errorf("the stream's last event is %s", last)
			}
			t.Logf("its stream ended after %v", time.Since(began).Round(time.Millisecond))
		}
		if list := revoke(t, two, "list"); !strings.Contains(list, c.value) {
			t.Errorf("the other replica's list: %s", list)
		}
		revoke(t, two, "undo", revocationID(t, body))
		testenv.Eventually(t, time.Minute, "the end", allowed(one))
		testenv.Eventually(t, time.Minute, "the end", allowed(two))
	}
	if out := revoke(t, one, "subject", "ana", "--issued-before", "now", "--note", "lost her laptop"); !strings.Contains(out, `revoked subject "ana"`) {
		t.Error(out)
	}
	testenv.Eventually(t, time.Minute, "the refusal of what was issued before", func() bool { return !allowed(two)() })
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(2 * time.Second))) // a token says that it was issued a second earlier
	fresh := p.Token(t, public+"/mcp/crm", 10*time.Minute, nil)
	if status, body := call1(two, fresh); status != http.StatusOK {
		t.Errorf("a token that was issued since: %d %s", status, body)
	}
	stop()
	load.Wait()
	t.Logf("%d calls of somebody else meanwhile", served.Load())
	two.ReceiptsWith(t, `subject \"ana\" was revoked while the stream was open`)
	two.ReceiptsWith(t, `client \"desk\" was revoked`)
	if text := one.ReceiptsWith(t, "lost her laptop"); !strings.Contains(text, "revocation_add") {
		t.Error("receipts do not say who was revoked, and why")
	}
	two.ReceiptsWith(t, "revocation_remove")

	// A replica that begins later, and one that Redis left alone.
	three := withRedis(t, p, upstream, r, "revocations: {max_stale: 2s}\n")
	if allowed(three)() {
		t.Error("a replica that began later lets her in")
	}
	r.Stop()
	testenv.Eventually(t, time.Minute, "refusals for want of a list", func() bool {
		status, body := call1(three, fresh)
		return status == http.StatusServiceUnavailable && strings.Contains(body, "guard_error")
	})
	testenv.Eventually(t, time.Minute, "the status of the other to tell of trouble", func() bool {
		return strings.Contains(two.Get(t, "/v1/status"), `"trouble": "redis: revocations`)
	})
	if allowed(two)() {
		t.Error("the last known list is forgotten")
	}
	if status, body := call1(two, fresh); status != http.StatusOK {
		t.Errorf("the last known list does not serve: %d %s", status, body)
	}
	if resp := three.Get(t, "/readyz"); !strings.Contains(resp, "last read") {
		t.Errorf("the replica says it is ready: %s", resp)
	}
}

func TestRevocationsOfOneGatewayOutliveItInAFile(t *testing.T) {
	p, upstream := startIssuer(t), watching(t)
	config := strings.Replace(testenv.Config(t, "  - {name: crm, url: "+upstream+"}\n", ""), "authentication: {method: none}", "authentication: {method: JWT}", 1)
	config += fmt.Sprintf("guards:\n  identity:\n    public_url: %s\n    issuers: [{url: %q}]\nrevocations: {file: revoked.json}\n", public, p.URL)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	testenv.Write(t, path, config)
	token := p.Token(t, public+"/mcp/crm", 10*time.Minute, nil)
	status := func(g *testenv.Gateway) int {
		return send(t, t.Context(), http.MethodPost, g.MCP+"/mcp/crm", token, call).StatusCode
	}
	t.Run("first", func(t *testing.T) {
		g := testenv.StartFile(t, path)
		if got := status(g); got != http.StatusOK {
			t.Fatal(got)
		}
		for body, want := range map[string]string{
			`{"kind":"subject","value":"ana","issuer":"https://typing.error"}`: "none of guards.identity.issuers",
			`{"kind":"peer","value":"spiffe://a/b"}`:                           "nobody is known as a peer",
			`{"kind":"subject","vale":"ana"}`:                                  "unknown field",
			`{"kind":"subject"}`:                                               "value: is empty",
		} {
			if code, text := admin(t, g, http.MethodPost, "/v1/revocations", body); code != http.StatusBadRequest || !strings.Contains(text, want) {
				t.Errorf("%s: %d %s", body, code, text)
			}
		}
		revoke(t, g, "subject", "ana")
		if got := status(g); got != http.StatusUnauthorized {
			t.Error(got)
		}
	})
	t.Run("second", func(t *testing.T) {
		if got := status(testenv.StartFile(t, path)); got != http.StatusUnauthorized {
			t.Errorf("after a restart: %d", got)
		}
	})
}
