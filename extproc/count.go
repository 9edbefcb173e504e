package extproc

import (
	"context"
	"errors"
	"io"
	"math"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/internal/envoymap"
)

// errTooLarge ends a request or tunnel that grew beyond its workload's limit. Envoy
// answers 413 if nothing was answered yet, and resets it otherwise. Its code is what
// the local replies of an egress listener know it by.
var errTooLarge = status.Error(codes.ResourceExhausted, "more bytes than this workload may send or receive at a time")

// countBytes lets the chunks of a workload's request or tunnel pass until there are
// too many. Envoy holds each one back until it is answered, so that none beyond the
// limit goes on.
func countBytes(ctx context.Context, g extprocv3.ExternalProcessor_ProcessServer) error {
	sent, received := envoymap.EgressLimits(ctx)
	for {
		req, err := g.Recv()
		if errors.Is(err, io.EOF) {
			return nil // Envoy is done with the exchange
		}
		if err != nil {
			return err
		}
		resp := &extprocv3.ProcessingResponse{}
		switch r := req.GetRequest().(type) {
		case *extprocv3.ProcessingRequest_RequestBody:
			if !take(&sent, len(r.RequestBody.GetBody())) {
				return errTooLarge
			}
			resp.Response = &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{}}
		case *extprocv3.ProcessingRequest_ResponseBody:
			if !take(&received, len(r.ResponseBody.GetBody())) {
				return errTooLarge
			}
			resp.Response = &extprocv3.ProcessingResponse_ResponseBody{ResponseBody: &extprocv3.BodyResponse{}}
		default:
			return status.Errorf(codes.FailedPrecondition, "an egress listener sends chunks of bodies alone, not %T", r)
		}
		if err := g.Send(resp); err != nil {
			return err
		}
	}
}

// take reports whether n bytes fit in what is left, and takes them off.
func take(left *uint64, n int) bool {
	if *left == math.MaxUint64 {
		return true
	}
	if uint64(n) > *left {
		return false
	}
	*left -= uint64(n)
	return true
}
