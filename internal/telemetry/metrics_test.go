package telemetry_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/telemetry"
	"github.com/sallyport/sallyport/mcp"
)

func metrics(t testing.TB) *telemetry.Metrics {
	t.Helper()
	m, err := telemetry.New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close(context.Background()) })
	return m
}

func scrape(t testing.TB, m *telemetry.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// A label for each name that a client makes up would fill the memory of the
// gateway and of whoever collects its metrics.
func TestWhatAClientMakesUpIsNoLabel(t *testing.T) {
	m := metrics(t)
	for i := range 500 {
		evil := fmt.Sprintf("evil%d", i)
		x := &guard.Exchange{ID: evil, Verb: evil, Path: "/mcp/" + evil, Session: evil}
		x.Server.Name, x.Principal.Subject = "crm", evil
		msg := &mcp.Message{Kind: mcp.Request, Method: evil + "/do", Name: evil}
		d := &guard.Decision{Action: guard.Deny, Reason: guard.UnknownMethod, Detail: evil, Took: time.Microsecond}
		if err := m.Observe(t.Context(), x, msg, d); err != nil {
			t.Fatal(err)
		}
		x.Asked = guard.Asked{Kind: mcp.Request, Method: evil + "/do", Name: evil}
		reply := &mcp.Message{Direction: mcp.ToClient, Kind: mcp.Response}
		if err := m.Observe(t.Context(), x, reply, &guard.Decision{Action: guard.Allow, Direction: mcp.ToClient}); err != nil {
			t.Fatal(err)
		}
		if err := m.Observe(t.Context(), x, nil, &guard.Decision{Reason: guard.Malformed, Detail: evil}); err != nil {
			t.Fatal(err)
		}
	}
	text := scrape(t, m)
	if strings.Contains(text, "evil") {
		t.Errorf("a client's words are labels:\n%.2000s", text)
	}
	if !strings.Contains(text, `method="extension"`) {
		t.Error("unknown methods are not counted")
	}
	if n := strings.Count(text, "\nmcp_gateway_decisions_total{"); n != 3 {
		t.Errorf("%d time series for three kinds of decision", n)
	}
}

func TestKnownMethodsAreLabels(t *testing.T) {
	m := metrics(t)
	x := &guard.Exchange{Asked: guard.Asked{Kind: mcp.Request, Method: "tools/call"}}
	x.Server.Name = "crm"
	listen := mcp.TransportMessage(mcp.MethodListen)
	for _, msg := range []*mcp.Message{{Kind: mcp.Request, Method: "ping"}, {Direction: mcp.ToClient, Kind: mcp.Response}, &listen, {Kind: mcp.Response}} {
		if err := m.Observe(t.Context(), x, msg, &guard.Decision{Action: guard.Allow, Direction: msg.Direction, Took: 30 * time.Microsecond}); err != nil {
			t.Fatal(err)
		}
	}
	text := scrape(t, m)
	for _, want := range []string{`method="ping"`, `method="tools/call"`, `method="transport/listen"`, `method="response"`, `direction="to_client"`,
		`server="crm"`, `mcp_gateway_decision_duration_seconds_bucket{`} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing has %s:\n%.3000s", want, text)
		}
	}
}

func TestEventsAreCountedByKind(t *testing.T) {
	m := metrics(t)
	x := &guard.Exchange{ID: "evil", Server: guard.Server{Name: "crm"}}
	d := &guard.Decision{Action: guard.Allow, Events: []guard.Event{{Guard: "anomaly", Kind: "spike", Detail: "evil"}, {Guard: "budget", Kind: "overrun"}}}
	for range 3 {
		if err := m.Observe(t.Context(), x, nil, d); err != nil {
			t.Fatal(err)
		}
	}
	text := scrape(t, m)
	if strings.Count(text, "\nmcp_gateway_events_total{") != 2 || !strings.Contains(text, `event="spike",guard="anomaly"`) || strings.Contains(text, "evil") {
		t.Errorf("got\n%.3000s", text)
	}
}

func TestValuesAreAskedForAtEachScrape(t *testing.T) {
	m := metrics(t)
	var n int64
	if err := m.Gauge("mcp.gateway.open", "Open.", func() int64 { n++; return n }); err != nil {
		t.Fatal(err)
	}
	if err := m.Counter("mcp.gateway.kept", "Kept.", func() uint64 { return 7 }); err != nil {
		t.Fatal(err)
	}
	for want := 1; want <= 2; want++ {
		text := scrape(t, m)
		if !strings.Contains(text, fmt.Sprintf("mcp_gateway_open %d\n", want)) || !strings.Contains(text, "mcp_gateway_kept_total 7\n") {
			t.Errorf("scrape %d:\n%s", want, text)
		}
	}
}

func TestManyExchangesAreCountedAtOnce(t *testing.T) {
	m := metrics(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			x := &guard.Exchange{}
			x.Server.Name = fmt.Sprintf("s%d", i%2)
			for range 500 {
				if err := m.Observe(t.Context(), x, &mcp.Message{Kind: mcp.Request, Method: "ping"}, &guard.Decision{Action: guard.Allow}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	text := scrape(t, m)
	for _, s := range []string{"s0", "s1"} {
		found := false
		for line := range strings.Lines(text) {
			found = found || strings.HasPrefix(line, "mcp_gateway_decisions_total{") && strings.Contains(line, `server="`+s+`"`) && strings.HasSuffix(line, " 2000\n")
		}
		if !found {
			t.Errorf("%s is not at 2000:\n%s", s, text)
		}
	}
}
