package identity

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A thief opens requests with a stolen token and sends their bodies when it is
// revoked, or has expired.
func TestBodiesKeptForLaterReachNoServer(t *testing.T) {
	var seen atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	t.Cleanup(s.Close)
	p := startIssuer(t)
	g := gateway(t, p, "  - {name: crm, url: "+s.URL+", health_check: {disabled: true}}\n")

	const body = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"pay","arguments":{}}}`
	begin := func(token string) net.Conn {
		c, err := net.Dial("tcp", strings.TrimPrefix(g.MCP, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c, "POST /mcp/crm HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", token, len(body), body[:20])
		return c
	}
	revoked := begin(p.Token(t, public+"/mcp/crm", 10*time.Minute, nil))
	expired := begin(p.Token(t, public+"/mcp/crm", time.Second, map[string]any{"sub": "bo"}))
	time.Sleep(500 * time.Millisecond) // until their headers were judged
	revoke(t, g, "subject", "ana")
	time.Sleep(3 * time.Second) // until the other token has expired
	for name, c := range map[string]struct {
		conn         net.Conn
		reason, hint string
	}{"revoked": {revoked, "identity_revoked", "revoked"}, "expired": {expired, "unauthenticated", "expired before"}} {
		if _, err := io.WriteString(c.conn, body[20:]); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c.conn), nil)
		if err != nil {
			t.Fatal(name, err)
		}
		b, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(string(b), `"reason":"`+c.reason+`"`) || !strings.Contains(string(b), `"id":7`) ||
			!strings.Contains(resp.Header.Get("Www-Authenticate"), `error="invalid_token"`) {
			t.Errorf("%s: %d %s %s", name, resp.StatusCode, resp.Header, b)
		}
		g.ReceiptsWith(t, c.hint)
	}
	if n := seen.Load(); n != 0 {
		t.Errorf("the server saw %d requests", n)
	}
}
