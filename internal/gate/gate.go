// Package gate is what the ext_proc and ext_authz hosts share: the snapshot an
// exchange is judged with, and the way from an HTTP request to a judged
// message. It knows the registry and the chain, but nothing of Envoy.
package gate

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/binding"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/outbound"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/mcp"
)

// Limits bound what the hosts hold in memory and how long.
type Limits struct {
	Body         int           // largest request body, in bytes
	Response     int           // largest JSON reply, in bytes
	Event        int           // largest SSE event, in bytes
	ResponseTime time.Duration // from the headers of a JSON reply to its end
}

// Snapshot is everything that judges one exchange. It is immutable; an
// exchange keeps the one it began with.
type Snapshot struct {
	Chain   *guard.Chain
	Decoder *mcp.Decoder
	Limits  Limits
	View    *registry.View
	// Metadata returns the document that says how to get a token for a server,
	// or for the gateway itself where the name is empty; nil: callers need none.
	Metadata func(server string) []byte
	// Challenge completes challenges; see [guard.Host]. It may be nil.
	Challenge func(x *guard.Exchange, challenge string) string
	// Revisions are those the gateway speaks; empty means all.
	Revisions []mcp.Revision
	// Policy is what decides who may do what; nil: nobody does.
	Policy policy.Decider
	// Seal signs constraints for servers; nil where there is no key.
	Seal func(x *guard.Exchange, m *mcp.Message, claims []string) (header, value string, err error)
	// Binding seals the ids that callers get; nil where they are not bound to
	// anybody.
	Binding binding.Sealer
	// Outbound judges where workloads go through egress listeners; nil where there
	// are none.
	Outbound *outbound.Judge
	// Tracer finds the place of exchanges in traces; nil where nothing is traced.
	Tracer Tracer
	// RequestsOnly says why a host that sees no responses must not serve
	// this snapshot; nil where it may.
	RequestsOnly error
}

// Source gives the snapshot of the moment. It is called once per exchange.
type Source interface{ Current() *Snapshot }

// Holder is a Source whose snapshot can be replaced at any time.
type Holder struct{ p atomic.Pointer[Snapshot] }

// NewHolder returns a holder of s.
func NewHolder(s *Snapshot) *Holder {
	h := &Holder{}
	h.p.Store(s)
	return h
}

// Current returns the snapshot of the moment.
func (h *Holder) Current() *Snapshot { return h.p.Load() }

// Swap makes s the snapshot of exchanges that begin from now on.
func (h *Holder) Swap(s *Snapshot) { h.p.Store(s) }

// Begin fills in x.Server and reports whether the registry knows name.
func (s *Snapshot) Begin(x *guard.Exchange, name string) *registry.Server {
	srv := s.View.Lookup(name)
	if srv == nil {
		return nil
	}
	x.Server = guard.Server{Name: srv.Name, Owner: srv.Owner, Domain: srv.Domain, Classification: string(srv.Classification), Clearance: string(srv.Clearance),
		Tools: srv.Tools, Prices: srv.Prices, Fields: srv.Fields}
	if len(srv.Versions) == 1 {
		x.Server.Version = srv.Versions[0].Name
	}
	return srv
}

// ServerOf returns the server that a request path names: /mcp/<server>.
func ServerOf(path string) string {
	name, ok := strings.CutPrefix(path, "/mcp/")
	if !ok || strings.Contains(name, "/") {
		return ""
	}
	return name
}

// NewID returns an exchange id, which is unique and no secret: 16 bytes in hex
// from the runtime's generator, which costs a tenth of the system's.
func NewID() string {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:8], rand.Uint64()) //nolint:gosec // an id is unique, and no secret
	binary.NativeEndian.PutUint64(b[8:], rand.Uint64()) //nolint:gosec // as above
	var text [32]byte
	hex.Encode(text[:], b[:])
	return string(text[:])
}
