package egress

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const nothing = "  - {name: crm, url: \"http://127.0.0.1:9/\"}\n"

// client goes out through a proxy.
func client(proxy string) *http.Client {
	return &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: proxy}), DisableKeepAlives: true}}
}

func fetch(t testing.TB, c *http.Client, u string) (int, string, http.Header) {
	t.Helper()
	resp, err := c.Get(u)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

// A name that leads to the public network when it is judged, and inside when it is
// looked up again, is never looked up again.
func TestARebindingNameLeadsNowhereElse(t *testing.T) {
	public := startSite(t, "127.0.0.2:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
			return
		}
		fmt.Fprint(w, "public "+r.Host)
	}))
	inside := startSite(t, fmt.Sprintf("127.0.0.1:%d", public.port), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "credentials") }))
	z := startZone(t)
	z.set("steady.example", "127.0.0.2")
	z.set("broken.example")
	work := make(chan func(trace string), 1)
	crm := startSite(t, "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case f := <-work:
			f(r.Header.Get("traceparent"))
		default:
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`)
	}))
	g := start(t, fmt.Sprintf("  - {name: crm, url: \"http://127.0.0.1:%d/\"}\n", crm.port), fmt.Sprintf(`egress:
  resolver: {address: %q, keep: 1ms}
  listeners: [{address: "127.0.0.1:0", workload: sandbox}]
  workloads:
    - name: sandbox
      servers: [crm]
      allow:
        - {host: "*.example", schemes: [http], ports: [%d], addresses: [127.0.0.2]}
`, z.address, public.port))
	c := client(g.Egress[0])
	at := func(host, path string) string { return fmt.Sprintf("http://%s:%d%s", host, public.port, path) }

	for _, step := range []struct {
		answers []string // to each question in turn
		want    int
	}{
		{[]string{"127.0.0.2", "127.0.0.1"}, 200}, // whoever asks again is led inside
		{[]string{"127.0.0.1"}, 403},
		{[]string{"169.254.169.254"}, 403},
		{[]string{"127.0.0.2 127.0.0.1"}, 403},
		{[]string{"127.0.0.2 ::ffff:127.0.0.1"}, 403},
		{[]string{"127.0.0.2 64:ff9b::7f00:1"}, 403},
		{[]string{"127.0.0.2 fd00:ec2::254"}, 403},
		{[]string{"127.0.0.2"}, 200},
	} {
		z.set("rebind.example", step.answers...)
		time.Sleep(5 * time.Millisecond) // until the answer before is forgotten
		status, body, _ := fetch(t, c, at("rebind.example", "/"))
		if status != step.want || status == 200 && body != fmt.Sprintf("public rebind.example:%d", public.port) {
			t.Errorf("%s: %d %s", step.answers, status, body)
		}
	}
	if n := inside.hits.Load(); n != 0 {
		t.Errorf("%d requests came inside", n)
	}
	r := receipts(t, g, `"host":"rebind.example"`)
	for _, want := range []string{
		`"action":"allow"`, `"address":"127.0.0.2:`, `"workload":"sandbox"`, `"detail":"rebind.example leads to 169.254.169.254"`, `"reason":"egress_denied"`, `"guard":"egress_listener"`,
	} {
		if !strings.Contains(r, want) {
			t.Errorf("no receipt has %s:\n%s", want, r)
		}
	}

	t.Run("a redirect to a metadata service is a request like any other", func(t *testing.T) {
		for _, to := range []string{
			"http://169.254.169.254/latest/meta-data/", "http://[::ffff:a9fe:a9fe]/", "http://2852039166/", "http://0xa9fea9fe/", "http://metadata.google.internal/",
			at("127.0.0.1", "/"), at("localhost", "/"), at("0", "/"), at("2130706433", "/"), at("0177.0.0.1", "/"), at("[::1]", "/"),
		} {
			status, body, h := fetch(t, c, at("steady.example", "/away?to="+url.QueryEscape(to)))
			if status != 403 || h.Get("X-Sallyport-Reason") != "egress_denied" || !strings.Contains(body, `"reason":"egress_denied"`) || h.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %d %s", to, status, body)
			}
		}
	})

	t.Run("a name that nobody can say anything about is not judged, and that is told apart", func(t *testing.T) {
		if status, body, _ := fetch(t, c, at("gone.example", "/")); status != 403 {
			t.Errorf("no such name: %d %s", status, body)
		}
		if status, body, h := fetch(t, c, at("broken.example", "/")); status != 503 || h.Get("X-Sallyport-Reason") != "guard_error" {
			t.Errorf("no answer: %d %s", status, body)
		}
	})
	if n := inside.hits.Load(); n != 0 {
		t.Errorf("%d requests came inside", n)
	}
	if m := g.Get(t, "/metrics"); !strings.Contains(m, "\nmcp_gateway_egress_allowed_total{workload=\"sandbox\"}") || !strings.Contains(m, "\nmcp_gateway_egress_refused_total{reason=\"egress_denied\"}") {
		t.Error("metrics do not count")
	}

	t.Run("a receipt names the call whose trace the request carries, and those that may be meant where it carries none", func(t *testing.T) {
		call := func(trace string, during func(trace string)) {
			t.Helper()
			work <- during
			req, err := http.NewRequest(http.MethodPost, g.MCP+"/mcp/crm", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"lookup","arguments":{}}}`))
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2025-06-18", "Traceparent": trace} {
				req.Header.Set(k, v)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
				t.Fatalf("%d %s", resp.StatusCode, b)
			}
		}
		out := func(trace string) {
			req, err := http.NewRequest(http.MethodGet, at("steady.example", "/traced"), nil)
			if err != nil {
				t.Error(err)
				return
			}
			if trace != "" {
				req.Header.Set("Traceparent", trace)
			}
			if resp, err := c.Do(req); err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK {
				t.Error(resp, err)
			}
		}
		const mine, next = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		call(mine, func(trace string) {
			if !strings.Contains(trace, "0af7651916cd43dd8448eb211c80319c") {
				t.Errorf("the server got the trace %q", trace)
			}
			out(trace)
		})
		call(next, func(string) { out("") })
		first, second := exchangeOf(t, g, "0af7651916cd43dd8448eb211c80319c"), exchangeOf(t, g, "1af7651916cd43dd8448eb211c80319c")
		receipts(t, g, `"cause":"`+first+`"`)
		receipts(t, g, `"candidates":["`+second+`"]`)
	})

	t.Run("what a client says of itself is not passed on, and leads nowhere", func(t *testing.T) {
		got := raw(t, g.Egress[0], fmt.Sprintf("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-Envoy-Original-Dst-Host: 127.0.0.1:%[2]d\r\nX-Sallyport-Egress: other\r\nProxy-Authorization: Basic c2VjcmV0\r\nX-Forwarded-Client-Cert: URI=spiffe://a/b\r\nX-Envoy-Attempt-Count: 3\r\nConnection: close\r\n\r\n", at("steady.example", "/x?y=%2e%2e/"), public.port))
		if !strings.HasPrefix(got, "200 ") {
			t.Fatal(got)
		}
		seen := public.last.Load()
		if seen.Host != fmt.Sprintf("steady.example:%d", public.port) || seen.RequestURI != "/x?y=%2e%2e/" {
			t.Errorf("the site saw %s %s", seen.Host, seen.RequestURI)
		}
		for name := range seen.Header {
			if low := strings.ToLower(name); strings.HasPrefix(low, "x-") || strings.HasPrefix(low, "proxy-") {
				t.Errorf("the site saw %s: %s", name, seen.Header.Get(name))
			}
		}
		if n := inside.hits.Load(); n != 0 {
			t.Errorf("%d requests came inside", n)
		}
	})

	t.Run("a plain request cannot become a tunnel, through which further requests would go unjudged", func(t *testing.T) {
		before := public.hits.Load()
		for _, name := range []string{"CONNECT", "connect", "websocket"} {
			host := fmt.Sprintf("steady.example:%d", public.port)
			got := raw(t, g.Egress[0], fmt.Sprintf("GET http://%s/ HTTP/1.1\r\nHost: %[1]s\r\nConnection: upgrade\r\nUpgrade: %s\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: other.invalid\r\n\r\n", host, name))
			if !strings.HasPrefix(got, "403 ") {
				t.Errorf("%s: %s", name, got)
			}
		}
		if n := public.hits.Load() - before; n != 0 {
			t.Errorf("%d requests came through", n)
		}
	})
}
