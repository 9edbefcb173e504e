// Package gate is what the ext_proc and ext_authz hosts share: the snapshot an
// exchange is judged with, and the way from an HTTP request to a judged
// message. It knows the registry and the chain, but nothing of Envoy.
package gate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard"
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
	// Revisions are those the gateway speaks; empty means all.
	Revisions []mcp.Revision
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
	x.Server = guard.Server{Name: srv.Name, Owner: srv.Owner, Domain: srv.Domain, Classification: string(srv.Classification)}
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

// Read decodes and classifies the client's body, and fills in x.Revision and
// x.Asked. The message shares memory with body.
func (s *Snapshot) Read(x *guard.Exchange, srv *registry.Server, body []byte) (mcp.Message, *mcp.Fault) {
	m, f := s.Decoder.Decode(mcp.ToServer, body)
	if f != nil {
		return m, f
	}
	rev, f := mcp.Classify(x.Headers, &m, mcp.RevisionUnknown)
	if f != nil {
		return m, withID(f, &m)
	}
	x.Revision = rev
	if !s.speaks(srv, rev) {
		return m, unsupported(srv, &m, rev, s.Revisions)
	}
	if f := s.Decoder.CheckMethod(&m, rev); f != nil {
		return m, withID(f, &m)
	}
	x.Asked = Ask(&m)
	return m, nil
}

func (s *Snapshot) speaks(srv *registry.Server, r mcp.Revision) bool {
	if len(s.Revisions) > 0 {
		found := false
		for _, have := range s.Revisions {
			found = found || have == r
		}
		if !found {
			return false
		}
	}
	return srv.Speaks(r)
}

func unsupported(srv *registry.Server, m *mcp.Message, r mcp.Revision, gateway []mcp.Revision) *mcp.Fault {
	f := &mcp.Fault{
		Reason: mcp.ReasonUnsupportedVersion, Status: http.StatusBadRequest, Code: mcp.CodeInvalidRequest, Offset: -1,
		Detail: fmt.Sprintf("server %s is not registered for revision %s", srv.Name, r),
	}
	if m.Kind == mcp.Request {
		f.ID = m.ID
	}
	if r.Modern() {
		f.Code = mcp.CodeUnsupportedVersion
		list := srv.Revisions
		if len(list) == 0 {
			list = gateway
		}
		data := []byte(`{"supported":[`)
		for i, have := range list {
			if i > 0 {
				data = append(data, ',')
			}
			data = mcp.AppendQuote(data, have.String())
		}
		data = append(data, `],"requested":`...)
		data = mcp.AppendQuote(data, r.String())
		f.Data = append(data, '}')
	}
	return f
}

// withID makes sure that a fault found after decoding carries the request's id.
func withID(f *mcp.Fault, m *mcp.Message) *mcp.Fault {
	if f.ID == nil && m.Kind == mcp.Request {
		f.ID = m.ID
	}
	return f
}

// Ask copies out of m what replies are matched against.
func Ask(m *mcp.Message) guard.Asked {
	a := guard.Asked{Kind: m.Kind, Method: m.Method, Name: m.Name}
	if m.Kind == mcp.Request {
		a.ID = append([]byte(nil), m.ID...)
		if meta := m.Meta(); meta != nil {
			if token, ok := mcp.Member(meta, "progressToken"); ok {
				a.ProgressToken = append([]byte(nil), token...)
			}
		}
	}
	return a
}

// NewID returns an exchange id: 16 random bytes in hex.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails
	return hex.EncodeToString(b[:])
}

// Await runs a pending verdict in a goroutine of its own, so that a guard that
// ignores its context cannot hold up the exchange beyond limit.
func Await(ctx context.Context, limit time.Duration, wait func(context.Context) (guard.Verdict, error)) (guard.Verdict, error) {
	type answer struct {
		v   guard.Verdict
		err error
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan answer, 1)
	go func() {
		v, err := wait(ctx)
		done <- answer{v, err}
	}()
	select {
	case a := <-done:
		return a.v, a.err
	case <-ctx.Done():
		return guard.Verdict{}, fmt.Errorf("gate: pending verdict: %w", ctx.Err())
	}
}
