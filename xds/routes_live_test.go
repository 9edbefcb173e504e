package xds

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
)

// serveView starts a control plane and an Envoy with the given servers, and returns
// the URL of the listener.
func serveView(t testing.TB, s Settings, servers ...registry.Server) (string, *envoy, *plane) {
	t.Helper()
	return serveBy(t, quick, s, servers...)
}

func serveBy(t testing.TB, o Options, s Settings, servers ...registry.Server) (string, *envoy, *plane) {
	t.Helper()
	p := startPlane(t, "127.0.0.1:0", o)
	e := adsEnvoy(t, p, "envoy-1")
	push(t, p, s, servers...)
	base := "http://" + e.listener(t)
	eventually(t, "readiness", p.Ready)
	return base, e, p
}

func TestOnlyTheExactPathReachesAServer(t *testing.T) {
	up := upstream(t, "a")
	s := server(t, "a", up.URL)
	s.Versions[0].Path = "/deep/mcp"
	base, _, _ := serveView(t, testSettings(), s)
	tests := []struct {
		name, path string
		status     int
		body       string
	}{
		{"the path of the server", "/mcp/a", 200, "a /deep/mcp"},
		{"a path that normalises to it", "/x/../mcp//a", 200, "a /deep/mcp"},
		{"a trailing slash", "/mcp/a/", 404, ""},
		{"a query", "/mcp/a?x=1", 404, ""},
		{"a longer path", "/mcp/a/b", 404, ""},
		{"another name", "/mcp/b", 404, ""},
		{"another case", "/mcp/A", 404, ""},
		{"the bare prefix", "/mcp/", 404, ""},
		{"an escaped slash", "/mcp%2Fa", 400, ""},
		{"a matrix parameter", "/mcp/a;x=1", 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, body, _ := get(t, base+tt.path)
			if code != tt.status || (tt.body != "" && body != tt.body) {
				t.Errorf("got %d %q, want %d %q", code, body, tt.status, tt.body)
			}
			if tt.status != 200 && !strings.HasPrefix(body, `{"jsonrpc":"2.0","error":{`) {
				t.Errorf("not a JSON-RPC error: %q", body)
			}
		})
	}
}

func TestMethodsThatMCPDoesNotHaveAreRefused(t *testing.T) {
	up := upstream(t, "a")
	base, _, _ := serveView(t, testSettings(), server(t, "a", up.URL))
	for method, status := range map[string]int{
		"POST": 200, "GET": 200, "DELETE": 200, "PUT": 405, "OPTIONS": 405, "PATCH": 405,
	} {
		code, body, h := do(t, method, base+"/mcp/a", "")
		if code != status {
			t.Errorf("%s: got %d, want %d", method, code, status)
		}
		if status == 405 && (h.Get("allow") != "POST, GET, DELETE" || h.Get("content-type") != "application/json" || !strings.Contains(body, "-32600")) {
			t.Errorf("%s: %q %v", method, body, h)
		}
	}
}

// A client must not choose a version, nor tune Envoy.
func TestInternalHeadersOfAClientAreStripped(t *testing.T) {
	one, two := upstream(t, "one"), upstream(t, "two")
	base, _, _ := serveView(t, testSettings(), registry.Server{Name: "a", Versions: []registry.Version{
		{Name: "v1", Weight: 1, Scheme: "http", Path: "/", Endpoints: []registry.Endpoint{endpoint(t, one.URL)}},
		{Name: "v2", Weight: 0, Scheme: "http", Path: "/", Endpoints: []registry.Endpoint{endpoint(t, two.URL)}},
	}})
	_, body, h := get(t, base+"/mcp/a", "x-sallyport-version", "v2", "X-Sallyport-Anything", "1",
		"x-envoy-retry-on", "5xx", "x-envoy-upstream-rq-timeout-ms", "1", "x-forwarded-client-cert", "By=forged", "x-kept", "yes")
	if body != "one /" {
		t.Errorf("the client chose the version: %q", body)
	}
	for _, k := range []string{"X-Sallyport-Version", "X-Sallyport-Anything", "X-Envoy-Retry-On", "X-Envoy-Upstream-Rq-Timeout-Ms", "X-Forwarded-Client-Cert", "X-Envoy-Expected-Rq-Timeout-Ms"} {
		if v := h.Get("Got-" + k); v != "" {
			t.Errorf("%s: %s reached the server", k, v)
		}
	}
	if h.Get("Got-X-Kept") != "yes" {
		t.Error("an ordinary header was lost")
	}
	for k := range h {
		if strings.HasPrefix(k, "X-Envoy") {
			t.Errorf("%s shows Envoy's insides to the client", k)
		}
	}
}

func TestTheHostHeaderIsTheServersOwn(t *testing.T) {
	up := upstream(t, "a")
	base, _, _ := serveView(t, testSettings(), server(t, "a", up.URL))
	_, _, h := get(t, base+"/mcp/a")
	if want := strings.TrimPrefix(up.URL, "http://"); h.Get("got-host") != want {
		t.Errorf("host %q, want %q", h.Get("got-host"), want)
	}
}

func TestVersionsGetTheirShareAndTheirOwnPath(t *testing.T) {
	one, two, three := upstream(t, "one"), upstream(t, "two"), upstream(t, "three")
	base, _, _ := serveView(t, testSettings(), registry.Server{Name: "a", Versions: []registry.Version{
		{Name: "v1", Weight: 50, Scheme: "http", Path: "/one", Endpoints: []registry.Endpoint{endpoint(t, one.URL)}},
		{Name: "v2", Weight: 30, Scheme: "http", Path: "/two", Endpoints: []registry.Endpoint{endpoint(t, two.URL)}},
		{Name: "v3", Weight: 20, Scheme: "http", Path: "/three", Endpoints: []registry.Endpoint{endpoint(t, three.URL)}},
		{Name: "v4", Weight: 0, Scheme: "http", Path: "/three", Endpoints: []registry.Endpoint{endpoint(t, three.URL)}},
	}})
	got := map[string]int{}
	const n = 2000
	for range n {
		_, body, _ := get(t, base+"/mcp/a")
		got[body]++
	}
	for body, share := range map[string]float64{"one /one": 0.5, "two /two": 0.3, "three /three": 0.2} {
		if have := float64(got[body]) / n; have < share-0.06 || have > share+0.06 {
			t.Errorf("%s: share %.3f, want %.2f (%v)", body, have, share, got)
		}
	}
}

// raw sends bytes and returns the first response.
func raw(t *testing.T, base, request string) (int, string, http.Header) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), resp.Header
}

func TestMalformedHTTPIsRefusedAsJSONRPC(t *testing.T) {
	up := upstream(t, "a")
	s := testSettings()
	s.MaxHeaders = 20
	s.RequestTimeout = 300 * time.Millisecond
	base, _, _ := serveView(t, s, server(t, "a", up.URL))
	var many strings.Builder
	for i := range 30 {
		fmt.Fprintf(&many, "h%d: x\r\n", i)
	}
	tests := []struct {
		name, request string
		status        int
	}{
		{"headers beyond the size limit", "GET /mcp/a HTTP/1.1\r\nhost: x\r\nbig: " + strings.Repeat("x", 40<<10) + "\r\n\r\n", 431},
		{"more headers than allowed", "GET /mcp/a HTTP/1.1\r\nhost: x\r\n" + many.String() + "\r\n", 431},
		{"both framings at once", "POST /mcp/a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"a body that never comes", "POST /mcp/a HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{", 408},
		{"no host", "GET /mcp/a HTTP/1.1\r\n\r\n", 400},
		{"a header name with an underscore", "GET /mcp/a HTTP/1.1\r\nhost: x\r\nx_sallyport_version: v2\r\n\r\n", 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, body, h := raw(t, base, tt.request)
			if code != tt.status || h.Get("content-type") != "application/json" || !strings.Contains(body, `"code":-32600`) {
				t.Errorf("got %d %q, want %d and a JSON-RPC error", code, body, tt.status)
			}
		})
	}
}

// A check that fails must not take the only endpoint away, but with several
// the healthy ones are preferred.
func TestUnhealthyEndpointsAreAvoidedNotMissed(t *testing.T) {
	up, sick := upstream(t, "up"), upstream(t, "sick")
	single := server(t, "single", sick.URL)
	single.Versions[0].Health = registry.HealthCheck{Path: "/unhealthy", Interval: time.Second}
	double := server(t, "double", up.URL)
	double.Versions[0].Health = registry.HealthCheck{Path: "/healthy-unless-sick", Interval: time.Second}
	for range 3 {
		double.Versions[0].Endpoints = append(double.Versions[0].Endpoints, endpoint(t, upstream(t, "sick").URL))
	}
	base, _, _ := serveView(t, testSettings(), single, double)
	for range 20 {
		if code, body, _ := get(t, base+"/mcp/single"); code != 200 || body != "sick /mcp" {
			t.Errorf("the only endpoint: %d %q", code, body)
		}
		if code, body, _ := get(t, base+"/mcp/double"); code != 200 || body != "up /mcp" {
			t.Errorf("one healthy of four: %d %q", code, body)
		}
	}
}
