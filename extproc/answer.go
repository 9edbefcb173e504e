package extproc

import (
	"errors"
	"io"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/guard"
)

// maxChunk is the most that one streamed answer carries; Envoy's documentation
// asks for at most 64 KiB.
const maxChunk = 62_000

type headerPair struct{ name, value string }

func header(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, RawValue: []byte(value)},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

func requestHeaders(remove []string, set []*corev3.HeaderValueOption) *extprocv3.ProcessingResponse {
	common := &extprocv3.CommonResponse{}
	if len(remove) > 0 || len(set) > 0 {
		common.HeaderMutation = &extprocv3.HeaderMutation{RemoveHeaders: remove, SetHeaders: set}
	}
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestHeaders{
		RequestHeaders: &extprocv3.HeadersResponse{Response: common},
	}}
}

func requestBody(common *extprocv3.CommonResponse) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestBody{
		RequestBody: &extprocv3.BodyResponse{Response: common},
	}}
}

func passHeaders(set []headerPair) *extprocv3.ProcessingResponse {
	common := &extprocv3.CommonResponse{}
	if len(set) > 0 {
		mut := &extprocv3.HeaderMutation{}
		for _, p := range set {
			mut.SetHeaders = append(mut.SetHeaders, header(p.name, p.value))
		}
		common.HeaderMutation = mut
	}
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseHeaders{
		ResponseHeaders: &extprocv3.HeadersResponse{Response: common},
	}}
}

func passTrailers() *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseTrailers{
		ResponseTrailers: &extprocv3.TrailersResponse{},
	}}
}

// chunk releases bytes of a response body. In this body mode any other kind of
// mutation is a protocol error.
func chunk(b []byte, end bool) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseBody{
		ResponseBody: &extprocv3.BodyResponse{Response: &extprocv3.CommonResponse{
			BodyMutation: &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_StreamedResponse{
				StreamedResponse: &extprocv3.StreamedBodyResponse{Body: b, EndOfStream: end},
			}},
		}},
	}}
}

func immediate(r guard.Refusal, reason string) *extprocv3.ProcessingResponse {
	set := []*corev3.HeaderValueOption{header("content-type", "application/json")}
	if r.RetryAfter != "" {
		set = append(set, header("retry-after", r.RetryAfter))
	}
	if r.Challenge != "" {
		set = append(set, header("www-authenticate", r.Challenge))
	}
	if r.Status == 405 {
		set = append(set, header("allow", "POST, GET, DELETE"))
	}
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ImmediateResponse{
		ImmediateResponse: &extprocv3.ImmediateResponse{
			Status:  &typev3.HttpStatus{Code: typev3.StatusCode(r.Status)},
			Headers: &extprocv3.HeaderMutation{SetHeaders: set},
			Body:    r.Body,
			Details: detailsPrefix + reason,
		},
	}}
}

// detailsPrefix marks the gateway's own replies in Envoy's response code
// details, so that the access log tells them from Envoy's.
const detailsPrefix = "sallyport_"

func isUTF8(charset string) bool {
	return strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}

// isReset tells an exchange that Envoy ended from a broken transport.
func isReset(err error) bool {
	return errors.Is(err, io.EOF) || status.Code(err) == codes.Canceled
}
