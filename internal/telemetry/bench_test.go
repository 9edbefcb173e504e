package telemetry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/telemetry"
	"github.com/sallyport/sallyport/mcp"
)

func BenchmarkObserve(b *testing.B) {
	m, err := telemetry.New(nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	x := &guard.Exchange{}
	x.Server.Name = "crm"
	msg := &mcp.Message{Kind: mcp.Request, Method: "tools/call"}
	d := &guard.Decision{Action: guard.Allow, Took: 7 * time.Microsecond}
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Observe(b.Context(), x, msg, d); err != nil {
			b.Fatal(err)
		}
	}
}

func TestADurationIsCountedInItsBucket(t *testing.T) {
	m, err := telemetry.New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	msg := &mcp.Message{Kind: mcp.Request, Method: "ping"}
	for _, took := range []time.Duration{0, 5 * time.Microsecond, 6 * time.Microsecond, 2 * time.Second} {
		if err := m.Observe(t.Context(), &guard.Exchange{}, msg, &guard.Decision{Action: guard.Allow, Took: took}); err != nil {
			t.Fatal(err)
		}
	}
	text := scrape(t, m)
	for le, want := range map[string]string{"5e-06": "2", "1e-05": "3", "1": "3", "+Inf": "4"} {
		found := false
		for line := range strings.Lines(text) {
			found = found || strings.Contains(line, `_bucket{`) && strings.Contains(line, `le="`+le+`"`) && strings.HasSuffix(strings.TrimSpace(line), " "+want)
		}
		if !found {
			t.Errorf("bucket %s does not hold %s:\n%s", le, want, text)
		}
	}
}
