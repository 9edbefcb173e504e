package envoy

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/xds"
)

const refusal = `{"jsonrpc":"2.0","id":7,"error":{"code":-31403,"message":"no"}}`

// judge speaks ext_proc and ext_authz as Sallyport does, refuses bodies that
// contain "forbidden", and requires the server's name in the initial metadata.
type judge struct {
	extprocv3.UnimplementedExternalProcessorServer
	authv3.UnimplementedAuthorizationServer
	want string
}

func startJudge(t *testing.T, server string) (port int, stop func()) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.MaxRecvMsgSize(8 << 20))
	j := &judge{want: server}
	extprocv3.RegisterExternalProcessorServer(g, j)
	authv3.RegisterAuthorizationServer(g, j)
	go func() { _ = g.Serve(lis) }()
	t.Cleanup(g.Stop)
	return lis.Addr().(*net.TCPAddr).Port, g.Stop
}

func (j *judge) named(ctx context.Context) bool {
	md, _ := metadata.FromIncomingContext(ctx)
	v := md.Get("x-sallyport-server")
	return len(v) == 1 && v[0] == j.want
}

// contentType is for ext_authz, which ignores raw values; ext_proc wants them.
func contentType() []*corev3.HeaderValueOption {
	return []*corev3.HeaderValueOption{{
		Header:       &corev3.HeaderValue{Key: "content-type", Value: "application/json"},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}}
}

func (j *judge) Process(s extprocv3.ExternalProcessor_ProcessServer) error {
	for {
		req, err := s.Recv()
		if err != nil {
			return err
		}
		resp := &extprocv3.ProcessingResponse{}
		switch r := req.GetRequest().(type) {
		case *extprocv3.ProcessingRequest_RequestHeaders:
			resp.Response = &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{Response: &extprocv3.CommonResponse{
				HeaderMutation: &extprocv3.HeaderMutation{RemoveHeaders: []string{"authorization"}},
			}}}
		case *extprocv3.ProcessingRequest_RequestBody:
			if !j.named(s.Context()) || strings.Contains(string(r.RequestBody.GetBody()), "forbidden") {
				resp.Response = &extprocv3.ProcessingResponse_ImmediateResponse{ImmediateResponse: &extprocv3.ImmediateResponse{
					Status: &typev3.HttpStatus{Code: typev3.StatusCode_Forbidden}, Body: []byte(refusal), Details: "sallyport_tool_not_allowed",
					Headers: &extprocv3.HeaderMutation{SetHeaders: []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "content-type", RawValue: []byte("application/json")}}}},
				}}
				break
			}
			var m struct {
				ID json.RawMessage `json:"id"`
			}
			if json.Unmarshal(r.RequestBody.GetBody(), &m) == nil && m.ID != nil {
				resp.DynamicMetadata = &structpb.Struct{Fields: map[string]*structpb.Value{"sallyport": structpb.NewStructValue(&structpb.Struct{
					Fields: map[string]*structpb.Value{"id": structpb.NewStringValue(string(m.ID))},
				})}}
			}
			resp.Response = &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{Response: &extprocv3.CommonResponse{}}}
		case *extprocv3.ProcessingRequest_ResponseHeaders:
			resp.Response = &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extprocv3.HeadersResponse{Response: &extprocv3.CommonResponse{}}}
		case *extprocv3.ProcessingRequest_ResponseBody:
			resp.Response = &extprocv3.ProcessingResponse_ResponseBody{ResponseBody: &extprocv3.BodyResponse{Response: &extprocv3.CommonResponse{
				BodyMutation: &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_StreamedResponse{StreamedResponse: &extprocv3.StreamedBodyResponse{
					Body: r.ResponseBody.GetBody(), EndOfStream: r.ResponseBody.GetEndOfStream(),
				}}},
			}}}
		}
		if err := s.Send(resp); err != nil {
			return err
		}
	}
}

func (j *judge) Check(ctx context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	body := string(r.GetAttributes().GetRequest().GetHttp().GetRawBody())
	if j.named(ctx) && body != "" && !strings.Contains(body, "forbidden") {
		return &authv3.CheckResponse{Status: &rpcstatus.Status{}}, nil
	}
	return &authv3.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode_Forbidden}, Body: refusal, Headers: contentType(),
		}},
	}, nil
}

const call = `{"jsonrpc":"2.0","id":7,"method":"tools/call"}`

func TestStaticFilesJudgeAndFailClosed(t *testing.T) {
	for _, file := range []string{"static-extproc.yaml", "static-extauthz.yaml"} {
		t.Run(file, func(t *testing.T) {
			service, stop := startJudge(t, "everything")
			url := start(t, file, map[int]int{8080: 0, 9004: 0, 9001: service, 39102: upstream(t)})
			code, body, _ := post(t, url+"/mcp", call, "authorization", "Bearer secret")
			if code != 200 || !strings.HasPrefix(body, "/ "+call+` auth="" host="127.0.0.1:`) {
				t.Errorf("an allowed call: %d %q", code, body)
			}
			code, body, h := post(t, url+"/mcp", "forbidden")
			isError(t, code, body, h, 403, refusal)
			code, body, h = post(t, url+"/nowhere", call)
			isError(t, code, body, h, 404, `{"jsonrpc":"2.0",`)
			code, body, h = post(t, url+"/mcp", strings.Repeat("x", 5<<20))
			isError(t, code, body, h, 413, `{"jsonrpc":"2.0","error"`)
			if code, body, _ = post(t, url+"/mcp", strings.Repeat("x", 2<<20)); code != 200 {
				t.Errorf("2 MiB: %d %.80q", code, body)
			}
			stop()
			code, body, h = post(t, url+"/mcp", call)
			isError(t, code, body, h, 503, `{"jsonrpc":"2.0","error"`)
		})
	}
}

func TestErrorsOfEnvoyCarryTheIDOnceExtProcHasReadIt(t *testing.T) {
	service, _ := startJudge(t, "everything")
	url := start(t, "static-extproc.yaml", map[int]int{8080: 0, 9004: 0, 9001: service, 39102: 1})
	code, body, h := post(t, url+"/mcp", call)
	isError(t, code, body, h, 503, `{"jsonrpc":"2.0","id":7,"error":{"code":-31502`)
}

// The name of the server can be set per route, so that one filter serves many.
func TestTheServerCanBeNamedPerRoute(t *testing.T) {
	tests := []struct{ file, override string }{
		{"static-extproc.yaml", `
                typed_per_filter_config:
                  envoy.filters.http.ext_proc:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute
                    overrides: {grpc_initial_metadata: [{key: x-sallyport-server, value: other}]}
                match: {path: /mcp}`},
		{"static-extauthz.yaml", `
                typed_per_filter_config:
                  envoy.filters.http.ext_authz:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                    check_settings:
                      grpc_service:
                        envoy_grpc: {cluster_name: sallyport_ext_authz}
                        timeout: 2s
                        initial_metadata: [{key: x-sallyport-server, value: other}]
                match: {path: /mcp}`},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			service, _ := startJudge(t, "other")
			url := start(t, tt.file, map[int]int{8080: 0, 9004: 0, 9001: service, 39102: upstream(t)},
				"\n                match: {path: /mcp}", tt.override)
			if code, body, _ := post(t, url+"/mcp", call); code != 200 {
				t.Errorf("got %d %q", code, body)
			}
		})
	}
}

func TestADSBootstrapServesTheRegistry(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := xds.New(slog.New(slog.DiscardHandler), xds.Options{})
	g := grpc.NewServer()
	s.Register(g)
	go func() { _ = g.Serve(lis) }()
	t.Cleanup(g.Stop)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(t.Context()) }()
	t.Cleanup(func() { <-done })
	settings := xds.DefaultSettings()
	settings.Listeners[0].Port = 0
	settings.NoExtProc = true
	view := registry.NewView([]registry.Server{{Name: "everything", Versions: []registry.Version{{
		Name: "default", Scheme: "http", Path: "/", Endpoints: []registry.Endpoint{{Host: "127.0.0.1", Port: uint16(upstream(t))}},
	}}}})
	r, err := xds.Build(view, settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Push(r); err != nil {
		t.Fatal(err)
	}
	url := start(t, "ads-bootstrap.yaml", map[int]int{9004: 0, 9002: lis.Addr().(*net.TCPAddr).Port})
	testenv.Eventually(t, time.Minute, "readiness", s.Ready)
	if code, body, _ := post(t, url+"/mcp/everything", call); code != 200 || !strings.HasPrefix(body, "/ "+call) {
		t.Errorf("got %d %q", code, body)
	}
}
