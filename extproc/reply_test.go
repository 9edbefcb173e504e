package extproc

import (
	"slices"
	"strings"
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// got is what a client gets of a response.
type got struct {
	immediate bool
	status    int
	headers   string // what was set and removed
	body      string
	ended     bool
}

// play sends the messages and collects the answers until the response is over.
func (e *envoy) play(messages ...*extprocv3.ProcessingRequest) (g got) {
	e.t.Helper()
	for _, m := range messages {
		e.say(m)
	}
	for !g.ended {
		r := e.hear()
		switch {
		case r.GetImmediateResponse() != nil:
			i := r.GetImmediateResponse()
			return got{immediate: true, status: int(i.Status.Code), body: string(i.Body), ended: true}
		case r.GetResponseHeaders() != nil:
			m := r.GetResponseHeaders().GetResponse().GetHeaderMutation()
			g.headers = strings.Join(m.GetRemoveHeaders(), " ")
			for _, h := range m.GetSetHeaders() {
				g.headers += " " + h.Header.Key + "=" + string(h.Header.RawValue)
			}
			g.ended = messages[0].GetResponseHeaders().GetEndOfStream()
		default:
			b, end := chunk(r)
			g.body += b
			g.ended = end
		}
	}
	return g
}

func TestReplies(t *testing.T) {
	json := func(body string, more ...string) []*extprocv3.ProcessingRequest {
		return []*extprocv3.ProcessingRequest{responseHeaders(false, append([]string{":status", "200", "content-type", "application/json"}, more...)...), responseBody(body, true)}
	}
	sse := func(pieces ...string) []*extprocv3.ProcessingRequest {
		out := []*extprocv3.ProcessingRequest{responseHeaders(false, ":status", "200", "content-type", "text/event-stream")}
		for _, p := range pieces {
			out = append(out, responseBody(p, false))
		}
		return append(out, responseBody("", true))
	}
	status := func(code, media, body string) []*extprocv3.ProcessingRequest {
		return []*extprocv3.ProcessingRequest{responseHeaders(false, ":status", code, "content-type", media), responseBody(body, true)}
	}
	const notification = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	event := "data: " + goodReply + "\n\n"
	for _, c := range []struct {
		name      string
		request   *extprocv3.ProcessingRequest // nil for a tool call
		body      string
		reply     []*extprocv3.ProcessingRequest
		immediate int    // status of a refusal that takes the reply's place; 0 for none
		want      string // body: the whole where nothing was refused, a part of it otherwise
		ending    guard.Ending
	}{
		{"JSON", nil, callBody, json(goodReply), 0, goodReply, guard.Completed},
		{"JSON in pieces", nil, callBody, []*extprocv3.ProcessingRequest{responseHeaders(false, ":status", "200", "content-type", "application/json"), responseBody(goodReply[:9], false), responseBody(goodReply[9:], false), responseBody("", true)}, 0, goodReply, guard.Completed},
		{"JSON that trailers end", nil, callBody, []*extprocv3.ProcessingRequest{responseHeaders(false, ":status", "200", "content-type", "application/json"), responseBody(goodReply, false), responseTrailers()}, 0, goodReply, guard.Completed},
		{"a denied reply", nil, callBody, json(strings.Replace(goodReply, "[]", `["forbidden"]`, 1)), 200, `"id":7`, guard.Refused},
		{"the answer to another request", nil, callBody, json(strings.Replace(goodReply, "7", "8", 1)), 502, `"id":7`, guard.Refused},
		{"a number answered as text", nil, callBody, json(strings.Replace(goodReply, "7", `"7"`, 1)), 502, `"id":7`, guard.Refused},
		{"an encoded reply", nil, callBody, json(goodReply, "content-encoding", "gzip")[:1], 502, `"id":7`, guard.Refused},
		{"two content types", nil, callBody, json(goodReply, "content-type", "text/html")[:1], 502, `"id":7`, guard.Refused},
		{"a reply over the limit, declared", nil, callBody, json(goodReply, "content-length", "9999999")[:1], 502, "upstream_reply_too_large", guard.Refused},
		{"a reply over the limit", nil, callBody, json(strings.Repeat(" ", 257<<10)), 502, "upstream_reply_too_large", guard.Refused},
		{"no body", nil, callBody, []*extprocv3.ProcessingRequest{responseHeaders(true, ":status", "200", "content-type", "application/json")}, 502, `"id":7`, guard.Refused},
		{"202 to a request", nil, callBody, []*extprocv3.ProcessingRequest{responseHeaders(true, ":status", "202")}, 502, `"id":7`, guard.Refused},
		{"a redirect", nil, callBody, []*extprocv3.ProcessingRequest{responseHeaders(true, ":status", "302", "location", "http://evil")}, 502, `"id":7`, guard.Refused},
		{"401 of the upstream", nil, callBody, status("401", "application/json", `{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"m"}}`), 502, `"id":7`, guard.Refused},
		{"an error in JSON-RPC", nil, callBody, status("404", "application/json", `{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"m"}}`), 0, `{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"m"}}`, guard.Completed},
		{"an error page", nil, callBody, status("500", "text/html", "secret"), 500, `"id":7`, guard.Refused},
		{"404 to a session", post("mcp-session-id", "s"), callBody, status("404", "text/plain", "gone"), 404, "", guard.Refused},

		{"202 to a notification", nil, notification, []*extprocv3.ProcessingRequest{responseHeaders(true, ":status", "202")}, 0, "", guard.Completed},
		{"a body to a notification", nil, notification, json(goodReply), 0, "", guard.Completed},
		{"an event stream to a notification", nil, notification, sse(event), 0, "", guard.Completed},
		{"204 to DELETE", bodyless("DELETE"), "", []*extprocv3.ProcessingRequest{responseHeaders(true, ":status", "204")}, 0, "", guard.Completed},
		{"a body to DELETE", bodyless("DELETE"), "", json(`{"secret":1}`), 0, "", guard.Completed},
		{"405 to GET", bodyless("GET"), "", status("405", "text/plain", "secret"), 0, "", guard.Completed},
		{"JSON to GET", bodyless("GET"), "", json(`{"secret":1}`), 405, "upstream_bad_reply", guard.Refused},

		{"events", nil, callBody, sse("data: "+progress+"\n\n", event), 0, "data: " + progress + "\n\n" + event, guard.Completed},
		{"events with other line ends, comments and ids", nil, callBody, sse(": words\r\n\r\n", "id: 1\r\ndata:\r\n\r\n", "data:"+goodReply+"\r\r"), 0, ":\n\nid: 1\n\n" + event, guard.Completed},
		{"a second answer", nil, callBody, sse(event + strings.Replace(event, "[]", `["secret"]`, 1)), 0, event, guard.Completed},
		{"a denied event ends the stream readably", nil, callBody, sse("data: " + progress + "\n\ndata: " + strings.Replace(goodReply, "[]", `["forbidden"]`, 1) + "\n\n" + event), 0, "data: " + progress + "\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"error\"", guard.Refused},
		{"a denied notification is dropped", nil, callBody, sse("data: "+strings.Replace(progress, "Token\":1", `Token":"forbidden"`, 1)+"\n\n", event), 0, event, guard.Completed},
		{"an event of another type is dropped", nil, callBody, sse("event: other\ndata: secret\n\n" + event), 0, event, guard.Completed},
		{"an event over the limit", nil, callBody, sse("data: " + strings.Repeat("x", 9000)), 0, "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"error\"", guard.Refused},
		{"a stream that ends within an event", nil, callBody, sse("data: " + goodReply), 0, "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"error\"", guard.Refused},
		{"a stream that ends too early, and cannot be resumed", nil, callBody, sse("data: " + progress + "\n\n"), 0, "data: " + progress + "\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"error\"", guard.Refused},
		{"a stream that ends too early, and can be resumed", nil, callBody, sse("id: 1\ndata: " + progress + "\n\n"), 0, "id: 1\ndata: " + progress + "\n\n", guard.Completed},
		{"a stream that trailers end", nil, callBody, append(sse(event)[:2], responseTrailers()), 0, event, guard.Completed},
		{"a GET stream with a server's request", bodyless("GET"), "", sse(`data: {"jsonrpc":"2.0","id":1,"method":"roots/list"}` + "\n\n"), 0, `data: {"jsonrpc":"2.0","id":1,"method":"roots/list"}` + "\n\n", guard.Completed},
		{"a GET stream with an answer that nobody asked for", bodyless("GET"), "", sse(event + "data: " + progress + "\n\n"), 0, "data: " + progress + "\n\n", guard.Completed},
		{"a resumed GET stream with an old answer", bodyless("GET", "last-event-id", "4"), "", sse(event), 0, event, guard.Completed},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			if c.request == nil {
				c.request = post()
			}
			e := f.asked(t, c.request, c.body)
			g := e.play(c.reply...)
			if g.immediate != (c.immediate != 0) || g.status != c.immediate {
				t.Errorf("got %+v, want a refusal with %d", g, c.immediate)
			}
			refused := c.immediate != 0 || c.ending == guard.Refused
			if strings.Contains(g.body, "secret") || !strings.HasPrefix(g.body, c.want) && !(g.immediate && strings.Contains(g.body, c.want)) || !refused && g.body != c.want {
				t.Errorf("got body %q, want %q", g.body, c.want)
			}
			if err := e.close(); err != nil {
				t.Errorf("ended with %v", err)
			}
			if o := f.settled(t); o.Ending != c.ending || !o.Reached {
				t.Errorf("outcome %+v, want %v", o, c.ending)
			}
		})
	}
}

func TestAnUpstreamsHeadersAreSortedOut(t *testing.T) {
	f := newFixture(t)
	e := f.asked(t, requestHeaders(false, ":method", "POST", ":path", "/mcp/two", ":authority", "localhost", "content-type", "application/json"), callBody)
	g := e.play(responseHeaders(false, ":status", "200", "content-type", "application/json", "set-cookie", "a=b", "www-authenticate", "Bearer",
		"mcp-session-id", "s1", "x-sallyport-version", "v2"), responseBody(goodReply, true))
	for _, want := range []string{"set-cookie", "www-authenticate", "x-sallyport-version", "mcp-session-id=v2~s1"} {
		if !strings.Contains(g.headers, want) {
			t.Errorf("%q lacks %s", g.headers, want)
		}
	}
}

// A header such as RateLimit is for the client however the reply comes about.
func TestHeadersOfGuardsAreOnEveryKindOfReply(t *testing.T) {
	const field = "ratelimit=\"a\";r=3"
	inform := func(m *mcp.Message) guard.Verdict {
		v := guard.Pass()
		if m.Direction == mcp.ToServer {
			v.Obligations = []guard.Obligation{{Kind: guard.ResponseHeader, Name: "ratelimit", Value: `"a";r=3`}}
		}
		return v
	}
	for name, messages := range map[string][]*extprocv3.ProcessingRequest{
		"JSON":   {responseHeaders(false, ":status", "200", "content-type", "application/json"), responseBody(`{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`, true)},
		"events": {responseHeaders(false, ":status", "200", "content-type", "text/event-stream"), responseBody("data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"content\":[]}}\n\n", true)},
	} {
		f := newFixture(t)
		f.probe.inspect = func(m *mcp.Message) (guard.Verdict, error) { return inform(m), nil }
		e := f.dial(t)
		e.say(post())
		e.hear()
		e.say(requestBody(callBody))
		e.hear()
		if g := e.play(messages...); !strings.Contains(g.headers, field) {
			t.Errorf("%s: %+v", name, g)
		}
	}
	f := newFixture(t)
	f.probe.inspect = func(m *mcp.Message) (guard.Verdict, error) {
		v := inform(m)
		v.Action, v.Reason = guard.Deny, "probe_no"
		return v, nil
	}
	e := f.dial(t)
	e.say(post())
	e.hear()
	e.say(requestBody(callBody))
	set := e.hear().GetImmediateResponse().GetHeaders().GetSetHeaders()
	for _, h := range set {
		if h.Header.Key == "ratelimit" {
			return
		}
	}
	t.Errorf("the refusal has %v", set)
}

// With HTTP/2 a reply may be headers and trailers. Envoy takes no body where none came,
// and would answer 502 in the place of an acknowledgement.
func TestAReplyOfHeadersAndTrailersIsEndedByThem(t *testing.T) {
	f := newFixture(t)
	e := f.asked(t, post(), `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	e.say(responseHeaders(false, ":status", "202"))
	e.say(&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseTrailers{ResponseTrailers: &extprocv3.HttpTrailers{Trailers: block("x-words", "unjudged")}}})
	if e.hear().GetResponseHeaders() == nil {
		t.Error("the headers did not go on")
	}
	if got := e.hear().GetResponseTrailers().GetHeaderMutation().GetRemoveHeaders(); !slices.Equal(got, []string{"x-words"}) {
		t.Errorf("removed %q of the trailers", got)
	}
	if err := e.close(); err != nil {
		t.Error(err)
	}
	if o := f.settled(t); o.Ending != guard.Completed {
		t.Errorf("outcome %+v", o)
	}
}
