package transcripts

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/sallyport/sallyport/integration/testenv"
)

// checkRequest has ext_authz judge the request of a transcript, as Envoy would
// ask. It must let go what reached the server, and refuse the rest in the same
// words; where it does not fit the configuration, it must refuse everything.
func checkRequest(t *testing.T, service authv3.AuthorizationClient, tr *transcript, who *testenv.Issuer, through outcome, fit bool) {
	t.Helper()
	req, body := tr.request(t, "http://localhost", who)
	resp := check(t, service, req, body)
	d := resp.GetDeniedResponse()
	switch {
	case !fit:
		if d == nil || !strings.Contains(d.GetBody(), `"guard_error"`) {
			t.Errorf("ext_authz cannot serve this configuration, and says %v", resp)
		}
	case d == nil:
		if resp.GetStatus().GetCode() != 0 || through.upstream == "" {
			t.Errorf("ext_authz let go what ext_proc refused: %v", resp)
			return
		}
		if got := upstream(req.Method, sent(headers(req, body), resp.GetOkResponse()), body); got != through.upstream {
			t.Errorf("with ext_authz the server gets:\n%s\nwith ext_proc:\n%s", got, through.upstream)
		}
	default:
		got := make(http.Header)
		for _, f := range d.GetHeaders() {
			got.Set(f.GetHeader().GetKey(), f.GetHeader().GetValue())
		}
		if text := client(who, int(d.GetStatus().GetCode()), got, d.GetBody()); text != through.client || through.upstream != "" {
			t.Errorf("ext_authz refused with:\n%s\next_proc came to:\n%s", text, through.client)
		}
	}
}

// sent is the header block that Envoy sends on after ext_authz let it go.
func sent(block [][2]string, ok *authv3.OkHttpResponse) http.Header {
	h := make(http.Header)
	for _, f := range block {
		if !strings.HasPrefix(f[0], ":") {
			h.Add(f[0], f[1])
		}
	}
	for _, name := range ok.GetHeadersToRemove() {
		h.Del(name)
	}
	for _, o := range ok.GetHeaders() {
		h.Set(o.GetHeader().GetKey(), o.GetHeader().GetValue())
	}
	return h
}

// editsRequest reports whether a guard edited the client's message, which
// ext_authz cannot do and therefore refuses.
func editsRequest(judged []receipt) bool {
	return slices.ContainsFunc(judged, func(r receipt) bool { return r.Direction == "to_server" && r.Edited })
}

// checkDecisions compares what was written down of a request by the two
// services: the same, and once each.
func checkDecisions(t *testing.T, proc, authz []receipt, fit bool) {
	t.Helper()
	var want []receipt
	for _, r := range proc {
		if r.Direction == "to_server" {
			want = append(want, r)
		}
	}
	if !fit && len(authz) == len(want) {
		return
	}
	if got, want := decisions(authz), decisions(want); got != want {
		t.Errorf("ext_authz decided:\n%s\next_proc decided:\n%s", got, want)
	}
}

func check(t *testing.T, service authv3.AuthorizationClient, req *http.Request, body string) *authv3.CheckResponse {
	t.Helper()
	h := &corev3.HeaderMap{}
	for _, f := range headers(req, body) {
		h.Headers = append(h.Headers, &corev3.HeaderValue{Key: f[0], RawValue: []byte(f[1])})
	}
	if body != "" {
		h.Headers = append(h.Headers, &corev3.HeaderValue{Key: "x-envoy-auth-partial-body", RawValue: []byte("false")})
	}
	resp, err := service.Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{HeaderMap: h, RawBody: []byte(body)},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// headers is the header block that Envoy makes of a request.
func headers(req *http.Request, body string) [][2]string {
	out := [][2]string{{":method", req.Method}, {":path", req.URL.Path}, {":authority", req.Host}, {":scheme", "http"}}
	for name, values := range req.Header {
		for _, v := range values {
			out = append(out, [2]string{strings.ToLower(name), v})
		}
	}
	if body != "" || req.Method == http.MethodPost {
		out = append(out, [2]string{"content-length", strconv.Itoa(len(body))})
	}
	return out
}

// mark leaves a receipt that is known by its exchange, which is returned:
// whatever was decided before it has its receipt before it.
func mark(t *testing.T, service authv3.AuthorizationClient) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://localhost/mcp/there-is-no-such-server", nil)
	if err != nil {
		t.Fatal(err)
	}
	id := exchange.FindStringSubmatch(check(t, service, req, "{}").GetDeniedResponse().GetBody())
	if id == nil {
		t.Fatal("a request to nobody was not refused")
	}
	return id[1]
}
