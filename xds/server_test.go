package xds

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/internal/registry"
)

var quick = Options{Debounce: 10 * time.Millisecond, StepTimeout: 30 * time.Second, Grace: 300 * time.Millisecond}

// patient is quick, but no step ends because its time does.
func patient() Options {
	o := quick
	o.StepTimeout = time.Hour
	return o
}

func TestTheFirstPushMakesEnvoyServeAndTheServerReady(t *testing.T) {
	up := upstream(t, "a")
	p := startPlane(t, "127.0.0.1:0", quick)
	e := adsEnvoy(t, p, "envoy-1")
	if p.Ready() {
		t.Fatal("ready before anything was pushed")
	}
	push(t, p, testSettings(), server(t, "a", up.URL))
	base := "http://" + e.listener(t)
	eventually(t, "readiness", p.Ready)
	code, body, h := get(t, base+"/mcp/a")
	if code != http.StatusOK || body != "a /mcp" {
		t.Errorf("got %d %q", code, body)
	}
	if h.Get("server") != "" || h.Get("x-powered-by") != "" {
		t.Errorf("the upstream's software shows: %v", h)
	}
	s := p.Status()
	if len(s.Nodes) != 1 || s.Nodes[0].ID != "envoy-1" || !s.Nodes[0].UpToDate || !strings.HasPrefix(s.Nodes[0].Build, "envoy 1.") {
		t.Errorf("status %+v", s)
	}
}

func TestARestartedServerFindsItsEnvoysUpToDate(t *testing.T) {
	up := upstream(t, "a")
	p := startPlane(t, "127.0.0.1:0", quick)
	e := adsEnvoy(t, p, "envoy-1")
	push(t, p, testSettings(), server(t, "a", up.URL))
	base := "http://" + e.listener(t)
	eventually(t, "readiness", p.Ready)
	l := startLoad(t, base+"/mcp/a", "a /mcp")

	p.stop()
	time.Sleep(100 * time.Millisecond)
	p = startPlane(t, p.address, patient())
	push(t, p, testSettings(), server(t, "a", up.URL))
	eventually(t, "readiness after the restart", p.Ready)
	if n := p.Status().Counters.Sent; n != 0 {
		t.Errorf("%d resources were sent that Envoy had", n)
	}

	// And it is in charge again.
	other := upstream(t, "other")
	push(t, p, testSettings(), server(t, "a", up.URL), server(t, "b", other.URL))
	eventually(t, "the new server", func() bool {
		code, _, _ := get(t, base+"/mcp/b")
		return code == http.StatusOK
	})
	l.check(t)
}

func TestReconnectedEnvoysAreRecognisedBeforeTheFirstPush(t *testing.T) {
	up := upstream(t, "a")
	p := startPlane(t, "127.0.0.1:0", quick)
	adsEnvoy(t, p, "envoy-1")
	push(t, p, testSettings(), server(t, "a", up.URL))
	eventually(t, "readiness", p.Ready)
	p.stop()
	p = startPlane(t, p.address, quick)
	eventually(t, "the connection", func() bool { return len(p.Status().Nodes) == 1 })
	time.Sleep(100 * time.Millisecond)
	push(t, p, testSettings(), server(t, "a", up.URL))
	eventually(t, "readiness", p.Ready)
	if s := p.Status(); !s.Nodes[0].UpToDate || s.Counters.Sent != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAllEnvoysOfAFleetGetTheSame(t *testing.T) {
	up := upstream(t, "a")
	p := startPlane(t, "127.0.0.1:0", quick)
	one := adsEnvoy(t, p, "envoy-1")
	push(t, p, testSettings(), server(t, "a", up.URL))
	eventually(t, "readiness", p.Ready)
	two := adsEnvoy(t, p, "envoy-2")
	for _, e := range []*envoy{one, two} {
		if code, _, _ := get(t, "http://"+e.listener(t)+"/mcp/a"); code != http.StatusOK {
			t.Errorf("got %d", code)
		}
	}
	eventually(t, "both", func() bool {
		s := p.Status()
		return len(s.Nodes) == 2 && s.Nodes[0].UpToDate && s.Nodes[1].UpToDate
	})
	_ = two.cmd.Process.Kill()
	eventually(t, "one to be gone", func() bool {
		s := p.Status()
		return len(s.Nodes) == 2 && s.Nodes[0].Connected && !s.Nodes[1].Connected && s.Nodes[1].ID == "envoy-2"
	})
	if !p.Ready() {
		t.Error("not ready, though one Envoy is")
	}
	_ = one.cmd.Process.Kill()
	eventually(t, "no readiness without Envoys", func() bool { return !p.Ready() })
}

func TestUnchangedConfigurationsAreNotSent(t *testing.T) {
	up := upstream(t, "a")
	_, e, p := serveView(t, testSettings(), server(t, "a", up.URL), server(t, "b", up.URL))
	eventually(t, "acceptance", func() bool { s := p.Status(); return s.Good != "" && s.Step == "" })
	before := p.Status().Counters
	for range 5 {
		push(t, p, testSettings(), server(t, "a", up.URL), server(t, "b", up.URL))
	}
	time.Sleep(100 * time.Millisecond)
	if after := p.Status().Counters; after != before {
		t.Errorf("counters went from %+v to %+v", before, after)
	}
	added := e.stat(t, "cluster_manager.cluster_added") + e.stat(t, "cluster_manager.cluster_modified")
	push(t, p, testSettings(), server(t, "a", up.URL), server(t, "b", up.URL), server(t, "c", up.URL))
	eventually(t, "the third cluster", func() bool { return e.stat(t, "cluster_manager.cluster_added") == added+1 })
	if n := e.stat(t, "cluster_manager.cluster_modified"); n != 0 {
		t.Errorf("%d clusters were sent that had not changed", n)
	}
}

func TestABurstOfChangesIsPushedOnce(t *testing.T) {
	up := upstream(t, "a")
	o := quick
	o.Debounce = 500 * time.Millisecond // longer than a busy machine takes for the burst
	_, _, p := serveBy(t, o, testSettings(), server(t, "a", up.URL))
	eventually(t, "acceptance", func() bool { return p.Status().Good != "" })
	before := p.Status().Counters.Pushes
	servers := []registry.Server{server(t, "a", up.URL)}
	var burst []*Resources
	for i := range 10 {
		servers = append(servers, server(t, fmt.Sprintf("b%d", i), up.URL))
		burst = append(burst, build(t, append([]registry.Server(nil), servers...), func(s *Settings) { *s = testSettings() }))
	}
	for _, r := range burst {
		if err := p.Push(r); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all of them", func() bool { return p.Status().Resources["clusters"] == 11 })
	if n := p.Status().Counters.Pushes - before; n > 3 {
		t.Errorf("%d pushes for one burst", n)
	}
}

func TestStateOfTheWorldIsRefusedWithAReason(t *testing.T) {
	p := startPlane(t, "127.0.0.1:0", quick)
	conn, err := grpc.NewClient(p.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "DELTA_GRPC") {
		t.Errorf("got %v", err)
	}
	if n := p.Status().Counters.Refused; n != 1 {
		t.Errorf("%d refusals counted", n)
	}
}

func TestMoreEnvoysThanAllowedAreRefused(t *testing.T) {
	o := quick
	o.MaxNodes = 1
	p := startPlane(t, "127.0.0.1:0", o)
	conn, err := grpc.NewClient(p.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := discoveryv3.NewAggregatedDiscoveryServiceClient(conn)
	ctx, leave := context.WithCancel(t.Context())
	first, err := client.DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: clusterType, Node: &corev3.Node{Id: "one"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first", func() bool { n := p.Status().Nodes; return len(n) == 1 && n[0].ID == "one" })
	second, err := client.DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = second.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
	leave()
	eventually(t, "the first to be gone", func() bool { n := p.Status().Nodes; return len(n) == 1 && !n[0].Connected })
	third, err := client.DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := third.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: clusterType, Node: &corev3.Node{Id: "three"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the third", func() bool { n := p.Status().Nodes; return n[0].ID == "three" && n[0].Connected })
}
