package extproc

import (
	"context"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/envelope"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/mcp"
)

func headerMap(pairs ...string) *corev3.HeaderMap {
	m := &corev3.HeaderMap{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m.Headers = append(m.Headers, &corev3.HeaderValue{Key: pairs[i], RawValue: []byte(pairs[i+1])})
	}
	return m
}

func snapshot(t testing.TB) *gate.Snapshot {
	t.Helper()
	members, err := guard.Assemble([]guard.Spec{envelope.Spec()}, func(string) guard.Setting { return guard.Setting{Decode: func(any) error { return nil }} })
	if err != nil {
		t.Fatal(err)
	}
	decoder := mcp.NewDecoder(mcp.Config{})
	chain, err := guard.New(guard.Host{Now: time.Now, Decoder: decoder, Await: gate.Await}, members...)
	if err != nil {
		t.Fatal(err)
	}
	server := registry.Server{Name: "crm", Versions: []registry.Version{{Name: "default"}}}
	return &gate.Snapshot{Chain: chain, Decoder: decoder, View: registry.NewView([]registry.Server{server}),
		Limits: gate.Limits{Body: 1 << 20, Response: 1 << 20, Event: 1 << 20, ResponseTime: time.Second}}
}

// A server that closes a call's stream before its first event, so that the
// client polls, must not look to the client as if it were down.
func TestAnEventStreamWithoutEventsEndsAsOneThatEndsLater(t *testing.T) {
	const call = `{"jsonrpc":"2.0","id":"c-1","method":"tools/call","params":{"name":"slow"}}`
	for _, c := range []struct {
		name, verb string
		immediate  bool
	}{
		{"the answer to a call is an error event with its id", "POST", true},
		{"a GET gets the empty stream as it is", "GET", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var last *extprocv3.ProcessingResponse
			m := newMachine(snapshot(t), "", func(r *extprocv3.ProcessingResponse) error { last = r; return nil })
			step := func(r *extprocv3.ProcessingRequest) {
				t.Helper()
				if err := m.step(context.Background(), r); err != nil {
					t.Fatal(err)
				}
			}
			step(&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestHeaders{RequestHeaders: &extprocv3.HttpHeaders{
				Headers: headerMap(":method", c.verb, ":path", "/mcp/crm", ":authority", "localhost", "content-type", "application/json",
					"accept", "application/json, text/event-stream"),
				EndOfStream: c.verb == "GET",
			}}})
			if c.verb == "POST" {
				step(&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestBody{
					RequestBody: &extprocv3.HttpBody{Body: []byte(call), EndOfStream: true}}})
			}
			step(&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extprocv3.HttpHeaders{
				Headers: headerMap(":status", "200", "content-type", "text/event-stream"), EndOfStream: true}}})
			said := last.GetImmediateResponse()
			if !c.immediate {
				if last.GetResponseHeaders() == nil {
					t.Errorf("got %v, want the headers to go on", last)
				}
				return
			}
			if said.GetStatus().GetCode() != 200 || !strings.HasPrefix(string(said.GetBody()), "data: {") || !strings.Contains(string(said.GetBody()), `"id":"c-1"`) ||
				!strings.Contains(string(said.GetBody()), string(guard.UpstreamBadReply)) {
				t.Errorf("got %v, want an error event", last)
			}
		})
	}
}
