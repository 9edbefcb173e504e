package transcripts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/sallyport/sallyport/integration/testenv"
)

// proxy stands in for Envoy: it carries one HTTP exchange through the ext_proc
// service, in the documented processing mode, to the real server.
type proxy struct {
	service extprocv3.ExternalProcessorClient
	server  *server
	who     *testenv.Issuer
}

// piece is how much of a reply the service gets at a time: little, so that
// nothing depends on where chunks end.
const piece = 11

func (p *proxy) replay(t *testing.T, tr *transcript) outcome {
	t.Helper()
	p.server.expect(tr)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := p.service.Process(ctx)
	if err != nil {
		t.Fatal(err)
	}
	x := &passage{t: t, stream: stream}
	req, body := tr.request(t, "http://127.0.0.1", p.who)
	if _, given := req.Header["Accept-Encoding"]; !given {
		req.Header.Set("Accept-Encoding", "gzip") // as Go's own client does
	}
	if up := x.request(ctx, req, body, p.server.url); up != nil {
		x.response(up)
	}
	x.end()
	return outcome{client: client(p.who, x.status, x.header, x.body.String()), upstream: p.server.got()}
}

// passage is one exchange on its way. After a failure of the test's own it is
// of no use.
type passage struct {
	t      *testing.T
	stream extprocv3.ExternalProcessor_ProcessClient

	// What the client gets.
	status int
	header http.Header
	body   bytes.Buffer
}

func (x *passage) say(r *extprocv3.ProcessingRequest) {
	if err := x.stream.Send(r); err != nil && !errors.Is(err, io.EOF) { // receiving tells more
		x.t.Error(err)
	}
}

func (x *passage) hear() *extprocv3.ProcessingResponse {
	x.t.Helper()
	r, err := x.stream.Recv()
	if err != nil {
		x.t.Fatalf("the service ended the stream: %v", err)
	}
	return r
}

// request has the request judged and returns it as it goes upstream, or nil if
// it was answered.
func (x *passage) request(ctx context.Context, req *http.Request, body, url string) *http.Request {
	x.t.Helper()
	block := headers(req, body)
	x.say(&extprocv3.ProcessingRequest{
		ProtocolConfig: &extprocv3.ProtocolConfiguration{
			RequestBodyMode: filterv3.ProcessingMode_BUFFERED, ResponseBodyMode: filterv3.ProcessingMode_FULL_DUPLEX_STREAMED,
		},
		Request: &extprocv3.ProcessingRequest_RequestHeaders{RequestHeaders: &extprocv3.HttpHeaders{Headers: wire(block), EndOfStream: body == ""}},
	})
	r := x.hear()
	if x.answered(r) {
		return nil
	}
	block = mutated(block, r.GetRequestHeaders().GetResponse().GetHeaderMutation())
	if body != "" {
		x.say(&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestBody{RequestBody: &extprocv3.HttpBody{Body: []byte(body), EndOfStream: true}}})
		r = x.hear()
		if x.answered(r) {
			return nil
		}
		common := r.GetRequestBody().GetResponse()
		block = mutated(block, common.GetHeaderMutation())
		if change := common.GetBodyMutation(); change != nil {
			body = string(change.GetBody())
		}
	}
	up, err := http.NewRequestWithContext(ctx, req.Method, url, strings.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	for _, f := range block {
		switch {
		case f[0] == "content-length" && f[1] != strconv.Itoa(len(body)):
			x.t.Fatalf("the body has %d bytes, and its length is said to be %s: Envoy answers 500", len(body), f[1])
		case !strings.HasPrefix(f[0], ":"):
			up.Header.Add(f[0], f[1])
		}
	}
	return up
}

// response carries the server's reply through the service.
func (x *passage) response(up *http.Request) {
	x.t.Helper()
	ctx, cancel := context.WithCancel(up.Context())
	resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(up.WithContext(ctx))
	if err != nil {
		cancel()
		x.t.Fatal(err)
	}
	defer resp.Body.Close()
	block := [][2]string{{":status", strconv.Itoa(resp.StatusCode)}}
	for name, values := range resp.Header {
		for _, v := range values {
			block = append(block, [2]string{strings.ToLower(name), v})
		}
	}
	empty := resp.ContentLength == 0 || resp.StatusCode == http.StatusNoContent
	x.say(&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extprocv3.HttpHeaders{Headers: wire(block), EndOfStream: empty}}})
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for end := empty; !end; {
			b := make([]byte, piece)
			n, err := resp.Body.Read(b)
			end = errors.Is(err, io.EOF)
			if err != nil && !end {
				return // nobody waits for the rest
			}
			x.say(&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: &extprocv3.HttpBody{Body: b[:n], EndOfStream: end}}})
		}
	}()
	defer func() { cancel(); <-sent }()
	for {
		r := x.hear()
		if x.answered(r) {
			return
		}
		if h := r.GetResponseHeaders(); h != nil {
			x.released(mutated(block, h.GetResponse().GetHeaderMutation()))
			if empty {
				return
			}
			continue
		}
		chunk := r.GetResponseBody().GetResponse().GetBodyMutation().GetStreamedResponse()
		if chunk == nil || x.header == nil {
			x.t.Fatalf("an answer out of place: %v", r)
		}
		x.body.Write(chunk.GetBody())
		if chunk.GetEndOfStream() {
			return
		}
	}
}

// answered notes an immediate response.
func (x *passage) answered(r *extprocv3.ProcessingResponse) bool {
	im := r.GetImmediateResponse()
	if im == nil {
		return false
	}
	if x.header != nil {
		x.t.Fatal("a refusal after the headers left: Envoy resets the stream")
	}
	x.released(mutated([][2]string{{":status", strconv.Itoa(int(im.GetStatus().GetCode()))}}, im.GetHeaders()))
	x.body.Write(im.GetBody())
	return true
}

func (x *passage) released(block [][2]string) {
	x.header = make(http.Header)
	for _, f := range block {
		if f[0] == ":status" {
			x.status, _ = strconv.Atoi(f[1])
			continue
		}
		x.header.Add(f[0], f[1])
	}
}

// end closes the stream as Envoy does. The service ends it with OK then, and
// says nothing more.
func (x *passage) end() {
	x.t.Helper()
	if err := x.stream.CloseSend(); err != nil {
		x.t.Error(err)
	}
	if r, err := x.stream.Recv(); !errors.Is(err, io.EOF) {
		x.t.Errorf("after the end of the exchange: %v, %v", r, err)
	}
}

func wire(block [][2]string) *corev3.HeaderMap {
	m := &corev3.HeaderMap{}
	for _, f := range block {
		m.Headers = append(m.Headers, &corev3.HeaderValue{Key: f[0], RawValue: []byte(f[1])})
	}
	return m
}

// mutated carries out what the service wants changed.
func mutated(block [][2]string, m *extprocv3.HeaderMutation) [][2]string {
	block = slices.DeleteFunc(slices.Clone(block), func(f [2]string) bool { return slices.Contains(m.GetRemoveHeaders(), f[0]) })
	for _, o := range m.GetSetHeaders() {
		name := o.GetHeader().GetKey()
		block = slices.DeleteFunc(block, func(f [2]string) bool { return f[0] == name })
		block = append(block, [2]string{name, string(o.GetHeader().GetRawValue())})
	}
	return block
}
