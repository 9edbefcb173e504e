package xds

import (
	"encoding/json"
	"net"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sallyport/sallyport/internal/envoymap"
)

// behaviour is what the fake ext_proc service does with the next requests.
type behaviour int32

const (
	passAll         behaviour = iota
	refuseAll                 // with an immediate response to the request's body
	refuseBare                // the same without details
	blockBody                 // never answers the request's body
	failBody                  // answers the request's body with a gRPC error
	blockHeaders              // never answers the request's headers
	failOnResponse            // answers the response's headers with a gRPC error
	forbiddenHeader           // asks for a mutation that Envoy's rules forbid
)

// fakeProc speaks ext_proc as our service does: it reads the id of a request
// into metadata, and takes the header "pin" as the version to route to.
type fakeProc struct {
	extprocv3.UnimplementedExternalProcessorServer
	does    atomic.Int32
	delay   atomic.Int64 // before the answer to a request's body
	address string
	stop    func()
}

func startProc(t testing.TB) *fakeProc {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeProc{address: lis.Addr().String()}
	g := grpc.NewServer(grpc.MaxRecvMsgSize(8 << 20))
	extprocv3.RegisterExternalProcessorServer(g, f)
	go func() { _ = g.Serve(lis) }()
	f.stop = g.Stop
	t.Cleanup(g.Stop)
	return f
}

func (f *fakeProc) Process(s extprocv3.ExternalProcessor_ProcessServer) error {
	for {
		req, err := s.Recv()
		if err != nil {
			return err
		}
		resp, err := f.answer(s, req)
		if err != nil {
			return err
		}
		if err := s.Send(resp); err != nil {
			return err
		}
	}
}

func (f *fakeProc) answer(s extprocv3.ExternalProcessor_ProcessServer, req *extprocv3.ProcessingRequest) (*extprocv3.ProcessingResponse, error) {
	does := behaviour(f.does.Load())
	switch r := req.GetRequest().(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		if does == blockHeaders {
			<-s.Context().Done()
			return nil, s.Context().Err()
		}
		common := &extprocv3.CommonResponse{HeaderMutation: &extprocv3.HeaderMutation{RemoveHeaders: []string{"accept-encoding", "authorization", "cookie", "pin"}}}
		if does == forbiddenHeader {
			common.HeaderMutation.SetHeaders = []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "host", RawValue: []byte("evil")}}}
		}
		for _, h := range r.RequestHeaders.GetHeaders().GetHeaders() {
			if h.GetKey() == "pin" {
				common.HeaderMutation.SetHeaders = append(common.HeaderMutation.SetHeaders, &corev3.HeaderValueOption{
					Header: &corev3.HeaderValue{Key: versionHeader, RawValue: h.GetRawValue()},
				})
				common.ClearRouteCache = true
			}
		}
		return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{Response: common}}}, nil
	case *extprocv3.ProcessingRequest_RequestBody:
		time.Sleep(time.Duration(f.delay.Load()))
		switch does {
		case blockBody:
			<-s.Context().Done()
			return nil, s.Context().Err()
		case failBody:
			return nil, status.Error(codes.Internal, "broken")
		case refuseAll, refuseBare:
			im := &extprocv3.ImmediateResponse{
				Status: &typev3.HttpStatus{Code: 404},
				Body:   []byte(`{"our":"refusal"}`),
				Headers: &extprocv3.HeaderMutation{SetHeaders: []*corev3.HeaderValueOption{{
					Header: &corev3.HeaderValue{Key: "content-type", RawValue: []byte("application/json")},
				}}},
				Details: "sallyport_tool_not_allowed",
			}
			if does == refuseBare {
				im.Details = ""
			}
			return &extprocv3.ProcessingResponse{
				Response:        &extprocv3.ProcessingResponse_ImmediateResponse{ImmediateResponse: im},
				DynamicMetadata: idMetadata(r.RequestBody.GetBody()),
			}, nil
		}
		common, metadata := &extprocv3.CommonResponse{}, idMetadata(r.RequestBody.GetBody())
		if id := metadata.GetFields()[metadataNamespace].GetStructValue().GetFields()[metadataID].GetStringValue(); envoymap.WishesOf(s.Context()).Lean && envoymap.HeaderID([]byte(id)) {
			metadata = nil
			common.HeaderMutation = &extprocv3.HeaderMutation{SetHeaders: []*corev3.HeaderValueOption{{
				Header: &corev3.HeaderValue{Key: envoymap.IDHeader, RawValue: []byte(id)},
			}}}
		}
		return &extprocv3.ProcessingResponse{
			Response:        &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{Response: common}},
			DynamicMetadata: metadata,
		}, nil
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		if does == failOnResponse {
			return nil, status.Error(codes.Internal, "broken")
		}
		return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extprocv3.HeadersResponse{Response: &extprocv3.CommonResponse{}}}}, nil
	case *extprocv3.ProcessingRequest_ResponseBody:
		return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseBody{ResponseBody: &extprocv3.BodyResponse{Response: &extprocv3.CommonResponse{
			BodyMutation: &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_StreamedResponse{StreamedResponse: &extprocv3.StreamedBodyResponse{
				Body: r.ResponseBody.GetBody(), EndOfStream: r.ResponseBody.GetEndOfStream(),
			}}},
		}}}}, nil
	case *extprocv3.ProcessingRequest_ResponseTrailers:
		return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extprocv3.TrailersResponse{}}}, nil
	}
	return nil, status.Errorf(codes.Internal, "unexpected %T", req.GetRequest())
}

func idMetadata(body []byte) *structpb.Struct {
	var m struct {
		ID json.RawMessage `json:"id"`
	}
	if json.Unmarshal(body, &m) != nil || m.ID == nil {
		return nil
	}
	return &structpb.Struct{Fields: map[string]*structpb.Value{metadataNamespace: structpb.NewStructValue(&structpb.Struct{
		Fields: map[string]*structpb.Value{metadataID: structpb.NewStringValue(string(m.ID)), "method": structpb.NewStringValue("tools/call")},
	})}}
}
