package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	guardpolicy "github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/opa"
	"github.com/sallyport/sallyport/internal/replay"
	"github.com/sallyport/sallyport/mcp"
)

// record runs the table and returns the receipts.
func record(t testing.TB, p guardpolicy.Decider, keep audit.Content, hide bool) []byte {
	t.Helper()
	all, err := rows()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r := audit.New(&out, 4096, audit.Block, slog.New(slog.DiscardHandler))
	spec := guardpolicy.Spec(func(guardpolicy.Config) (guardpolicy.Decider, error) { return p, nil })
	g, err := spec.Build(func(c any) error { c.(*guardpolicy.Config).Hide = hide; return nil })
	if err != nil {
		t.Fatal(err)
	}
	c, err := guard.New(guard.Host{
		Now: time.Now, Decoder: mcp.NewDecoder(mcp.Config{}), Observers: []guard.Observer{r.Under(audit.Form{Config: "c", Digest: 0, Keep: keep})},
		Await: func(ctx context.Context, _ time.Duration, wait func(context.Context) (guard.Verdict, error)) (guard.Verdict, error) {
			return wait(ctx)
		},
	}, guard.Member{Spec: spec, Guard: g, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range all {
		m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, row.message())
		if f != nil {
			t.Fatal(f)
		}
		c.Run(context.Background(), row.exchange(&m), &m)
	}
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func compiled(t testing.TB, data []byte) *opa.Policy {
	t.Helper()
	b, err := opa.Load(testenv.Bundle(t, string(data)), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := opa.New(b, opa.Settings{Deadline: 10 * time.Second, Places: 1})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func replayed(t testing.TB, receipts []byte, p, against replay.Examiner) replay.Result {
	t.Helper()
	r, n := replay.New(p, against), 0
	for line := range bytes.Lines(receipts) {
		n++
		if err := r.Receipt(context.Background(), fmt.Sprint("receipts:", n), line); err != nil {
			t.Fatal(err)
		}
	}
	return r.Result
}

// TestAReplayUnderTheSamePolicyChangesNothing: what a receipt holds is what the
// policy was asked, so the same policy says the same of each row of the table.
func TestAReplayUnderTheSamePolicyChangesNothing(t *testing.T) {
	p := compiled(t, organisation)
	for _, keep := range []audit.Content{audit.Params, audit.Arguments, audit.NoContent} {
		for _, hide := range []bool{false, true} {
			receipts := record(t, p, keep, hide)
			r := replayed(t, receipts, p, nil)
			for _, c := range r.Changes {
				t.Errorf("%s, hide %v: %+v", keep, hide, c)
			}
			undecidable := uint64(0)
			for _, n := range r.Undecidable {
				undecidable += n
			}
			if r.Replayed+undecidable+r.Skipped != r.Receipts || r.Skipped > 0 || r.Replayed < 150 {
				t.Errorf("%s, hide %v: %+v", keep, hide, r)
			}
			if keep == audit.Params && undecidable > 0 || keep == audit.NoContent && undecidable == 0 {
				t.Errorf("%s: %v not decidable", keep, r.Undecidable)
			}
			if secret := strings.Contains(string(receipts), `"amount"`); secret != (keep != audit.NoContent) {
				t.Errorf("%s: receipts hold arguments: %v", keep, secret)
			}
			t.Logf("%s, hide %v: %d replayed, %v", keep, hide, r.Replayed, r.Undecidable)
		}
	}
}

func TestAReplayUnderAnotherPolicyListsWhatChanges(t *testing.T) {
	p := compiled(t, organisation)
	var org map[string]any
	if err := json.Unmarshal(organisation, &org); err != nil {
		t.Fatal(err)
	}
	org["settings"].(map[string]any)["freeze"] = true
	data, err := json.Marshal(org)
	if err != nil {
		t.Fatal(err)
	}
	frozen := compiled(t, data)
	receipts := record(t, p, audit.Params, true)
	r := replayed(t, receipts, frozen, nil)
	if len(r.Changes) == 0 {
		t.Fatal("nothing changes under the freeze")
	}
	for _, c := range r.Changes {
		if c.After != "deny read_only" {
			t.Errorf("got %+v", c)
		}
	}
	against := replayed(t, receipts, frozen, p)
	if len(against.Changes) != len(r.Changes) || against.Against == "" {
		t.Errorf("%d changes against the policy that decided, %d against what was recorded", len(against.Changes), len(r.Changes))
	}
}
