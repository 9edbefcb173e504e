package dlp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/dlp"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/mcp"
)

// askedWith has a guard look at a call with a header beside it.
func askedWith(t *testing.T, g guard.Guard, tenant, name, value string) guard.Verdict {
	t.Helper()
	m, f := decoder.Decode(mcp.ToServer, []byte(call+`{}}}`))
	if f != nil {
		t.Fatal(f)
	}
	x := &guard.Exchange{Server: guard.Server{Name: "crm"}, Principal: guard.Principal{Tenant: tenant}, Headers: guardtest.Headers{name: value}, Session: value}
	v, err := g.Inspect(t.Context(), x, &m)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What SDKs, browsers, tracers and proxies write is nobody's secret, and nobody's data.
func TestHeadersOfRealClientsPass(t *testing.T) {
	everything := dlp.Actions{PII: "block", Secret: "block"}
	for what, g := range map[string]guard.Guard{
		"as it comes": build(t, nil),
		"all blocked": build(t, func(c *dlp.Config) { c.ToServer, c.ToClient, c.Rules = everything, everything, nil }),
	} {
		for _, h := range [][2]string{
			{"user-agent", "python-httpx/0.28.1"}, {"user-agent", "node"}, {"user-agent", "Go-http-client/2.0"}, {"user-agent", "undici"}, {"user-agent", "reqwest/0.12.24"},
			{"user-agent", "claude-code/2.0.14 (cli)"}, {"user-agent", "Cursor/1.7.44 (darwin arm64)"}, {"user-agent", "curl/8.14.1"}, {"user-agent", "kube-probe/1.33"},
			{"user-agent", "Java-http-client/21.0.4"}, {"user-agent", "okhttp/5.1.0"}, {"user-agent", "ModelContextProtocol.Client/0.4.0.0"}, {"user-agent", "axios/1.12.2"},
			{"user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"},
			{"user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.7390.122 Safari/537.36 Edg/141.0.3537.99"},
			{"user-agent", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15"},
			{"user-agent", "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"},
			{"user-agent", "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko) Code/1.105.1 Chrome/138.0.7204.251 Electron/37.6.0 Safari/537.36"},
			{"accept", "application/json, text/event-stream"}, {"accept", "*/*"}, {"accept-language", "*"}, {"accept-language", "de-CH,de;q=0.9,en-GB;q=0.8,en;q=0.7"},
			{"cache-control", "no-store, max-age=0"}, {"last-event-id", "1764168000123-0"}, {"last-event-id", "_GET_stream_1764168000123_k3jx9qpl"},
			{"last-event-id", "6f1c2b0e-3c55-4d5e-9d8e-0c1b2a3f4d5e_12"}, {"last-event-id", "MTc2NDE2ODAwMDEyMy0w"},
			{"x-request-id", "6f1c2b0e-3c55-4d5e-9d8e-0c1b2a3f4d5e"}, {"x-request-id", "4bf92f3577b34da6a3ce929d0e0e4736"}, {"x-request-id", "01JDKZ3N9Y8V5T2QWXH7M4R6PB"},
			{"x-request-id", "host.example/k3Jx9QpLm2-000042"}, {"x-request-id", "1764168000.123456"}, {"x-request-id", "req_011CUJ8nYdNYsV8mMZhPbPLn"},
			{"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, {"tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"},
			{"tracestate", "dd=s:1;p:00f067aa0ba902b7;t.dm:-4;t.tid:6730f6f900000000"}, {"tracestate", "es=s:1.0"}, {"tracestate", "33@nr=0-0-33-2827902-7d3efb1b173fecfa-e8b91a159289ff74-1-1.23456-1518469636035"},
			{"tracestate", "ot=th:8;rv:abcdefabcdef12"}, {"tracestate", "az=cid-v1:bb65c1d3-7a36-4d5a-a2c5-9c2e1a33e0cf"}, {"tracestate", "fw529a3039@dt=FfxTIzlsmZkIwQ"},
			{"baggage", "service.name=agent,deployment.environment=production"}, {"baggage", "session.id=6f1c2b0e-3c55-4d5e-9d8e-0c1b2a3f4d5e"},
			{"baggage", "sentry-trace_id=771a43a4192642f0b136d5159a501700,sentry-public_key=49d0f7386ad645858ae85020e393bef3,sentry-sample_rate=0.01,sentry-environment=production,sentry-release=web%4024.11.2"},
			{"mcp-session-id", "a7c6b5d4e3f29180a7c6b5d4e3f29180"}, {"mcp-session-id", "mcp-session-6f1c2b0e-3c55-4d5e-9d8e-0c1b2a3f4d5e"}, {"mcp-session-id", "K7QX3ZL5VJ2H6RWNA4PTBMCYDE"},
			{"mcp-param-region", "eu-central-1"}, {"mcp-param-query", "=?base64?w6RwZmVsIHVuZCBiaXJuZW4=?="}, {"x-envoy-retry-on", "5xx"}, {"x-envoy-upstream-rq-timeout-ms", "15000"},
		} {
			if v := askedWith(t, g, "acme", h[0], h[1]); v.Action != guard.Allow || len(v.Obligations) > 0 {
				t.Errorf("%s: %s: %s: %+v", what, h[0], h[1], v)
			}
		}
	}
}

// What a header is called reaches the server as well, and so does what follows a place
// in a trace of a version that is still to come.
func TestASecretDoesNotLeaveBesideTheValueOfAHeader(t *testing.T) {
	g := build(t, func(c *dlp.Config) { c.ToServer.PII = "block" })
	for _, h := range [][2]string{
		{"mcp-param-4111111111111111", "x"}, {"mcp-4111-1111-1111-1111", ""}, {"x-envoy-4111111111111111", "1"}, {"mcp-param-" + strings.Repeat("x", 400) + "-4111111111111111", "6f1c2b0e-3c55-4d5e-9d8e-0c1b2a3f4d5e"},
		{"traceparent", "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-" + token},
	} {
		for range 2 { // nor the second time
			v := askedWith(t, g, "acme", h[0], h[1])
			if !slices.Contains([]guard.Reason{dlp.PIIBlocked, dlp.SecretBlocked}, v.Reason) {
				t.Errorf("%s: %s leaves: %+v", h[0], h[1], v)
			}
			if strings.Contains(v.Detail, "4111") || strings.Contains(v.Detail, token) || !strings.Contains(v.Detail, "header ") {
				t.Errorf("the detail shows it, or does not say where: %s", v.Detail)
			}
		}
	}
}

// Most tenants use the same SDKs: that one of them calls, too, costs the other nothing,
// and tells it nothing.
func TestTenantsKeepHeadersBesideEachOther(t *testing.T) {
	const agents, chance = 30, 15 // lines can share a place, but seldom do
	g := build(t, nil)
	forgotten := 0
	for i := range agents {
		agent := fmt.Sprintf("python-httpx/0.%d.1", i)
		askedWith(t, g, "acme", "user-agent", agent)
		if dlp.Remembers(g, "globex", "user-agent", agent) {
			t.Errorf("%s: globex has it from acme", agent)
		}
		askedWith(t, g, "globex", "user-agent", agent)
		if !dlp.Remembers(g, "acme", "user-agent", agent) {
			forgotten++
		}
	}
	if forgotten > chance {
		t.Errorf("%d of %d lines are forgotten when another tenant has the same", forgotten, agents)
	}
}

// What is remembered is as long as a line that clients really send.
func TestNobodyFillsTheMemoryOfHeaders(t *testing.T) {
	g := build(t, nil)
	long := strings.Repeat("x", 400)
	for _, l := range [][3]string{{"acme", "mcp-param-" + long, "x"}, {"acme", "mcp-param-x", long}, {long, "mcp-param-x", "x"}} {
		if v := askedWith(t, g, l[0], l[1], l[2]); v.Action != guard.Allow || dlp.Remembers(g, l[0], l[1], l[2]) {
			t.Errorf("%.20q: %+v", l, v)
		}
	}
}
