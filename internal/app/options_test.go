package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/redis"
	"github.com/sallyport/sallyport/internal/trace"
	"github.com/sallyport/sallyport/mcp"
)

// optioned is a configuration with more than the smallest has.
func optioned(t *testing.T, more string) *config.Config {
	t.Helper()
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "c.yaml"), []byte(wide+more), ConfigOptions())
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestConnectingForAWorkloadTakesAsLongAsItsConnectTime(t *testing.T) {
	cfg := optioned(t, `egress:
  listeners: [{address: "127.0.0.1:0", workload: hasty}, {address: "127.0.0.1:0", workload: usual}]
  workloads:
    - {name: hasty, connect_time: 300ms, allow: [{host: api.example.com}]}
    - {name: usual, allow: [{host: api.example.com}]}
`)
	at := netip.MustParseAddrPort("127.0.0.1:1")
	for i, l := range egressListeners(cfg, []netip.AddrPort{at, at}) {
		if want := []time.Duration{300 * time.Millisecond, 5 * time.Second}[i]; l.Workloads[0].ConnectTimeout != want {
			t.Errorf("%s: %v, want %v", l.Workloads[0].Name, l.Workloads[0].ConnectTimeout, want)
		}
	}
}

// A sentinel is told its own password, and never the servers'.
func TestSentinelsAreToldTheSentinelPassword(t *testing.T) {
	t.Setenv("OPTIONS_SENTINEL", "of-the-sentinels")
	t.Setenv("OPTIONS_SERVER", "of-the-servers")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	told := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		told <- string(b[:n])
	}()
	cfg := optioned(t, `redis: {addresses: ["`+ln.Addr().String()+`"], sentinel_master: m, sentinel_password: "env:OPTIONS_SENTINEL", password: "env:OPTIONS_SERVER", timeout: 5s}
`)
	o, err := redisOptions(cfg.Redis)
	if err != nil {
		t.Fatal(err)
	}
	shared := redis.Connect(o)
	defer shared.Close()
	go func() { _, _ = shared.First(t.Context(), [32]byte{}, time.Second) }()
	if got := <-told; !strings.Contains(got, "of-the-sentinels") || strings.Contains(got, "of-the-servers") {
		t.Errorf("it is told %q", got)
	}
}

func TestReceiptsStayAsLongAsKeepForAndKeepUndeliveredSay(t *testing.T) {
	private, _, _, err := chain.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("OPTIONS_KEY", string(private))
	oneNeedsAll := func() (uint64, bool) { return 1, true }
	for name, tt := range map[string]struct {
		keep   string
		needed func() (uint64, bool)
		goes   bool // the first segment
	}{
		"what is old goes":                                 {"keep_for: 1s", nil, true},
		"what is old stays while a sink needs it":          {"keep_for: 1s", oneNeedsAll, false},
		"and goes when it has waited as long as it is let": {"keep_for: 1s, keep_undelivered: 1s", oneNeedsAll, true},
		"nothing goes where nothing is said":               {"when_full: block", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "receipts")
			cfg := optioned(t, "receipts: {directory: "+dir+", sign_with: \"env:OPTIONS_KEY\", segment_time: 1s, checkpoint_every: 50ms, "+tt.keep+"}\n")
			signs, err := openSigning(cfg.Receipts)
			if err != nil {
				t.Fatal(err)
			}
			r, err := keepReceipts(cfg.Receipts, signs, tt.needed, nil, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			kept := r.(*audit.Kept)
			put := func() {
				m := mcp.Message{Method: "ping"}
				if err := kept.Under(audit.Form{Config: "c"}).Observe(t.Context(), &guard.Exchange{ID: "e"}, &m, &guard.Decision{Action: guard.Allow, At: time.Now(), Message: m}); err != nil {
					t.Fatal(err)
				}
			}
			gone := func() bool {
				put()
				_, err := os.Stat(filepath.Join(dir, ledger.SegmentFile(1)))
				return os.IsNotExist(err)
			}
			if tt.goes {
				testenv.Eventually(t, time.Minute, "the first segment is removed", gone)
			} else {
				for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
					if gone() {
						t.Fatal("the first segment is removed")
					}
				}
			}
			if err := kept.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSplunkIsToldTheSourceTypeAndIndexOfEvents(t *testing.T) {
	t.Setenv("OPTIONS_HEC", "token")
	told := make(chan string, 4)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		told <- string(b)
		_, _ = io.WriteString(w, `{"text":"Success","code":0}`)
	}))
	defer s.Close()
	for more, want := range map[string]string{`, sourcetype: "acme:mcp", source: gateway-7`: `"source":"gateway-7","sourcetype":"acme:mcp"`, "": `"source":"sallyport","sourcetype":"sallyport:receipt"`} {
		cfg := optioned(t, `receipts: {directory: r, sign_with: "env:OPTIONS_HEC"}
sinks: [{name: soc, splunk: {url: "`+s.URL+`", token: "env:OPTIONS_HEC", acknowledge: false`+more+`}}]
`)
		open, err := splunkSink(cfg.Sinks[0].Splunk)
		if err != nil {
			t.Fatal(err)
		}
		sink, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sink.Deliver(t.Context(), []*deliver.Item{{ID: "1", Time: time.Now(), Body: []byte(`{}`)}}); err != nil {
			t.Error(err)
		}
		if got := <-told; !strings.Contains(got, want) {
			t.Errorf("%q: %s", more, got)
		}
		_ = sink.Close()
	}
}

func TestWhatTakesLongerThanSlowerThanIsTraced(t *testing.T) {
	for _, tt := range []struct {
		slower string
		took   time.Duration
		kept   bool
	}{
		{"100ms", 99 * time.Millisecond, false}, {"100ms", 101 * time.Millisecond, true}, {"0s", time.Hour, false},
	} {
		cfg := optioned(t, "telemetry: {otlp: {endpoint: \"http://127.0.0.1:9\"}, traces: {sample: 0, slower_than: "+tt.slower+"}}\n")
		traces, err := openTraces(cfg.Export, "r", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		r, ok := traces.under(cfg).(*trace.Rules)
		if !ok {
			t.Fatal("nothing is traced")
		}
		m := mcp.Message{Method: "tools/call"}
		x := &guard.Exchange{ID: "e", Verb: "POST", Started: time.Now()}
		r.Begin(x, gate.Ambient{})
		x.Asked = guard.Asked{Kind: mcp.Request, Method: "tools/call", Name: "read"}
		if err := r.Observe(t.Context(), x, &m, &guard.Decision{Action: guard.Allow, At: time.Now(), Message: m}); err != nil {
			t.Fatal(err)
		}
		r.Ended(t.Context(), x, &guard.Outcome{Reply: guard.Reply{Kind: mcp.Response}, Elapsed: tt.took})
		if x.Trace.Kept != tt.kept {
			t.Errorf("slower_than %s, and it took %v: kept %v", tt.slower, tt.took, x.Trace.Kept)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // nobody is there to take it
		_ = traces.close(ctx)
	}
}

// What a server declares of a tool's price reaches the guard that reckons with it.
func TestServersDeclareWhatAMiBOfTheirToolsCosts(t *testing.T) {
	cfg := optioned(t, `servers: [{name: crm, url: "http://127.0.0.1:1/", tools: [{name: export, price: {call: "$0.01", per_mib_in: "$0.02", per_mib_out: "$0.30"}}]}]
`)
	got := cfg.View().Servers()[0].Prices["export"]
	one := got.Call
	if one == 0 || got.In != 2*one || got.Out != 30*one {
		t.Errorf("%+v", got)
	}
}

func TestElasticsearchIsShownTheAPIKey(t *testing.T) {
	t.Setenv("OPTIONS_API", "a2V5")
	shown := make(chan string, 4)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown <- r.Header.Get("Authorization")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"errors":false,"items":[{"create":{"status":201}}]}`)
	}))
	defer s.Close()
	cfg := optioned(t, `receipts: {directory: r, sign_with: "env:OPTIONS_API"}
sinks: [{name: soc, elasticsearch: {url: "`+s.URL+`", api_key: "env:OPTIONS_API"}}]
`)
	open, err := elasticSink(cfg.Sinks[0].Elastic)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	_, _ = sink.Deliver(t.Context(), []*deliver.Item{{ID: "1", Time: time.Now(), Body: []byte(`{}`)}})
	if got := <-shown; got != "ApiKey a2V5" {
		t.Errorf("%q", got)
	}
}

func TestSyslogMessagesAreOfTheFacility(t *testing.T) {
	for facility, number := range map[string]int{"": 13, ", facility: user": 1, ", facility: local3": 19} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ln.Close() })
		cfg := optioned(t, `receipts: {directory: r, sign_with: "env:OPTIONS_KEY"}
sinks: [{name: soc, format: cef, syslog: {address: "`+ln.Addr().String()+`", protocol: tcp`+facility+`}}]
`)
		open, err := syslogSink(cfg.Sinks[0].Syslog)
		if err != nil {
			t.Fatal(err)
		}
		sink, err := open()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sink.Close() })
		go func() {
			_, _ = sink.Deliver(t.Context(), []*deliver.Item{{ID: "1", Time: time.Now(), Body: []byte("x")}})
		}()
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		var size, priority int
		if _, err := fmt.Fscanf(c, "%d <%d>", &size, &priority); err != nil || priority/8 != number {
			t.Errorf("%q: priority %d, %v", facility, priority, err)
		}
		_ = c.Close()
	}
}
