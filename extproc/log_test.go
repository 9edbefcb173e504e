package extproc

import (
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/envoymap"
)

// The access log learns of what went upstream from headers, and of refusals from
// metadata, also where they come after the first byte of a reply.
func TestTheAccessLogIsTold(t *testing.T) {
	for _, logs := range []bool{true, false} {
		var out []*extprocv3.ProcessingResponse
		m := newMachine(newFixture(t).snap, "", func(r *extprocv3.ProcessingResponse) error {
			out = append(out, proto.Clone(r).(*extprocv3.ProcessingResponse))
			return nil
		})
		m.wishes = envoymap.Wishes{Lean: true, Log: logs}
		step := func(r *extprocv3.ProcessingRequest) *extprocv3.ProcessingResponse {
			t.Helper()
			if err := m.step(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			return out[len(out)-1]
		}
		step(post(envoymap.ExchangeHeader, "forged"))
		sent := step(requestBody(callBody))
		if got := headerOf(sent, envoymap.ExchangeHeader); (got == m.x.ID) != logs {
			t.Errorf("logs %t: the exchange is %q", logs, got)
		}
		if got := headerOf(sent, envoymap.MethodHeader); (got == "tools/call") != logs {
			t.Errorf("logs %t: the method is %q", logs, got)
		}
		if sent.GetDynamicMetadata() != nil {
			t.Error("metadata with what passes")
		}
		step(responseHeaders(false, ":status", "200", "content-type", "text/event-stream"))
		d := &guard.Decision{Reason: guard.UpstreamBadReply, Action: guard.Deny}
		m.emit(m.refuseEvent(nil, d), true)
		f := out[len(out)-1].GetDynamicMetadata().GetFields()[envoymap.Namespace].GetStructValue().GetFields()
		if got := f["reason"].GetStringValue(); (got == "upstream_bad_reply") != logs || (f["exchange"].GetStringValue() == m.x.ID) != logs || logs && f["decision"].GetStringValue() != "deny" {
			t.Errorf("logs %t: the log is told %v", logs, f)
		}
	}
}
