package xds

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
)

// fakeAuthz answers every check with the metadata that the test gives it; nil is an
// error.
type fakeAuthz struct {
	authv3.UnimplementedAuthorizationServer
	says atomic.Pointer[structpb.Struct]
}

func (f *fakeAuthz) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	says := f.says.Load()
	if says == nil {
		return nil, errors.New("no answer")
	}
	return &authv3.CheckResponse{
		Status:          &rpc.Status{},
		HttpResponse:    &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{HeadersToRemove: []string{"proxy-authorization"}}},
		DynamicMetadata: says,
	}, nil
}

// Envoy connects to what ext_authz names, for the workload that it names, and to
// nothing where it does not.
func TestNothingGoesOutWithoutAWholeAnswer(t *testing.T) {
	right, wrong := httptest.NewServer(echo("right")), httptest.NewServer(echo("wrong"))
	defer right.Close()
	defer wrong.Close()
	address := strings.TrimPrefix(right.URL, "http://")
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := new(fakeAuthz)
	g := grpc.NewServer()
	authv3.RegisterAuthorizationServer(g, f)
	go func() { _ = g.Serve(lis) }()
	t.Cleanup(g.Stop)
	s := DefaultSettings()
	s.Listeners[0].Name, s.Listeners[0].Port = "other", 0
	s.ExtProc = lis.Addr().String()
	s.Egress = []Egress{{Name: "mcp", Address: "127.0.0.1", Workloads: []Workway{{Name: "crm", MaxConnections: 10, ConnectTimeout: time.Minute, Idle: time.Minute}}}}
	p := startPlane(t, "127.0.0.1:0", Options{})
	push(t, p, s)
	proxy := adsEnvoy(t, p, "a").listener(t)
	c := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: proxy}), DisableKeepAlives: true}}
	ask := func() (int, string) {
		req, err := http.NewRequest(http.MethodGet, wrong.URL+"/x", nil) // leads to wrong, if anybody looks at it
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Envoy-Original-Dst-Host", strings.TrimPrefix(wrong.URL, "http://"))
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b := make([]byte, 1024)
		n, _ := resp.Body.Read(b)
		return resp.StatusCode, string(b[:n])
	}
	fields := func(kv ...string) *structpb.Struct {
		out := &structpb.Struct{Fields: map[string]*structpb.Value{}}
		for i := 0; i < len(kv); i += 2 {
			out.Fields[kv[i]] = structpb.NewStringValue(kv[i+1])
		}
		return out
	}
	wayout := func(workload, address string) *structpb.Struct {
		return envoymap.Wayout("0123456789abcdef0123456789abcdef", "", &guard.Outbound{Workload: workload, Address: netip.MustParseAddrPort(address)})
	}
	for _, tt := range []struct {
		name   string
		says   *structpb.Struct
		status int
		body   string
	}{
		{"the judged address is connected to", wayout("crm", address), 200, "right /x"},
		{"an error", nil, 503, "guard_error"},
		{"no metadata", fields(), 503, "guard_error"},
		{"no address", fields("workload", "crm"), 502, "upstream_unavailable"},
		{"an address that is none", fields("workload", "crm", "address", "localhost:80"), 502, "upstream_unavailable"},
		{"no workload", fields("address", address), 503, "guard_error"},
		{"a workload that Envoy does not know", wayout("other", address), 503, "guard_error"},
	} {
		f.says.Store(tt.says)
		if status, body := ask(); status != tt.status || !strings.Contains(body, tt.body) {
			t.Errorf("%s: %d %s", tt.name, status, body)
		}
	}
	f.says.Store(wayout("crm", address))
	g.Stop()
	if status, body := ask(); status != 503 || !strings.Contains(body, "guard_error") {
		t.Errorf("the service is down: %d %s", status, body)
	}
}
