package differential

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// Two readers of one connection may disagree on where a request ends. What
// reaches a server through the gateway must be the judged requests and nothing
// between them.
func TestNoServerRunsWhatHidesInTheFraming(t *testing.T) {
	p := goSDK(t)
	g := testenv.Start(t, "  - {name: go-sdk, url: \""+p.url+"\"}\n", "")
	u, err := url.Parse(g.MCP)
	if err != nil {
		t.Fatal(err)
	}
	const (
		safe   = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe"}}`
		danger = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"danger"}}`
		hidden = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: 73\r\n\r\n" + danger
	)
	const head = "POST /mcp/go-sdk HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
	for _, c := range []struct {
		name, request string
		want          string // what the server runs, when the request is legal
	}{
		{"a chunked body is one body", head + "Transfer-Encoding: chunked\r\n\r\n" + chunked(safe[:20], safe[20:]), "safe"},
		{"a chunk extension means nothing", head + "Transfer-Encoding: chunked\r\n\r\n" + strings.Replace(chunked(safe), "\r\n", ";a=b\r\n", 1), "safe"},
		{"trailers after a chunked body mean nothing", head + "Transfer-Encoding: chunked\r\nTrailer: mcp-name\r\n\r\n" + strings.TrimSuffix(chunked(safe), "\r\n") + "mcp-name: danger\r\n\r\n", "safe"},
		{"a client that waits for 100 is served", head + "Expect: 100-continue\r\nContent-Length: 71\r\n\r\n" + safe, "safe"},
		{"a length beside chunks, to hide a request behind the length", head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(safe) + hidden, ""},
		{"chunks beside a length, to hide a request behind the chunks", head + "Transfer-Encoding: chunked\r\nContent-Length: 300\r\n\r\n0\r\n\r\n" + hidden, ""},
		{"two lengths", head + "Content-Length: 71\r\nContent-Length: 5\r\n\r\n" + safe + hidden, ""},
		{"a length in a list", head + "Content-Length: 71, 5\r\n\r\n" + safe, ""},
		{"a length with a plus sign", head + "Content-Length: +72\r\n\r\n" + safe, ""},
		{"a length that is too short, to hide a request in the body", head + "Content-Length: 5\r\n\r\n" + safe + hidden, ""},
		{"an obscured transfer coding", head + "Transfer-Encoding: xchunked\r\n\r\n" + chunked(safe) + hidden, ""},
		{"two transfer codings", head + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunked(safe), ""},
		{"a space before the colon", head + "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n" + chunked(safe), ""},
		{"a folded header line", head + "X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + chunked(safe), ""},
		{"a lone line feed ends a header", head + "X-A: b\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + chunked(safe), ""},
		{"a chunk size beyond 64 bits", head + "Transfer-Encoding: chunked\r\n\r\n10000000000000048\r\n" + safe + "\r\n0\r\n\r\n" + hidden, ""},
		{"a request behind a GET that has a body", "GET /mcp/go-sdk HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nContent-Length: 300\r\n\r\n" + hidden, ""},
		{"an absolute target of another host", strings.Replace(head, "/mcp/go-sdk", "http://evil.example/mcp/go-sdk", 1) + "Content-Length: 71\r\n\r\n" + safe, ""},
		{"an encoded slash in the path", strings.Replace(head, "/mcp/go-sdk", "/mcp%2Fgo-sdk", 1) + "Content-Length: 71\r\n\r\n" + safe, ""},
		{"dots in the path", strings.Replace(head, "/mcp/go-sdk", "/mcp/x/../../admin", 1) + "Content-Length: 71\r\n\r\n" + safe, ""},
		{"two host headers", strings.Replace(head, "Host: localhost", "Host: localhost\r\nHost: evil.example", 1) + "Content-Length: 71\r\n\r\n" + safe, ""},
		{"an upgrade", strings.Replace(head, "Connection: close", "Connection: Upgrade\r\nUpgrade: websocket", 1) + "Content-Length: 0\r\n\r\n" + hidden, ""},
		{"nothing that was hidden runs later", head + "Content-Length: 71\r\n\r\n" + safe, "safe"},
	} {
		t.Run(c.name, func(t *testing.T) {
			patience := time.Minute
			if c.want == "" {
				patience = 400 * time.Millisecond // Envoy waits for the rest of some
			}
			r, err := exchange(u.Host, []byte(c.request), patience)
			got := names(p.drain(t))
			if c.want != "" && (err != nil || got != c.want || r.status != 200) {
				t.Errorf("ran %s, %v: %+v", got, err, r)
			}
			if strings.Contains(got, "danger") || c.want == "" && got != "-" && got != "safe" {
				t.Errorf("ran %s", got)
			}
		})
	}
}

// chunked writes a body in chunks.
func chunked(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strconv.FormatInt(int64(len(p)), 16) + "\r\n" + p + "\r\n")
	}
	return b.String() + "0\r\n\r\n"
}
