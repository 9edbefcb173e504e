package dlp_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/dlp"
	"github.com/sallyport/sallyport/mcp"
)

// reports sends pieces of a text as notifications of one exchange, and returns
// what reached the client and the verdicts.
func reports(t *testing.T, g guard.Guard, form string, pieces ...string) (out []string, verdicts []guard.Verdict) {
	t.Helper()
	x := &guard.Exchange{Server: guard.Server{Name: "crm"}, Asked: guard.Asked{Name: "lookup"}}
	for i, p := range pieces {
		m, f := decoder.Decode(mcp.ToClient, fmt.Appendf(nil, form, i, p))
		if f != nil {
			t.Fatal(f)
		}
		v, err := g.Inspect(context.Background(), x, &m)
		if err != nil {
			t.Fatal(err)
		}
		verdicts = append(verdicts, v)
		if v.Action == guard.Allow {
			edited, err := decoder.Apply(&m, v.Edits...)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(edited.Raw))
		}
	}
	return out, verdicts
}

const (
	ofProgress = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"a","progress":%d,"message":"%s"}}`
	ofLog      = `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","logger":"l%[1]d","data":"%[2]s"}}`
)

func TestASecretInPiecesIsCompletedByNobody(t *testing.T) {
	pieces := []string{"loading, key gh", "p_" + token[4:20], token[20:] + " done", "next step"}
	out, v := reports(t, build(t, masking), ofProgress, pieces...)
	if len(out) != 4 || strings.Contains(out[2], token[20:]) || !strings.Contains(out[2], `"[github_token] done"`) || !strings.Contains(out[3], "next step") {
		t.Errorf("masked: %q", out)
	}
	if !strings.Contains(v[2].Detail, "begun in an earlier message") || strings.Contains(v[2].Detail, token[20:]) {
		t.Errorf("%q", v[2].Detail)
	}
	out, v = reports(t, build(t, func(c *dlp.Config) { c.ToClient = dlp.Actions{PII: "block", Secret: "block"} }), ofProgress, pieces...)
	if len(out) != 3 || v[2].Reason != dlp.SecretHeld || v[3].Action != guard.Allow {
		t.Errorf("blocked: %q %v", out, v)
	}
}

func TestPiecesOfDifferentTextsAreNotReadTogether(t *testing.T) {
	out, _ := reports(t, build(t, masking), ofLog, token[:20], token[20:])
	if len(out) != 2 || !strings.Contains(out[1], token[20:]) {
		t.Errorf("%q", out)
	}
}

func TestLongReportsKeepBoundedMemory(t *testing.T) {
	g := build(t, masking)
	x := &guard.Exchange{}
	for i := range 5000 {
		m, f := decoder.Decode(mcp.ToClient, fmt.Appendf(nil, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%d,"progress":1,"message":"%s"}}`, i%100, strings.Repeat("x", 2000)))
		if f != nil {
			t.Fatal(f)
		}
		if _, err := g.Inspect(context.Background(), x, &m); err != nil {
			t.Fatal(err)
		}
	}
	if n := dlp.Carried(x); n > 16*512 {
		t.Errorf("%d bytes are kept", n)
	}
}
