package transcripts

import (
	"context"
	"log/slog"
	"net"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/sallyport/sallyport/extauthz"
	"github.com/sallyport/sallyport/extproc"
	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/gate"
)

// TestInProcess replays every transcript without Envoy, with what judges in a
// gateway of the same configuration.
func TestInProcess(t *testing.T) {
	s, who := startServer(t), testenv.StartIssuer(t)
	for _, tr := range load(t) {
		t.Run(tr.name(), func(t *testing.T) {
			var seen ledger
			snap, err := app.Snapshot(writeConfig(t, tr, s.url, who, func(text string) string { return text }), &seen)
			if err != nil {
				t.Fatal(err)
			}
			if tr.part["guard"] != "" {
				addScripted(t, snap, tr.part["guard"], &seen)
			}
			proc, authz := serve(t, snap)
			through := &proxy{proc, s, who}
			for _, b := range tr.before(t) {
				got := through.replay(t, b)
				b.passed(t, got, seen.take(t))
			}
			got := through.replay(t, tr)
			judged := seen.take(t)
			got.decision, got.closing = decisions(judged), seen.closing(t, judged)
			tr.compare(t, got)
			fit := snap.RequestsOnly == nil && !editsRequest(judged)
			checkRequest(t, authz, tr, who, got, fit)
			checkDecisions(t, judged, seen.take(t), fit)
		})
	}
}

// serve starts both services, which judge with snap, and dials them.
func serve(t *testing.T, snap *gate.Snapshot) (extprocv3.ExternalProcessorClient, authv3.AuthorizationClient) {
	t.Helper()
	holder, log := gate.NewHolder(snap), slog.New(slog.DiscardHandler)
	g := grpc.NewServer(grpc.WaitForHandlers(true))
	extproc.New(holder, log, nil).Register(g)
	extauthz.New(holder, log).Register(g)
	l := bufconn.Listen(1 << 20)
	go func() { _ = g.Serve(l) }()
	t.Cleanup(g.Stop)
	c, err := grpc.NewClient("passthrough:///in-process", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return extprocv3.NewExternalProcessorClient(c), authv3.NewAuthorizationClient(c)
}
