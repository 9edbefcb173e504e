// Package noop is an ext_proc service that lets everything pass: the floor under
// any ext_proc plug-in with the same body modes. What it costs, Envoy and gRPC
// cost.
package noop

import (
	"fmt"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Service is the service. It expects the request's body whole (BUFFERED) and
// the response's in pieces (FULL_DUPLEX_STREAMED), which it has to hand back:
// Envoy forwards only what it is given.
type Service struct {
	extprocv3.UnimplementedExternalProcessorServer

	requestHeaders, requestBody, responseHeaders, responseTrailers *extprocv3.ProcessingResponse
}

// New returns the service.
func New() *Service {
	// Answers that say nothing are made once. Sending does not change them.
	pass := func() *extprocv3.HeadersResponse {
		return &extprocv3.HeadersResponse{Response: &extprocv3.CommonResponse{}}
	}
	return &Service{
		requestHeaders: &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: pass()}},
		requestBody: &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestBody{
			RequestBody: &extprocv3.BodyResponse{Response: &extprocv3.CommonResponse{}},
		}},
		responseHeaders:  &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: pass()}},
		responseTrailers: &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extprocv3.TrailersResponse{}}},
	}
}

// Register adds the service to g.
func (s *Service) Register(g *grpc.Server) { extprocv3.RegisterExternalProcessorServer(g, s) }

// Process serves one HTTP exchange.
func (s *Service) Process(g extprocv3.ExternalProcessor_ProcessServer) error {
	for {
		in, err := g.Recv()
		if err != nil {
			return err // Envoy has ended the exchange
		}
		out, err := s.answer(in)
		if err != nil {
			return err
		}
		if err := g.Send(out); err != nil {
			return fmt.Errorf("noop: send: %w", err)
		}
	}
}

func (s *Service) answer(in *extprocv3.ProcessingRequest) (*extprocv3.ProcessingResponse, error) {
	switch r := in.Request.(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		return s.requestHeaders, nil
	case *extprocv3.ProcessingRequest_RequestBody:
		return s.requestBody, nil
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		return s.responseHeaders, nil
	case *extprocv3.ProcessingRequest_ResponseBody:
		return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseBody{
			ResponseBody: &extprocv3.BodyResponse{Response: &extprocv3.CommonResponse{
				BodyMutation: &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_StreamedResponse{
					StreamedResponse: &extprocv3.StreamedBodyResponse{
						Body: r.ResponseBody.GetBody(), EndOfStream: r.ResponseBody.GetEndOfStream(),
					},
				}},
			}},
		}}, nil
	case *extprocv3.ProcessingRequest_ResponseTrailers:
		return s.responseTrailers, nil
	}
	return nil, status.Errorf(codes.Unimplemented, "noop: unexpected message %T", in.Request)
}
