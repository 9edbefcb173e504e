package extproc

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
)

const progressEvent = "data: " + progress + "\n\n"

func TestHowAnExchangeEndedIsOnRecordHoweverItEnded(t *testing.T) {
	streaming := func(t *testing.T, f *fixture, more ...string) *envoy {
		e := f.asked(t, post(more...), callBody)
		e.say(eventHeaders)
		e.hear()
		e.say(responseBody(progressEvent, false))
		e.hear()
		return e
	}
	const notification = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	for _, tt := range []struct {
		name string
		ends func(t *testing.T, f *fixture)
		want string // empty: nothing, since another receipt tells
	}{
		{"an answer that was judged needs no more", func(t *testing.T, f *fixture) {
			e := f.asked(t, post(), callBody)
			e.say(jsonHeaders)
			e.say(responseBody(goodReply, true))
			_ = e.close()
		}, ""},
		{"nor does a call that was refused", func(t *testing.T, f *fixture) {
			e := f.asked(t, post(), "")
			e.say(requestBody(strings.Replace(callBody, "read", "forbidden", 1)))
			e.hear()
			_ = e.close()
		}, ""},
		{"nor a reply that was", func(t *testing.T, f *fixture) {
			e := f.asked(t, post(), callBody)
			e.say(jsonHeaders)
			e.say(responseBody(strings.Replace(goodReply, "[]", `["forbidden"]`, 1), true))
			_ = e.close()
		}, ""},
		{"nor what Envoy answers in the server's place", func(t *testing.T, f *fixture) {
			e := f.asked(t, post(), callBody)
			e.say(responseHeaders(true, ":status", "503"))
			e.hear()
			_ = e.close()
		}, ""},
		{"nor a caller who leaves before anything was judged", func(t *testing.T, f *fixture) { f.asked(t, post(), "").cancel() }, ""},
		{"a caller who leaves before the answer is still on record", func(t *testing.T, f *fixture) { f.asked(t, post(), callBody).cancel() },
			"client_left  1/71 to server 0/0 to client, status 0"},
		{"a reply that breaks off while it is held", func(t *testing.T, f *fixture) {
			e := f.asked(t, post(), callBody)
			e.say(jsonHeaders)
			e.say(responseBody(goodReply[:10], false))
			e.cancel()
		}, "broken_off  1/71 to server 0/0 to client, status 200"},
		{"a stream with its answer", func(t *testing.T, f *fixture) {
			e := streaming(t, f)
			e.say(responseBody("data: "+goodReply+"\n\n", true))
			e.hear()
			_ = e.close()
		}, "answered  1/71 to server 2/157 to client, status 200"},
		{"a stream that is left in the middle", func(t *testing.T, f *fixture) { streaming(t, f).cancel() },
			"broken_off  1/71 to server 1/101 to client, status 200"},
		{"a stream that the server ends without an answer", func(t *testing.T, f *fixture) {
			e := streaming(t, f)
			e.say(responseBody("", true))
			e.hear()
			_ = e.close()
		}, "server_failed upstream_bad_reply 1/71 to server 1/"},
		{"a stream that a guard cuts", func(t *testing.T, f *fixture) {
			e := streaming(t, f)
			e.say(responseBody("data: "+strings.Replace(goodReply, "[]", `["forbidden"]`, 1)+"\n\n", false))
			e.hear()
			_ = e.close()
		}, "refused probe_no 1/71 to server 1/"},
		{"a listener that the server ends", func(t *testing.T, f *fixture) {
			e := f.dial(t)
			e.say(bodyless("GET", "accept", "text/event-stream"))
			e.hear()
			e.say(eventHeaders)
			e.hear()
			e.say(responseBody(progressEvent, true))
			e.hear()
			_ = e.close()
		}, "server_closed  0/0 to server 1/101 to client, status 200"},
		{"a listener that nobody answers", func(t *testing.T, f *fixture) {
			e := f.dial(t)
			e.say(bodyless("GET", "accept", "text/event-stream"))
			e.hear()
			e.cancel()
		}, "client_left  0/0 to server 0/0 to client, status 0"},
		{"a notification that the server took", func(t *testing.T, f *fixture) {
			e := f.asked(t, post(), notification)
			e.say(responseHeaders(true, ":status", "202"))
			e.hear()
			_ = e.close()
		}, "answered  1/54 to server 0/0 to client, status 202"},
		{"a session that was ended", func(t *testing.T, f *fixture) {
			e := f.dial(t)
			e.say(bodyless("DELETE", "mcp-session-id", "s"))
			e.hear()
			e.say(responseHeaders(true, ":status", "204"))
			e.hear()
			_ = e.close()
		}, "answered  0/0 to server 0/0 to client, status 204"},
		{"a gateway that stops", func(t *testing.T, f *fixture) {
			e := streaming(t, f)
			f.server.Drain()
			e.hear()
			_ = e.close()
		}, "gateway_stopped gateway_stopping 1/71 to server 1/"},
		{"a gateway that stops, and a stream that goes on elsewhere", func(t *testing.T, f *fixture) {
			e := f.asked(t, post("mcp-protocol-version", "2025-11-25"), callBody)
			e.say(eventHeaders)
			e.hear()
			e.say(responseBody("id: 1\n"+progressEvent, false))
			e.hear()
			f.server.Drain()
			e.hear()
			_ = e.close()
		}, "gateway_stopped gateway_stopping 1/71 to server 1/"},
		{"a caller who is revoked", func(t *testing.T, f *fixture) {
			e := streaming(t, f)
			f.gone.Store(true)
			f.server.Reconsider()
			e.hear()
			_ = e.close()
		}, "revoked identity_revoked 1/71 to server 1/"},
		{"a token that expires", func(t *testing.T, f *fixture) {
			f.probe.admit = func(x *guard.Exchange) { x.Principal.Expires = time.Now().Add(50 * time.Millisecond) }
			e := streaming(t, f)
			e.hear()
			_ = e.close()
		}, "token_expired identity_expired 1/71 to server 1/"},
		{"a gateway that fails", func(t *testing.T, f *fixture) {
			e := f.asked(t, post(), callBody)
			e.say(requestBody(callBody)) // out of order
			_ = e.ended()
		}, "gateway_failed  1/71 to server 0/0 to client, status 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			tt.ends(t, f)
			for deadline := time.Now().Add(10 * time.Second); f.watch.left() == 0 && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			f.watch.mu.Lock()
			defer f.watch.mu.Unlock()
			if got := strings.Join(f.watch.ended, "; "); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}
