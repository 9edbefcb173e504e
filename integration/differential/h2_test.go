package differential

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sallyport/sallyport/integration/testenv"
)

// frame is one frame of an HTTP/2 request: headers, or data where there are none.
type frame struct {
	headers []string // name, value, ...
	data    string
	end     bool
	after   time.Duration
}

// send writes a request frame by frame, as no client library would, and returns what
// came back.
func send(t testing.TB, host string, frames []frame) (status, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	var out, block, said bytes.Buffer
	out.WriteString(http2.ClientPreface)
	f, enc := http2.NewFramer(&out, conn), hpack.NewEncoder(&block)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = f.WriteSettings()
	for _, one := range frames {
		if one.after > 0 {
			_, _ = conn.Write(out.Bytes())
			out.Reset()
			time.Sleep(one.after)
		}
		if one.headers == nil {
			_ = f.WriteData(1, one.end, []byte(one.data))
			continue
		}
		block.Reset()
		for i := 0; i < len(one.headers); i += 2 {
			_ = enc.WriteField(hpack.HeaderField{Name: one.headers[i], Value: one.headers[i+1]})
		}
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: one.end, EndHeaders: true})
	}
	_, _ = conn.Write(out.Bytes())
	for {
		got, err := f.ReadFrame()
		if err != nil {
			return "", err.Error()
		}
		end := false
		switch got := got.(type) {
		case *http2.MetaHeadersFrame:
			status, end = got.PseudoValue("status"), got.StreamEnded()
		case *http2.DataFrame:
			said.Write(got.Data())
			end = got.StreamEnded()
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return "reset", got.Header().String()
		}
		if end {
			return status, said.String()
		}
	}
}

// A request of HTTP/2 need not have a body to have an end: trailers end it too. What
// Envoy does not show to ext_proc it would let go, with whatever the server answers.
func TestNoRequestOfHTTP2GoesRoundTheGuards(t *testing.T) {
	var reached atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"UNJUDGED"}]}}`))
	}))
	defer s.Close()
	u, err := url.Parse(testenv.Start(t, "  - {name: crm, url: \""+s.URL+"\"}\n", "guards: {envelope: {denied_methods: [tools/call]}}\n").MCP)
	if err != nil {
		t.Fatal(err)
	}
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe"}}`
	head := func(verb string, more ...string) frame {
		return frame{headers: append([]string{":method", verb, ":scheme", "http", ":authority", "localhost", ":path", "/mcp/crm", "accept", "application/json, text/event-stream"}, more...)}
	}
	media := []string{"content-type", "application/json"}
	trailers := frame{headers: []string{"x-a", "b"}, end: true}
	later := trailers
	later.after = 100 * time.Millisecond
	for _, c := range []struct {
		name   string
		frames []frame
		want   string
	}{
		{"a call", []frame{head("POST", media...), {data: call, end: true}}, "200"},
		{"trailers in place of a body", []frame{head("POST", media...), trailers}, "400"},
		{"trailers in place of a body, later", []frame{head("POST", media...), later}, "400"},
		{"an empty body", []frame{head("POST", media...), {end: true}}, "400"},
		{"trailers after an empty body", []frame{head("POST", media...), {}, trailers}, "400"},
		{"trailers after a body", []frame{head("POST", media...), {data: call}, trailers}, "400"},
		{"trailers after a body, later", []frame{head("POST", media...), {data: call}, later}, "400"},
		{"trailers to a request that is refused for its headers", []frame{head("POST", "content-type", "text/plain", "content-length", "0", "authorization", "Bearer x"), trailers}, "415"},
		{"trailers to no server", []frame{{headers: []string{":method", "POST", ":scheme", "http", ":authority", "localhost", ":path", "/mcp/other", "content-length", "0"}}, trailers}, "404"},
		{"a GET with trailers", []frame{head("GET"), trailers}, "400"},
		{"a DELETE with trailers", []frame{head("DELETE"), later}, "400"},
		{"a length that the body does not have", []frame{head("POST", append(media, "content-length", "5")...), {data: call, end: true}}, "reset"},
		{"a tunnel", []frame{head("CONNECT", append(media, ":protocol", "websocket")...), {data: call, end: true}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body := send(t, u.Host, c.frames)
			if status != c.want || reached.Load() > 0 || strings.Contains(body, "UNJUDGED") {
				t.Errorf("%s %s; %d requests reached the server", status, body, reached.Load())
			}
			reached.Store(0)
		})
	}
}
