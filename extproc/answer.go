package extproc

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
	"github.com/sallyport/sallyport/internal/gate"
)

// maxChunk is the most that one streamed answer carries; Envoy's documentation
// asks for at most 64 KiB.
const maxChunk = 62_000

// change is what happens to a header block.
type change struct {
	remove []string
	set    []gate.Header
}

func (c *change) add(name, value string) {
	c.set = append(c.set, gate.Header{Name: name, Value: value})
}

// answers builds our messages to Envoy. An exchange sends them one at a time,
// and gRPC encodes each before Send returns, so one of each kind is enough; a
// message is valid until the next one is built.
type answers struct {
	resp     extprocv3.ProcessingResponse
	common   extprocv3.CommonResponse
	mutation extprocv3.HeaderMutation
	headers  extprocv3.HeadersResponse
	body     extprocv3.BodyResponse
	change   extprocv3.BodyMutation
	streamed extprocv3.StreamedBodyResponse

	requestHeadersCase  extprocv3.ProcessingResponse_RequestHeaders
	requestBodyCase     extprocv3.ProcessingResponse_RequestBody
	responseHeadersCase extprocv3.ProcessingResponse_ResponseHeaders
	responseBodyCase    extprocv3.ProcessingResponse_ResponseBody
	streamedCase        extprocv3.BodyMutation_StreamedResponse
}

// begin clears what the last message left.
func (a *answers) begin(c change) {
	a.resp.DynamicMetadata = nil
	a.common.BodyMutation, a.common.HeaderMutation, a.common.ClearRouteCache = nil, nil, false
	if len(c.remove) > 0 || len(c.set) > 0 {
		a.mutation.RemoveHeaders, a.mutation.SetHeaders = c.remove, options(c.set)
		a.common.HeaderMutation = &a.mutation
	}
}

// requestHeaders lets a request's headers go on; reroute has Envoy look for the
// route again.
func (a *answers) requestHeaders(c change, reroute bool) *extprocv3.ProcessingResponse {
	a.begin(c)
	a.common.ClearRouteCache = reroute
	a.headers.Response = &a.common
	a.requestHeadersCase.RequestHeaders = &a.headers
	a.resp.Response = &a.requestHeadersCase
	return &a.resp
}

// requestBody lets a request go upstream, with edited as its body unless nil.
func (a *answers) requestBody(c change, edited []byte, metadata *structpb.Struct) *extprocv3.ProcessingResponse {
	a.begin(c)
	if edited != nil {
		a.common.BodyMutation = &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_Body{Body: edited}}
	}
	a.body.Response = &a.common
	a.requestBodyCase.RequestBody = &a.body
	a.resp.Response = &a.requestBodyCase
	a.resp.DynamicMetadata = metadata
	return &a.resp
}

// responseHeaders lets a response's headers go to the client.
func (a *answers) responseHeaders(c change) *extprocv3.ProcessingResponse {
	a.begin(c)
	a.headers.Response = &a.common
	a.responseHeadersCase.ResponseHeaders = &a.headers
	a.resp.Response = &a.responseHeadersCase
	return &a.resp
}

// chunk releases bytes of a response body. In this body mode any other kind of
// mutation is a protocol error.
func (a *answers) chunk(b []byte, end bool) *extprocv3.ProcessingResponse {
	a.begin(change{})
	a.streamed.Body, a.streamed.EndOfStream = b, end
	a.streamedCase.StreamedResponse = &a.streamed
	a.change.Mutation = &a.streamedCase
	a.common.BodyMutation = &a.change
	a.body.Response = &a.common
	a.responseBodyCase.ResponseBody = &a.body
	a.resp.Response = &a.responseBodyCase
	return &a.resp
}

// trailers lets trailers go on without those that remove names.
func trailers(remove []string) *extprocv3.ProcessingResponse {
	r := &extprocv3.TrailersResponse{}
	if len(remove) > 0 {
		r.HeaderMutation = &extprocv3.HeaderMutation{RemoveHeaders: remove}
	}
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseTrailers{ResponseTrailers: r}}
}

// immediate answers in the place of whatever was to come.
func immediate(a gate.Answer, reason guard.Reason, metadata *structpb.Struct) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ImmediateResponse{ImmediateResponse: &extprocv3.ImmediateResponse{
			Status:  &typev3.HttpStatus{Code: typev3.StatusCode(a.Status)},
			Headers: &extprocv3.HeaderMutation{SetHeaders: options(a.Headers)},
			Body:    a.Body,
			Details: envoymap.DetailsPrefix + string(reason),
		}},
		DynamicMetadata: metadata,
	}
}

// document answers with a public JSON document, which pages of any origin may
// read.
func document(b []byte) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ImmediateResponse{ImmediateResponse: &extprocv3.ImmediateResponse{
		Status: &typev3.HttpStatus{Code: typev3.StatusCode_OK},
		Headers: &extprocv3.HeaderMutation{SetHeaders: options([]gate.Header{
			{Name: "content-type", Value: mediaJSON}, {Name: "cache-control", Value: "max-age=300"}, {Name: "access-control-allow-origin", Value: "*"},
		})},
		Body: b, Details: envoymap.DetailsPrefix + "metadata",
	}}}
}

func options(set []gate.Header) []*corev3.HeaderValueOption {
	if len(set) == 0 {
		return nil
	}
	out := make([]*corev3.HeaderValueOption, len(set))
	for i, h := range set {
		out[i] = &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: h.Name, RawValue: []byte(h.Value)},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}
	}
	return out
}
