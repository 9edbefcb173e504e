package extproc

import (
	"slices"
	"strings"
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport/internal/envoymap"
)

// Envoy must know the id for the errors that it makes by itself, whatever the
// id holds, and a client's copy of the header must never pass for it.
func TestTheIDReachesEnvoyAsAHeaderWhereItCanBeOne(t *testing.T) {
	for id, header := range map[string]bool{`7`: true, `"a b % \" \u00e9"`: true, `"é"`: false} {
		for _, lean := range []bool{true, false} {
			var out *extprocv3.ProcessingResponse
			m := newMachine(newFixture(t).snap, "", func(r *extprocv3.ProcessingResponse) error {
				out = proto.Clone(r).(*extprocv3.ProcessingResponse)
				return nil
			})
			m.wishes.Lean = lean
			body := strings.Replace(callBody, `"id":7`, `"id":`+id, 1)
			for _, r := range []*extprocv3.ProcessingRequest{post(envoymap.IDHeader, "666"), requestBody(body)} {
				if err := m.step(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				if c := out.GetRequestHeaders(); c != nil && !slices.Contains(c.GetResponse().GetHeaderMutation().GetRemoveHeaders(), envoymap.IDHeader) {
					t.Error("the client's own copy goes on")
				}
			}
			got := headerOf(out, envoymap.IDHeader)
			metadata := out.GetDynamicMetadata().GetFields()[envoymap.Namespace].GetStructValue().GetFields()["id"].GetStringValue()
			want, wantMeta := "", id
			if lean && header {
				want, wantMeta = id, ""
			}
			if got != want || metadata != wantMeta {
				t.Errorf("id %s, lean %t: header %q, metadata %q", id, lean, got, metadata)
			}
		}
	}
}

func headerOf(r *extprocv3.ProcessingResponse, name string) string {
	for _, h := range r.GetRequestBody().GetResponse().GetHeaderMutation().GetSetHeaders() {
		if h.GetHeader().GetKey() == name {
			return string(h.GetHeader().GetRawValue())
		}
	}
	return ""
}
