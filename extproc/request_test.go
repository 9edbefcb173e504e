package extproc

import (
	"slices"
	"strings"
	"testing"

	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/mcp"
)

func TestAJudgedRequestGoesOnUntouchedAndCleaned(t *testing.T) {
	f := newFixture(t)
	e := f.dial(t)
	e.say(post("authorization", "Bearer x", "x-sallyport-version", "v9", "accept-encoding", "gzip", "mcp-name", "other"))
	removed := e.hear().GetRequestHeaders().GetResponse().GetHeaderMutation().GetRemoveHeaders()
	for _, name := range []string{"authorization", "x-sallyport-version", "accept-encoding"} {
		if !slices.Contains(removed, name) {
			t.Errorf("%s goes on", name)
		}
	}
	e.say(requestBody(callBody))
	r := e.hear()
	if r.GetRequestBody() == nil || r.GetRequestBody().GetResponse().GetBodyMutation() != nil {
		t.Errorf("got %v", r)
	}
	if got := r.GetDynamicMetadata().GetFields()["sallyport"].GetStructValue().GetFields()["id"].GetStringValue(); got != "7" {
		t.Errorf("id %q", got)
	}
	if !slices.Contains(r.GetRequestBody().GetResponse().GetHeaderMutation().GetRemoveHeaders(), "mcp-name") {
		t.Error("a header that names another tool than a legacy body goes on")
	}
}

// An Envoy may not have heard yet that nothing is traced any more.
func TestWhatTellsEnvoyToMakeNoSpansReachesNoServer(t *testing.T) {
	const theirs = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for place, removed := range map[string]bool{envoymap.NoPlace: true, theirs: false} {
		f := newFixture(t)
		e := f.dial(t)
		e.say(post("traceparent", place))
		if got := slices.Contains(e.hear().GetRequestHeaders().GetResponse().GetHeaderMutation().GetRemoveHeaders(), "traceparent"); got != removed {
			t.Errorf("%s is removed: %t", place, got)
		}
	}
}

// No guard hears of a session in the modern era, so that a server of both eras
// must not be led to one, whether the gateway tagged it or not.
func TestAModernRequestTakesNoSessionToTheServer(t *testing.T) {
	const body = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	for _, session := range []string{"s1", gate.Tag("v1", "s1")} {
		f := newFixture(t)
		e := f.dial(t)
		e.say(requestHeaders(false, ":method", "POST", ":path", "/mcp/two", ":authority", "localhost", "content-type", "application/json",
			"mcp-protocol-version", "2026-07-28", "mcp-method", "tools/call", "mcp-name", "read", "mcp-session-id", session))
		e.hear()
		e.say(requestBody(body))
		m := e.hear().GetRequestBody().GetResponse().GetHeaderMutation()
		if !slices.Contains(m.GetRemoveHeaders(), "mcp-session-id") {
			t.Errorf("the session %q goes on: %v", session, m)
		}
	}
}

func TestAnEditedRequestCarriesItsLength(t *testing.T) {
	f := newFixture(t)
	f.probe.inspect = func(m *mcp.Message) (guard.Verdict, error) {
		return guard.Verdict{Action: guard.Allow, Edits: []mcp.Edit{mcp.SetPointer("/params/name", []byte(`"write"`))}}, nil
	}
	e := f.dial(t)
	e.say(post("content-length", "74"))
	e.hear()
	e.say(requestBody(callBody))
	r := e.hear().GetRequestBody().GetResponse()
	want := strings.Replace(callBody, "read", "write", 1)
	if got := string(r.GetBodyMutation().GetBody()); got != want {
		t.Errorf("got %s", got)
	}
	length := ""
	for _, h := range r.GetHeaderMutation().GetSetHeaders() {
		if h.Header.Key == "content-length" {
			length = string(h.Header.RawValue)
		}
	}
	if length != "72" || len(want) != 72 {
		t.Errorf("content-length %q, body %d", length, len(want))
	}
}

func TestRequestsThatAreRefusedAreAnsweredAtOnceWithTheirID(t *testing.T) {
	small := []string{"content-length", "71"}
	for _, c := range []struct {
		name   string
		head   *extprocv3.ProcessingRequest
		body   string // "" when the headers are refused by themselves
		status int
		want   string
	}{
		{"a denied call", post(), strings.Replace(callBody, "read", "forbidden", 1), 200, `"id":7`},
		{"a duplicate key", post(), strings.Replace(callBody, `"id":7`, `"id":7,"id":8`, 1), 400, "malformed_message"},
		{"a batch", post(), "[" + callBody + "]", 400, "-32600"},
		{"an empty body", requestHeaders(true, ":method", "POST", ":path", "/mcp/one", ":authority", "localhost", "content-type", "application/json"), "", 400, "malformed_message"},
		{"a body over the limit, declared", post("content-length", "99999"), "", 413, "message_too_large"},
		{"a body over the limit", post(), `{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":"` + strings.Repeat("a", 5000) + `"}}`, 413, "message_too_large"},
		{"another media type, with the id all the same", post(append(small, "content-type", "text/plain")...), callBody, 415, `"id":7`},
		{"a rebound host, with the id all the same", post(append(small, "host", "evil.example")...), callBody, 403, `"id":7`},
		{"an unknown server, with the id all the same", requestHeaders(false, ":method", "POST", ":path", "/mcp/nobody", ":authority", "localhost", "content-length", "71"), callBody, 404, `"id":7`},
		{"an unknown server, without a length", requestHeaders(false, ":method", "POST", ":path", "/mcp/nobody", ":authority", "localhost"), "", 404, "unknown_server"},
		{"a query, which leads to no route", requestHeaders(false, ":method", "POST", ":path", "/mcp/one?x=1", ":authority", "localhost"), "", 404, "unknown_server"},
		{"two sessions", post(append(small, "mcp-session-id", "a", "mcp-session-id", "b")...), callBody, 400, `"id":7`},
		{"a session whose version is gone", requestHeaders(false, ":method", "POST", ":path", "/mcp/two", ":authority", "localhost", "mcp-session-id", "v9~x"), "", 404, ""},
		{"a GET with a body", requestHeaders(false, ":method", "GET", ":path", "/mcp/one", ":authority", "localhost"), "", 400, "invalid_message"},
		{"another HTTP method", bodyless("PUT"), "", 405, "transport_not_served"},
		{"a modern GET", bodyless("GET", "mcp-protocol-version", "2026-07-28"), "", 405, `"jsonrpc"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			e := f.dial(t)
			e.say(c.head)
			if c.body != "" {
				if e.hear().GetRequestHeaders() == nil {
					t.Fatal("the headers were answered")
				}
				e.say(requestBody(c.body))
			}
			i := e.hear().GetImmediateResponse()
			if i == nil || int(i.Status.Code) != c.status || !strings.Contains(string(i.Body), c.want) || (len(i.Body) == 0) != (c.want == "") {
				t.Fatalf("got %v, want %d with %q", i, c.status, c.want)
			}
			if !strings.HasPrefix(i.Details, "sallyport_") {
				t.Errorf("details %q", i.Details)
			}
			if err := e.close(); err != nil {
				t.Errorf("ended with %v", err)
			}
			if o := f.settled(t); o.Ending != guard.Refused || o.Reached || o.Status != c.status {
				t.Errorf("outcome %+v", o)
			}
			if len(f.watch.seen) != 1 {
				t.Errorf("%d receipts", len(f.watch.seen))
			}
		})
	}
}

func TestModesInWhichABodyWouldPassUnseenAreRefused(t *testing.T) {
	const none, streamed, buffered, partial, duplex = filterv3.ProcessingMode_NONE, filterv3.ProcessingMode_STREAMED, filterv3.ProcessingMode_BUFFERED,
		filterv3.ProcessingMode_BUFFERED_PARTIAL, filterv3.ProcessingMode_FULL_DUPLEX_STREAMED
	for _, c := range []struct {
		request, response filterv3.ProcessingMode_BodySendMode
	}{
		{none, duplex}, {streamed, duplex}, {partial, duplex}, {duplex, duplex}, {buffered, none}, {buffered, streamed}, {buffered, buffered}, {buffered, partial},
	} {
		f := newFixture(t)
		e := f.dial(t)
		r := post()
		r.ProtocolConfig = modes(c.request, c.response)
		e.say(r)
		if err := e.ended(); status.Code(err) == codes.OK {
			t.Errorf("%v: accepted", c)
		}
	}
}

func TestMessagesOutOfOrderFailTheExchange(t *testing.T) {
	for name, messages := range map[string][]*extprocv3.ProcessingRequest{
		"a body first":                          {requestBody(callBody)},
		"a response body first":                 {responseBody("x", true)},
		"trailers first":                        {responseTrailers()},
		"headers twice":                         {post(), post()},
		"a response body for a request body":    {post(), responseBody("x", true)},
		"a second request body":                 {post(), requestBody(callBody), requestBody(callBody)},
		"a response body before its headers":    {post(), requestBody(callBody), responseBody("x", true)},
		"response headers twice":                {post(), requestBody(callBody), responseHeaders(false, ":status", "200", "content-type", "application/json"), responseHeaders(false, ":status", "200")},
		"headers again after a local reply":     {responseHeaders(false, ":status", "401"), post()},
		"request trailers, which nobody judges": {{Request: &extprocv3.ProcessingRequest_RequestTrailers{}}},
		"nothing":                               {{}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			e := f.dial(t)
			for _, m := range messages {
				e.say(m)
			}
			if err := e.ended(); status.Code(err) == codes.OK {
				t.Error("the stream ended with OK")
			}
			for len(e.out) > 0 {
				if b, _ := chunk(<-e.out); b != "" {
					t.Errorf("released %q", b)
				}
			}
		})
	}
}

func TestLocalRepliesOfOthersPass(t *testing.T) {
	f := newFixture(t)
	e := f.dial(t)
	e.say(responseHeaders(false, ":status", "401"))
	if e.hear().GetResponseHeaders() == nil {
		t.Fatal("the headers did not pass")
	}
	e.say(responseBody("no", true))
	if b, end := chunk(e.hear()); b != "no" || !end {
		t.Errorf("got %q %v", b, end)
	}
	if err := e.close(); err != nil {
		t.Error(err)
	}
	if len(f.probe.outcomes) != 0 {
		t.Error("settled what was never asked")
	}
}

// With HTTP/2 a request may be headers and trailers. Envoy tells of no body then,
// lets the headers go once they are answered, and shows us what the server says.
func TestNothingIsAnsweredToARequestThatWasNotRead(t *testing.T) {
	trailers := &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestTrailers{}}
	refusable := post("content-type", "text/plain", "content-length", "0", "authorization", "Bearer x")
	for _, c := range []struct {
		name          string
		request, next *extprocv3.ProcessingRequest
		status        int
		reason        guard.Reason
	}{
		{"trailers in place of a body", post(), trailers, 400, guard.InvalidMessage},
		{"trailers to a request that is refused", refusable, trailers, 415, guard.Reason(mcp.ReasonUnsupportedMedia)},
		{"what a server says, where Envoy sends no trailers", post(), responseHeaders(false, ":status", "200", "content-type", "application/json"), 400, guard.InvalidMessage},
		{"the stream of a server", post(), responseHeaders(false, ":status", "200", "content-type", "text/event-stream"), 400, guard.InvalidMessage},
		{"what a server says to a request that is refused", refusable, responseHeaders(false, ":status", "200", "content-type", "application/json"), 415, guard.Reason(mcp.ReasonUnsupportedMedia)},
		{"a body that Envoy found too long", post(), responseHeaders(false, ":status", "413"), 413, guard.TooLarge},
		{"a body that Envoy found too slow", post(), responseHeaders(false, ":status", "408"), 408, guard.InvalidMessage},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			e := f.dial(t)
			e.say(c.request)
			removed := e.hear().GetRequestHeaders().GetResponse().GetHeaderMutation().GetRemoveHeaders()
			if c.request == refusable && !slices.Contains(removed, "authorization") {
				t.Errorf("a token would go on: only %q are removed", removed)
			}
			e.say(c.next)
			got := e.hear().GetImmediateResponse()
			if int(got.GetStatus().GetCode()) != c.status || !strings.Contains(string(got.GetBody()), string(c.reason)) {
				t.Errorf("got %v", got)
			}
			e.say(responseBody("SECRET", true)) // what may still come is dropped
			if err := e.close(); err != nil {
				t.Error(err)
			}
			if len(e.out) > 0 {
				t.Errorf("released %v", <-e.out)
			}
			if o := f.settled(t); o.Ending != guard.Refused || o.Reached || o.Status != c.status || len(f.watch.seen) != 1 || f.watch.seen[0].Reason != c.reason {
				t.Errorf("outcome %+v, receipts %+v", o, f.watch.seen)
			}
		})
	}
}
