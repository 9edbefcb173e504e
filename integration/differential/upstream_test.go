package differential

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// upstream is an MCP server that answers the tool odd with the bytes of a case,
// and everything else as a server should. It writes to the connection itself,
// since HTTP servers repair what is odd.
type upstream struct {
	cases []oddity
	url   string
}

func startUpstream(t testing.TB, cases []oddity) *upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	u := &upstream{cases: cases, url: "http://" + ln.Addr().String() + "/"}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go u.serve(conn)
		}
	}()
	return u
}

func (u *upstream) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		if conn.SetDeadline(time.Now().Add(2*time.Minute)) != nil {
			return
		}
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		var reply []byte
		reply, err = u.answer(req, body)
		if _, werr := conn.Write(reply); werr != nil || errors.Is(err, errClose) {
			return
		}
		if err != nil { // a reset would overtake what was sent
			time.Sleep(600 * time.Millisecond)
			return
		}
	}
}

var (
	errClose = errors.New("close the connection")
	errLater = errors.New("close the connection after a while")
)

// answer returns the bytes of the response; an error ends the connection after
// them.
func (u *upstream) answer(req *http.Request, body []byte) ([]byte, error) {
	if req.Method != http.MethodPost {
		return fixed(405, nil, nil), nil
	}
	var m struct {
		ID     json.RawMessage
		Method string
		Params struct {
			Name            string
			ProtocolVersion string
			Arguments       struct{ Case int }
		}
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return fixed(400, nil, nil), errClose
	}
	result := func(text string) []byte {
		return fixed(200, []string{plain}, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, text))
	}
	const says = `{"content":[{"type":"text","text":%q}],"resultType":"complete"}`
	switch {
	case req.URL.Path == "/elsewhere":
		return result(fmt.Sprintf(says, "elsewhere")), nil
	case m.ID == nil || m.Method == "":
		return fixed(202, nil, nil), nil
	}
	switch m.Method {
	case "initialize":
		return result(`{"protocolVersion":"` + m.Params.ProtocolVersion + `","capabilities":{"tools":{},"logging":{}},"serverInfo":{"name":"odd","version":"1"}}`), nil
	case "server/discover":
		return result(`{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"logging":{}},"serverInfo":{"name":"odd","version":"1"},"resultType":"complete","ttlMs":60000,"cacheScope":"public"}`), nil
	case "tools/list":
		return result(`{"tools":[{"name":"odd","inputSchema":{"type":"object"}},{"name":"fine","inputSchema":{"type":"object"}}],"resultType":"complete","ttlMs":60000,"cacheScope":"public"}`), nil
	case "tools/call":
		if n := m.Params.Arguments.Case; m.Params.Name == "odd" && n >= 0 && n < len(u.cases) {
			return u.cases[n].reply(m.ID)
		}
		return result(fmt.Sprintf(says, "fine")), nil
	}
	return result(`{}`), nil
}

func fixed(status int, headers []string, body []byte) []byte {
	return append(head(status, append(headers, "Content-Length: "+strconv.Itoa(len(body)))), body...)
}

func head(status int, headers []string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// bodyFor returns the body of the reply to the request with this id.
func (c *oddity) bodyFor(id []byte) []byte {
	return bytes.ReplaceAll(c.body, []byte(idMark), id)
}

// reply returns the bytes of the response. Framings are "" for a body with its
// length, chunked (in pieces of 7 bytes), close (it ends with the connection),
// early (the connection ends within the body), and none (the case's own headers
// have to do).
func (c *oddity) reply(id []byte) ([]byte, error) {
	body := c.bodyFor(id)
	switch c.framing {
	case "chunked":
		out := head(c.status, append([]string{"Transfer-Encoding: chunked"}, c.headers...))
		for len(body) > 0 {
			n := min(7, len(body))
			out = fmt.Appendf(out, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		out = append(out, "0\r\n"...)
		for _, t := range c.trailers {
			out = append(out, t+"\r\n"...)
		}
		return append(out, "\r\n"...), nil
	case "close":
		return append(head(c.status, append([]string{"Connection: close"}, c.headers...)), body...), errClose
	case "early":
		return append(head(c.status, append([]string{"Content-Length: " + strconv.Itoa(len(body)+100)}, c.headers...)), body...), errLater
	case "none":
		if http.Header(headersOf(c)).Get("Connection") == "" {
			return append(head(c.status, append([]string{"Connection: close"}, c.headers...)), body...), errClose
		}
		return append(head(c.status, c.headers), body...), errClose
	}
	return fixed(c.status, c.headers, body), nil
}

// media is the type of the reply, without parameters.
func (c *oddity) media() string {
	media, _, _ := strings.Cut(http.Header(headersOf(c)).Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(media))
}
