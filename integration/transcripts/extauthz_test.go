package transcripts

import (
	"net"
	"net/http"
	"strconv"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// freePort returns a loopback address for the service that judges.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func dial(t *testing.T, address string) authv3.AuthorizationClient {
	t.Helper()
	c, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return authv3.NewAuthorizationClient(c)
}

// checkRequest has ext_authz judge the request of a transcript, as Envoy would
// ask. It must let go what reached the server, and refuse the rest in the same
// words.
func checkRequest(t *testing.T, service authv3.AuthorizationClient, tr *transcript, through outcome) {
	t.Helper()
	req, body := tr.request(t, "http://localhost")
	h := &corev3.HeaderMap{}
	add := func(name, value string) {
		h.Headers = append(h.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
	}
	add(":method", req.Method)
	add(":path", req.URL.Path)
	add(":authority", req.Host)
	for name, values := range req.Header {
		for _, v := range values {
			add(lower(name), v)
		}
	}
	if body != "" {
		add("content-length", strconv.Itoa(len(body)))
		add("x-envoy-auth-partial-body", "false")
	}
	resp, err := service.Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{HeaderMap: h, RawBody: []byte(body)},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if d := resp.GetDeniedResponse(); d != nil {
		got := make(http.Header)
		for _, f := range d.GetHeaders() {
			got.Set(f.GetHeader().GetKey(), f.GetHeader().GetValue())
		}
		if text := client(int(d.GetStatus().GetCode()), got, d.GetBody()); text != through.client || through.upstream != "" {
			t.Errorf("ext_authz refused with:\n%s\next_proc came to:\n%s", text, through.client)
		}
		return
	}
	if resp.GetStatus().GetCode() != 0 || through.upstream == "" {
		t.Errorf("ext_authz let go what ext_proc refused: %v", resp)
	}
}
