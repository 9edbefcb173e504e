package egress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/integration/testenv"
)

// echo takes connections at address and sends back what comes, and as many bytes
// beside as the first line asks for.
type echo struct {
	port  int
	taken atomic.Int64 // bytes
	conns atomic.Int64
}

func startEcho(t testing.TB, address string) *echo {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	e := &echo{port: ln.Addr().(*net.TCPAddr).Port}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			e.conns.Add(1)
			go e.serve(c)
		}
	}()
	return e
}

func (e *echo) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		e.taken.Add(int64(len(line)))
		if err != nil {
			return
		}
		var n int
		if _, err := fmt.Sscanf(line, "send %d", &n); err == nil {
			_, err = c.Write(bytes.Repeat([]byte("x"), n))
			if err != nil {
				return
			}
		}
		if _, err := io.WriteString(c, line); err != nil {
			return
		}
	}
}

// tunnel is an open one.
type tunnel struct {
	net.Conn
	r *bufio.Reader
}

// dig opens a tunnel, or returns the answer that says why not.
func dig(t testing.TB, proxy string, conf *tls.Config, authority string) (*tunnel, string) {
	t.Helper()
	var c net.Conn
	var err error
	if conf == nil {
		c, err = net.Dial("tcp", proxy)
	} else {
		conf = conf.Clone()
		conf.ServerName = "127.0.0.1"
		c, err = tls.Dial("tcp", proxy, conf)
	}
	if err != nil {
		return nil, err.Error()
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", authority)
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, err.Error()
	}
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(resp.Body)
		return nil, fmt.Sprintf("%d %s %s", resp.StatusCode, resp.Header.Get("x-sallyport-reason"), b)
	}
	return &tunnel{c, r}, ""
}

// says sends a line and returns the next.
func (u *tunnel) says(line string) string {
	if _, err := io.WriteString(u, line+"\n"); err != nil {
		return err.Error()
	}
	got, err := u.r.ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(got)
}

func TestTunnelsLeadWhereTheirWorkloadMayGo(t *testing.T) {
	company, stranger := testenv.NewAuthority(t), testenv.NewAuthority(t)
	site := company.Issue(t, time.Hour, "a.example", "b.example")
	public := startEcho(t, "127.0.0.2:0")
	inside := startEcho(t, fmt.Sprintf("127.0.0.1:%d", public.port))
	secure := startSite(t, "127.0.0.2:0", http.NotFoundHandler()) // its port is free on the other address
	tlsLn, err := tls.Listen("tcp", "127.0.0.2:0", &tls.Config{Certificates: []tls.Certificate{site.TLS()}})
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "secure "+r.Host) }), ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(tlsLn) }()
	t.Cleanup(func() { _ = srv.Close() })
	tlsPort := tlsLn.Addr().(*net.TCPAddr).Port
	z := startZone(t)
	for _, name := range []string{"a.example", "b.example", "plain.example", "later.example"} {
		z.set(name, "127.0.0.2")
	}
	z.set("inside.example", "127.0.0.1")
	dir := t.TempDir()
	ca, _ := company.Write(t, dir, "ca")
	cert, key := company.Issue(t, time.Hour, "spiffe://company.example/gateway").Write(t, dir, "tls")
	g := start(t, nothing, fmt.Sprintf(`egress:
  resolver: {address: %q, keep: 1ms}
  listeners:
    - {address: "127.0.0.1:0", workload: sandbox}
    - {address: "127.0.0.1:0", tls: {certificate: %s, key: %s, client_ca: %s}}
  workloads:
    - name: sandbox
      allow:
        - {host: a.example, ports: [%[5]d, %[6]d], addresses: [127.0.0.2]}
        - {host: inside.example, ports: [%[5]d], addresses: [127.0.0.2]}
        - {host: plain.example, ports: [%[5]d], schemes: [http], addresses: [127.0.0.2]}
    - name: crm
      ids: ["spiffe://company.example/crm"]
      allow: [{host: a.example, ports: [%[5]d], addresses: [127.0.0.2]}]
    - name: batch
      ids: ["spiffe://company.example/batch/*"]
      max_request: 64KiB
      max_response: 64KiB
      max_connections: 1
      allow: [{host: b.example, ports: [%[5]d, %[7]d], schemes: [https, http], addresses: [127.0.0.2]}]
`, z.address, cert, key, ca, public.port, tlsPort, secure.port))
	open, mutual := g.Egress[0], g.Egress[1]
	at := func(host string) string { return fmt.Sprintf("%s:%d", host, public.port) }

	t.Run("TLS is between client and site", func(t *testing.T) {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: company.Trusting(nil), Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: open}), DisableKeepAlives: true}}
		if status, body, _ := fetch(t, c, fmt.Sprintf("https://a.example:%d/", tlsPort)); status != 200 || body != fmt.Sprintf("secure a.example:%d", tlsPort) {
			t.Errorf("%d %s", status, body)
		}
	})

	t.Run("each workload has its own list, whatever name it gives itself", func(t *testing.T) {
		crm, batch, other := company.Issue(t, time.Hour, "spiffe://company.example/crm"), company.Issue(t, time.Hour, "spiffe://company.example/batch/7"), company.Issue(t, time.Hour, "spiffe://company.example/crm2")
		nobody, forged := company.Issue(t, time.Hour, "crm"), stranger.Issue(t, time.Hour, "spiffe://company.example/crm")
		for _, tt := range []struct {
			name  string
			shows *testenv.Certificate
			to    string
			want  string // begins the refusal; empty: none
		}{
			{"crm to a", crm, at("a.example"), ""},
			{"crm to b", crm, at("b.example"), "403 egress_denied"},
			{"batch to b", batch, at("b.example"), ""},
			{"batch to a", batch, at("a.example"), "403 egress_denied"},
			{"an id that begins like another", other, at("a.example"), "403 unknown_workload"},
			{"a certificate without an id", nobody, at("a.example"), "403 unknown_workload"},
			{"a certificate of a stranger", forged, at("a.example"), "remote error"},
			{"no certificate", nil, at("a.example"), "remote error"},
		} {
			u, why := dig(t, mutual, company.Trusting(tt.shows), tt.to)
			if !strings.HasPrefix(why, tt.want) || tt.want == "" && u == nil {
				t.Errorf("%s: %q", tt.name, why)
			}
			if u != nil {
				if got := u.says("hello"); got != "hello" {
					t.Errorf("%s: %q", tt.name, got)
				}
				_ = u.Close()
			}
		}
		receipts(t, g, `"workload":"batch"`)
		if r := receipts(t, g, `"peer":"spiffe://company.example/crm2"`); !strings.Contains(r, `"reason":"unknown_workload"`) || !strings.Contains(r, `"peer":"spiffe://company.example/batch/7"`) {
			t.Errorf("receipts:\n%s", r)
		}
	})

	t.Run("what is not on the list is refused in every spelling", func(t *testing.T) {
		for _, authority := range []string{
			at("127.0.0.1"), at("[::1]"), at("[::ffff:127.0.0.1]"), at("[64:ff9b::7f00:1]"), at("2130706433"), at("0x7f.1"), at("0177.0.0.1"), at("127.1"), at("0"),
			"169.254.169.254:80", "[fd00:ec2::254]:80", at("localhost"), at("localhost."), at("metadata.google.internal"), at("inside.example"), at("xn--"),
			at("a.example.evil.example"), at("evil-a.example"), "a.example:1", "a.example:443", at("plain.example"), at("127.0.0.2"), at("a。example."), at("b.example"),
		} {
			if got := raw(t, open, fmt.Sprintf("CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\nhello\n", authority)); !strings.HasPrefix(got, "403 egress_denied") && !strings.HasPrefix(got, "400 ") {
				t.Errorf("%s: %s", authority, got)
			}
		}
		for name, request := range map[string]string{
			"user info":                     "CONNECT a.example@" + at("127.0.0.1") + " HTTP/1.1\r\n\r\n",
			"an authority with a path":      "CONNECT " + at("a.example") + "/@" + at("127.0.0.1") + " HTTP/1.1\r\n\r\n",
			"a URL":                         "CONNECT http://" + at("127.0.0.1") + "/ HTTP/1.1\r\nHost: " + at("a.example") + "\r\n\r\n",
			"no port":                       "CONNECT a.example HTTP/1.1\r\n\r\n",
			"two ports":                     "CONNECT a.example:1:" + fmt.Sprint(public.port) + " HTTP/1.1\r\n\r\n",
			"a port beyond ports":           fmt.Sprintf("CONNECT a.example:%d HTTP/1.1\r\n\r\n", 65536+public.port),
			"a space and a second host":     "CONNECT " + at("a.example") + " " + at("127.0.0.1") + " HTTP/1.1\r\n\r\n",
			"a folded line":                 "CONNECT " + at("127.0.0.1") + " HTTP/1.1\r\nHost: x\r\n " + at("a.example") + "\r\n\r\n",
			"a body":                        "CONNECT " + at("a.example") + " HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
			"a tunnel by upgrade":           "GET http://" + at("plain.example") + "/ HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: CONNECT\r\n\r\n",
			"https in a plain request":      "GET https://" + at("a.example") + "/ HTTP/1.1\r\nHost: x\r\n\r\n",
			"a plain request to a tunnel":   "GET http://" + at("a.example") + "/ HTTP/1.1\r\nHost: x\r\n\r\n",
			"a host behind an allowed host": "GET http://" + at("127.0.0.1") + "/ HTTP/1.1\r\nHost: " + at("plain.example") + "\r\n\r\n",
			"no host":                       "GET / HTTP/1.0\r\n\r\n",
		} {
			if got := raw(t, open, request); strings.HasPrefix(got, "2") {
				t.Errorf("%s: %s", name, got)
			}
		}
		// The line names the destination, and Host does not.
		if got := raw(t, open, fmt.Sprintf("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\nhello\n", at("a.example"), at("127.0.0.1"))); !strings.HasPrefix(got, "200 ") {
			t.Error(got)
		}
		if n := inside.conns.Load(); n != 0 {
			t.Errorf("%d connections came inside", n)
		}
	})

	t.Run("more bytes than the workload may have end the tunnel", func(t *testing.T) {
		batch := company.Issue(t, time.Hour, "spiffe://company.example/batch/7")
		before := public.taken.Load()
		u, why := dig(t, mutual, company.Trusting(batch), at("b.example"))
		if u == nil {
			t.Fatal(why)
		}
		if got := u.says("hello"); got != "hello" {
			t.Fatal(got)
		}
		_, _ = io.Copy(u, bytes.NewReader(bytes.Repeat([]byte("secret "), 1<<20/7)))
		if _, err := io.Copy(io.Discard, u.r); err == nil {
			_, err = u.Write([]byte("more"))
			if err == nil {
				_, err = u.r.ReadByte()
			}
			if err == nil {
				t.Error("the tunnel is still open")
			}
		}
		if n := public.taken.Load() - before; n > 64<<10 {
			t.Errorf("%d bytes got out", n)
		}
		_ = u.Close()
		testenv.Eventually(t, time.Minute, "the one connection", func() bool { u, why = dig(t, mutual, company.Trusting(batch), at("b.example")); return u != nil })
		if got := u.says("mine"); got != "mine" {
			t.Error(got)
		}
		conns, judged := public.conns.Load(), strings.Count(receipts(t, g, "batch"), `"host":"b.example"`)
		next := make(chan string, 10)
		for range cap(next) { // each of Envoy's two workers may have one, and the rest wait
			go func() {
				v, why := dig(t, mutual, company.Trusting(batch), at("b.example"))
				if v != nil {
					why = v.says("my turn")
					_ = v.Close()
				}
				next <- why
			}()
		}
		testenv.Eventually(t, time.Minute, "others waiting", func() bool {
			return strings.Count(receipts(t, g, "batch"), `"host":"b.example"`) >= judged+cap(next)
		})
		_, _ = io.WriteString(u, "send 1000000\n")
		if n, _ := io.Copy(io.Discard, u.r); n > 64<<10 {
			t.Errorf("%d bytes came in", n)
		}
		_ = u.Close()
		turns := 0
		for range cap(next) {
			if got := <-next; got == "my turn" {
				turns++
			} else if !strings.HasPrefix(got, "503 ") || !strings.Contains(got, "as many connections as it may have") {
				t.Errorf("one of the next says %q", got)
			}
		}
		if n := public.conns.Load() - conns; turns == 0 || turns == cap(next) || n != int64(turns) {
			t.Errorf("%d had their turn, on %d connections", turns, n)
		}
		conf := company.Trusting(batch)
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, Proxy: http.ProxyURL(&url.URL{Scheme: "https", Host: mutual}), DisableKeepAlives: true}}
		testenv.Eventually(t, time.Minute, "a plain request that is too large", func() bool {
			resp, err := c.Post(fmt.Sprintf("http://b.example:%d/", secure.port), "text/plain", bytes.NewReader(make([]byte, 100<<10)))
			if err != nil {
				return false
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			return resp.StatusCode == http.StatusRequestEntityTooLarge && strings.Contains(string(b), `"reason":"`+string(guard.TooLarge))
		})
	})

	t.Run("HTTP/2 is no way around", func(t *testing.T) {
		crm := company.Issue(t, time.Hour, "spiffe://company.example/crm")
		for _, tt := range []struct {
			to, protocol string
			want         int
		}{{at("a.example"), "", 200}, {at("127.0.0.1"), "", 403}, {at("a.example"), "websocket", 403}, {at("a.example"), "CONNECT", 403}} {
			status, got, err := overHTTP2(t, mutual, company.Trusting(crm), tt.to, tt.protocol)
			if err != nil || status != tt.want || status == 200 && got != "hello\n" {
				t.Errorf("%v: %d %q %v", tt, status, got, err)
			}
		}
	})

	t.Run("a new list leaves open tunnels alone", func(t *testing.T) {
		u, why := dig(t, open, nil, at("a.example"))
		if u == nil {
			t.Fatal(why)
		}
		if got := u.says("before"); got != "before" {
			t.Fatal(got)
		}
		if v, _ := dig(t, open, nil, at("later.example")); v != nil {
			t.Fatal("it is allowed already")
		}
		write(t, g, func(s string) string {
			return strings.Replace(s, "        - {host: inside.example", fmt.Sprintf("        - {host: later.example, ports: [%d], addresses: [127.0.0.2]}\n        - {host: inside.example", public.port), 1) + "    - {name: extra, ids: [\"spiffe://company.example/extra\"], allow: [{host: a.example}]}\n"
		})
		testenv.Eventually(t, time.Minute, "the new list", func() bool {
			v, _ := dig(t, open, nil, at("later.example"))
			return v != nil && v.says("hello") == "hello"
		})
		if got := u.says("after"); got != "after" {
			t.Errorf("the open tunnel says %q", got)
		}
	})
}

// overHTTP2 opens a tunnel in an HTTP/2 stream and says hello.
//
//nolint:staticcheck // net/http has no other way to say :protocol
func overHTTP2(t testing.TB, proxy string, conf *tls.Config, authority, protocol string) (int, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	transport := &http2.Transport{TLSClientConfig: conf}
	defer transport.CloseIdleConnections()
	r, w := io.Pipe()
	defer w.Close()
	go func() { _, _ = io.WriteString(w, "hello\n") }()
	req := (&http.Request{Method: http.MethodConnect, URL: &url.URL{Scheme: "https", Host: proxy}, Host: authority, Body: r, Header: http.Header{}}).WithContext(ctx)
	if protocol != "" {
		req.Header.Set(":protocol", protocol)
		req.URL.Path = "/"
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, "", nil
	}
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	return resp.StatusCode, line, err
}
