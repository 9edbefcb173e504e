package identity

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/integration/testenv"
)

// workloadAPI is a SPIFFE Workload API server that attests everybody to the same
// workload.
type workloadAPI struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	socket string

	mu      sync.Mutex
	now     *workload.X509SVIDResponse
	keys    *workload.JWTBundlesResponse
	changed chan struct{}
	server  *grpc.Server
}

func startWorkloadAPI(t testing.TB) *workloadAPI {
	t.Helper()
	w := &workloadAPI{socket: filepath.Join(t.TempDir(), "api.sock"), changed: make(chan struct{})}
	w.serve(t)
	t.Cleanup(w.stop)
	return w
}

// serve listens, also again after stop.
func (w *workloadAPI) serve(t testing.TB) {
	t.Helper()
	lis, err := net.Listen("unix", w.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, w)
	w.mu.Lock()
	w.server = server
	w.mu.Unlock()
	go func() { _ = server.Serve(lis) }() // ends with stop
}

func (w *workloadAPI) stop() {
	w.mu.Lock()
	server := w.server
	w.mu.Unlock()
	server.Stop()
}

// give has everybody get the gateway's identity, the bundle of its own trust
// domain, and those of others.
func (w *workloadAPI) give(t testing.TB, p *testenv.Certificate, own []*testenv.Certificate, others map[string]*testenv.Certificate) {
	t.Helper()
	r := &workload.X509SVIDResponse{FederatedBundles: map[string][]byte{}}
	svid := &workload.X509SVID{SpiffeId: gatewayID, X509Svid: p.Raw, X509SvidKey: p.PKCS8(t)}
	for _, a := range own {
		svid.Bundle = append(svid.Bundle, a.Raw...)
	}
	r.Svids = append(r.Svids, svid)
	for domain, a := range others {
		r.FederatedBundles["spiffe://"+domain] = a.Raw
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = r
	close(w.changed)
	w.changed = make(chan struct{})
}

// FetchX509SVID sends what there is, and every change.
func (w *workloadAPI) FetchX509SVID(_ *workload.X509SVIDRequest, stream grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	if err := attested(stream.Context()); err != nil {
		return err
	}
	for {
		w.mu.Lock()
		now, changed := w.now, w.changed
		w.mu.Unlock()
		if now != nil {
			if err := stream.Send(now); err != nil {
				return err
			}
		}
		select {
		case <-stream.Context().Done():
			return nil
		case <-changed:
		}
	}
}

// giveKeys has everybody get the keys of the JWT-SVIDs of trust domains, each
// under the id k1.
func (w *workloadAPI) giveKeys(t testing.TB, keys map[string]*ecdsa.PrivateKey) {
	t.Helper()
	r := &workload.JWTBundlesResponse{Bundles: map[string][]byte{}}
	for domain, key := range keys {
		b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Use: "jwt-svid"}}})
		if err != nil {
			t.Fatal(err)
		}
		r.Bundles["spiffe://"+domain] = b
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys = r
	close(w.changed)
	w.changed = make(chan struct{})
}

// FetchJWTBundles sends what there is, and every change.
func (w *workloadAPI) FetchJWTBundles(_ *workload.JWTBundlesRequest, stream grpc.ServerStreamingServer[workload.JWTBundlesResponse]) error {
	if err := attested(stream.Context()); err != nil {
		return err
	}
	for {
		w.mu.Lock()
		keys, changed := w.keys, w.changed
		w.mu.Unlock()
		if keys != nil {
			if err := stream.Send(keys); err != nil {
				return err
			}
		}
		select {
		case <-stream.Context().Done():
			return nil
		case <-changed:
		}
	}
}

// attested refuses whoever may have been tricked into calling (SPIFFE Workload
// Endpoint, 3).
func attested(ctx context.Context) error {
	if v := metadata.ValueFromIncomingContext(ctx, "workload.spiffe.io"); len(v) != 1 || v[0] != "true" {
		return status.Error(codes.InvalidArgument, "the security header is missing")
	}
	return nil
}
