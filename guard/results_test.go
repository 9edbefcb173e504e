package guard_test

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

type busy struct{ reason guard.Reason }

func (b busy) Inspect(context.Context, *guard.Exchange, *mcp.Message) (guard.Verdict, error) {
	return guard.Refuse(b.reason, ""), nil
}

// Where refusals are sent as results, only those change that ask a client to come
// back, and only for requests: what has no id has no other way to learn of it.
func TestRefusalsAsResults(t *testing.T) {
	spec := guard.Spec{Name: "busy", Wants: []guard.Want{{Method: "*", Direction: mcp.ToServer}}, Reasons: []guard.ReasonInfo{
		{Reason: "too_often", Status: 429, Code: guard.CodeQuota, Text: "x.", When: "x."}, {Reason: "away", Status: 503, Code: guard.CodeNotJudged, Text: "x.", When: "x."},
		{Reason: "who", Status: 401, Code: guard.CodeUnauthenticated, Text: "x.", When: "x."},
	}}
	const request, notification = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	for _, tt := range []struct {
		reason       guard.Reason
		text         string
		as           bool
		status, sent int
	}{
		{"too_often", request, true, 429, 200},
		{"away", request, true, 503, 200},
		{"too_often", request, false, 429, 429},
		{"who", request, true, 401, 401},
		{"too_often", notification, true, 429, 429},
	} {
		d := mcp.NewDecoder(mcp.Config{})
		c, err := guard.New(guard.Host{Now: time.Now, Decoder: d, AsResults: tt.as, Await: func(ctx context.Context, _ time.Duration, w func(context.Context) (guard.Verdict, error)) (guard.Verdict, error) {
			return w(ctx)
		}}, guard.Member{Spec: spec, Guard: busy{tt.reason}, Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		m, f := d.Decode(mcp.ToServer, []byte(tt.text))
		if f != nil {
			t.Fatal(f)
		}
		var x guard.Exchange
		no := c.Run(t.Context(), &x, &m)
		if r := c.Refusal(&x, &no); r.Status != tt.status || r.Sent != tt.sent {
			t.Errorf("%s of %s, as results %v: %d, sent as %d", tt.reason, tt.text, tt.as, r.Status, r.Sent)
		}
	}
}
