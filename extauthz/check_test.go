package extauthz

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnAllowedCallGoesOnWithItsHeadersCleaned(t *testing.T) {
	f := newFixture(t)
	a := f.check(t, request(call, "authorization", "Bearer secret", "cookie", "a=b", "accept-encoding", "gzip",
		"x-sallyport-version", "v9", "x-forwarded-user", "root", "mcp-name", "delete", "content-type", "Application/JSON; charset=UTF-8"))
	if !a.ok || a.header["content-type"] != "application/json" {
		t.Fatalf("got %+v", a)
	}
	for _, name := range []string{"authorization", "cookie", "accept-encoding", "x-sallyport-version", "x-forwarded-user", "mcp-name"} {
		if !slices.Contains(a.remove, name) {
			t.Errorf("%s reaches the server", name)
		}
	}
	if o := f.last(t); o.Ending != guard.Completed || !o.Reached || o.BytesIn != int64(len(call)) || o.Status != 0 {
		t.Errorf("outcome %+v", o)
	}
	if len(f.watch.seen) != 1 || f.watch.seen[0].Action != guard.Allow {
		t.Errorf("receipts %+v", f.watch.seen)
	}
}

func TestWhatAttackersSendIsRefused(t *testing.T) {
	const id = `"id":"a-7"`
	modern := strings.Replace(call, `"name":"read"`, `"name":"read","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`, 1)
	text := func(body string, more ...string) *authv3.CheckRequest { // as without pack_as_bytes
		r := request(body, more...)
		h := r.Attributes.Request.Http
		h.Body, h.RawBody = string(h.RawBody), nil
		return r
	}
	joined := func(r *authv3.CheckRequest) *authv3.CheckRequest { // as without encode_raw_headers
		h := r.Attributes.Request.Http
		h.Headers = make(map[string]string)
		for _, f := range h.HeaderMap.Headers {
			if old, ok := h.Headers[f.Key]; ok {
				h.Headers[f.Key] = old + "," + string(f.RawValue)
				continue
			}
			h.Headers[f.Key] = string(f.RawValue)
		}
		h.HeaderMap = nil
		return r
	}
	both := request(call)
	both.Attributes.Request.Http.Body = call
	for _, c := range []struct {
		name   string
		r      *authv3.CheckRequest
		status int
		reason guard.Reason
		body   string
	}{
		{"a part of the body, as Envoy says", request(call, "x-envoy-auth-partial-body", "true"), 413, guard.TooLarge, "error"},
		{"a part of the body, and a forged header that says whole", request(call, "+x-envoy-auth-partial-body", "true"), 413, guard.TooLarge, "error"},
		{"a body that is longer than what came", request(call, "content-length", "5000000"), 400, guard.InvalidMessage, "error"},
		{"a body that is shorter than what came", request(call, "content-length", "7"), 400, guard.InvalidMessage, "error"},
		{"a body whose end is not known", request(call, "content-length", ""), 411, guard.InvalidMessage, "error"},
		{"two lengths", request(call, "+content-length", "5"), 400, guard.InvalidMessage, "error"},
		{"two bodies", both, 400, guard.InvalidMessage, "error"},
		{"text in which bytes were replaced", text(strings.Replace(call, "read", "r!ad", 1)), 503, guard.GuardError, "error"},
		{"no body", request("", "content-length", "0"), 400, guard.Malformed, "error"},
		{"over the limit", request(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"` + strings.Repeat("a", 1<<20) + `"}}`), 413, guard.TooLarge, "error"},
		{"a tool named twice", request(strings.Replace(call, `"name":"read"`, `"name":"read","name":"kill"`, 1)), 400, guard.Malformed, id},
		{"a batch", request("[" + call + "]"), 400, guard.InvalidMessage, "-32600"},
		{"a header that names another tool than the body", request(modern, "mcp-protocol-version", "2026-07-28", "mcp-method", "tools/call", "mcp-name", "kill"), 400, guard.HeaderMismatch, id},
		{"two headers, the second with the tool that runs", request(modern, "mcp-protocol-version", "2026-07-28", "mcp-method", "tools/call", "mcp-name", "read", "+mcp-name", "kill"), 400, guard.HeaderMismatch, id},
		{"two such headers, joined by Envoy", joined(request(modern, "mcp-protocol-version", "2026-07-28", "mcp-method", "tools/call", "mcp-name", "read", "+mcp-name", "kill")), 400, guard.HeaderMismatch, id},
		{"two sessions", request(call, "mcp-session-id", "a", "+mcp-session-id", "b"), 400, guard.InvalidMessage, id},
		{"two sessions, joined by Envoy", joined(request(call, "mcp-session-id", "a", "+mcp-session-id", "b")), 400, guard.InvalidMessage, id},
		{"a session of a version that is gone", request(call, ":path", "/mcp/two", "mcp-session-id", "v9~s"), 404, guard.UnknownSession, ""},
		{"another charset", request(call, "content-type", "application/json; charset=utf-16"), 415, guard.UnsupportedMedia, id},
		{"a compressed body", request(call, "content-encoding", "gzip"), 415, guard.UnsupportedMedia, id},
		{"a page of another origin", request(call, "origin", "https://evil.example"), 403, "origin_not_allowed", id},
		{"a rebound host name", request(call, ":authority", "evil.example"), 403, "host_not_allowed", id},
		{"an unknown server", request(call, ":path", "/mcp/nobody"), 404, guard.UnknownServer, id},
		{"another HTTP method", request(call, ":method", "PUT"), 405, guard.WrongTransport, "error"},
		{"a DELETE with a body", request(call, ":method", "DELETE"), 400, guard.InvalidMessage, "error"},
		{"a GET that announces a body", bodyless("GET", "content-length", "5"), 400, guard.InvalidMessage, "error"},
		{"a GET that becomes a tunnel", bodyless("GET", "connection", "Upgrade", "upgrade", "websocket"), 405, guard.WrongTransport, "error"},
		{"a method that the protocol does not have", request(strings.Replace(call, "tools/call", "tools/destroy", 1)), 200, guard.UnknownMethod, id},
		{"no attributes at all", &authv3.CheckRequest{}, 404, guard.UnknownServer, "error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			a := f.check(t, c.r)
			if a.ok || a.status != c.status || a.reason != string(c.reason) || !strings.Contains(a.body, c.body) || (a.body == "") != (c.body == "") {
				t.Errorf("got %+v, want %d %s with %q", a, c.status, c.reason, c.body)
			}
			if o := f.last(t); o.Ending != guard.Refused || o.Reached || o.Status != c.status {
				t.Errorf("outcome %+v", o)
			}
			if len(f.watch.seen) != 1 || f.watch.seen[0].Reason != c.reason {
				t.Errorf("receipts %+v", f.watch.seen)
			}
		})
	}
}

func TestGETAndDELETEAreMessages(t *testing.T) {
	for method, want := range map[string]string{"GET": mcp.MethodListen, "DELETE": mcp.MethodClose} {
		f := newFixture(t)
		got := ""
		f.probe.inspect = func(m *mcp.Message) (guard.Verdict, error) { got = m.Method; return guard.Pass(), nil }
		if a := f.check(t, bodyless(method, "mcp-session-id", "s1")); !a.ok || got != want {
			t.Errorf("%s: %+v, judged as %q", method, a, got)
		}
	}
}

func TestTextBodiesAndJoinedHeadersPassWhereTheyAreExact(t *testing.T) {
	f := newFixture(t)
	r := request(call)
	h := r.Attributes.Request.Http
	h.Body, h.RawBody = call, nil
	h.Headers = make(map[string]string)
	for _, f := range h.HeaderMap.Headers {
		h.Headers[f.Key] = string(f.RawValue)
	}
	h.HeaderMap = nil
	if a := f.check(t, r); !a.ok {
		t.Errorf("got %+v", a)
	}
}

func TestASessionStaysOnItsVersion(t *testing.T) {
	f := newFixture(t)
	a := f.check(t, request(call, ":path", "/mcp/two", "mcp-session-id", "v2~s1"))
	if !a.ok || a.header["mcp-session-id"] != "s1" || a.header["x-sallyport-version"] != "v2" {
		t.Errorf("got %+v", a)
	}
}

func TestTheRouteNamesTheServerAndTheClientCannot(t *testing.T) {
	f := newFixture(t)
	named := request(call, ":path", "/anything")
	named.Attributes.ContextExtensions = map[string]string{"server": "one"}
	if a := f.check(t, named); !a.ok {
		t.Errorf("a context extension: %+v", a)
	}
	if a := f.check(t, request(call, ":path", "/anything", "x-sallyport-server", "one")); a.ok {
		t.Error("a client's header named the server")
	}
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("x-sallyport-server", "nobody"))
	resp, err := f.server.Check(ctx, request(call))
	if err != nil || resp.GetStatus().GetCode() == 0 {
		t.Errorf("a server that is not registered, and a path that is: %v, %v", resp, err)
	}
	f.server.Wait()
}

func TestARefusalOfAGuardSaysWhatTheClientCanDo(t *testing.T) {
	f := newFixture(t)
	f.probe.inspect = func(*mcp.Message) (guard.Verdict, error) {
		v := guard.Refuse("probe_no", "secret detail")
		v.Obligations = []guard.Obligation{{Kind: guard.RetryAfter, Value: "30"}, {Kind: guard.Challenge, Value: `Bearer scope="x"`}}
		return v, nil
	}
	a := f.check(t, request(call))
	if a.status != 429 || a.header["retry-after"] != "30" || a.header["www-authenticate"] != `Bearer scope="x"` || strings.Contains(a.body, "secret") {
		t.Errorf("got %+v", a)
	}
	f.probe.inspect = nil
	if a := f.check(t, request(strings.Replace(call, "tools/call", "tools/x", 1), "accept", "text/event-stream")); a.header["content-type"] != "text/event-stream" || !strings.HasPrefix(a.body, "data: {") {
		t.Errorf("a client that reads events only: %+v", a)
	}
}

func TestNothingPassesThatCouldNotBeCarriedOutOrDecided(t *testing.T) {
	for name, inspect := range map[string]func(m *mcp.Message) (guard.Verdict, error){
		"an edit of the body": func(m *mcp.Message) (guard.Verdict, error) {
			return guard.Verdict{Action: guard.Allow, Edits: []mcp.Edit{mcp.SetPointer("/params/name", []byte(`"safe"`))}}, nil
		},
		"an error":         func(*mcp.Message) (guard.Verdict, error) { return guard.Pass(), errors.New("no answer") },
		"a panic":          func(*mcp.Message) (guard.Verdict, error) { panic("provoked") },
		"the zero verdict": func(*mcp.Message) (guard.Verdict, error) { return guard.Verdict{}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.probe.inspect = inspect
			if a := f.check(t, request(call)); a.ok || a.status != 503 || !strings.Contains(a.body, `"id":"a-7"`) {
				t.Errorf("got %+v", a)
			}
			if o := f.last(t); o.Reached || o.Ending != guard.Refused {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func TestAPanicOfTheServiceIsAnErrorAndSettles(t *testing.T) {
	f := newFixture(t)
	f.snap.Decoder = nil
	resp, err := f.server.Check(t.Context(), request(call))
	f.server.Wait()
	if resp != nil || status.Code(err) != codes.Internal {
		t.Errorf("got %v, %v", resp, err)
	}
	if o := f.last(t); o.Ending != guard.Broken || o.Reached {
		t.Errorf("outcome %+v", o)
	}
}

func TestAnAnswerThatComesTooLateLetsNothingPass(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.probe.inspect = func(*mcp.Message) (guard.Verdict, error) { cancel(); return guard.Pass(), nil }
	resp, err := f.server.Check(ctx, request(call))
	f.server.Wait()
	if resp != nil || err == nil {
		t.Errorf("got %v, %v", resp, err)
	}
	if o := f.last(t); o.Ending != guard.Reset || o.Reached {
		t.Errorf("outcome %+v", o)
	}
}

func TestAChainThatNeedsResponsesRefusesEverything(t *testing.T) {
	f := newFixture(t)
	if f.snap.RequestsOnly != nil {
		t.Fatalf("the envelope guard as it comes: %v", f.snap.RequestsOnly)
	}
	f.snap.RequestsOnly = errors.New("guards.dlp: it has to see what servers answer")
	a := f.check(t, request(call))
	if a.ok || a.status != 503 || !strings.Contains(a.body, `"id":"a-7"`) || !strings.Contains(f.watch.seen[0].Detail, "guards.dlp") {
		t.Errorf("got %+v, %+v", a, f.watch.seen)
	}
}

func TestThePublicDocumentIsServedAndNothingElseOnItsPath(t *testing.T) {
	f := newFixture(t)
	f.snap.Metadata = func(server string) []byte { return []byte(`{"resource":"` + server + `"}`) }
	a := f.check(t, bodyless("GET", ":path", "/.well-known/oauth-protected-resource/mcp/one"))
	if a.ok || a.status != 200 || a.body != `{"resource":"one"}` || a.header["content-type"] != "application/json" {
		t.Errorf("got %+v", a)
	}
	if len(f.probe.outcomes)+len(f.watch.seen) != 0 {
		t.Error("it counts as an exchange")
	}
	if a := f.check(t, request(call, ":path", "/.well-known/oauth-protected-resource/mcp/one")); a.ok || a.status != 404 {
		t.Errorf("a call on that path: %+v", a)
	}
}

func BenchmarkCheck(b *testing.B) {
	f := newFixture(b)
	f.watch.do = func() error { f.watch.seen = f.watch.seen[:0]; return nil }
	r := request(call)
	b.ReportAllocs()
	for b.Loop() {
		f.probe.outcomes = nil
		if resp, err := f.server.Check(context.Background(), r); err != nil || resp.GetOkResponse() == nil {
			b.Fatal(resp, err)
		}
		f.server.Wait()
	}
}

func TestHeadersOfGuardsAreForTheReply(t *testing.T) {
	f := newFixture(t)
	f.probe.inspect = func(*mcp.Message) (guard.Verdict, error) {
		v := guard.Pass()
		v.Obligations = []guard.Obligation{{Kind: guard.ResponseHeader, Name: "ratelimit", Value: `"a";r=3`}}
		return v, nil
	}
	resp, err := f.server.Check(t.Context(), request(call))
	if err != nil {
		t.Fatal(err)
	}
	if h := resp.GetOkResponse().GetResponseHeadersToAdd(); len(h) != 1 || h[0].Header.Key != "ratelimit" || h[0].Header.Value != `"a";r=3` {
		t.Errorf("got %v", h)
	}
	f.server.Wait()
}
