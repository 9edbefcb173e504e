package gate

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/mcp"
)

// Read decodes and classifies the client's body, and fills in x.Revision and
// x.Asked. The message shares memory with body.
func (s *Snapshot) Read(x *guard.Exchange, srv *registry.Server, body []byte) (mcp.Message, *mcp.Fault) {
	m, f := s.Decoder.Decode(mcp.ToServer, body)
	if f == nil {
		f = s.place(x, srv, &m)
	}
	if f == nil && s.Tracer != nil {
		s.Tracer.Read(x, &m)
	}
	return m, f
}

// Transport is Read for a bodyless request; method is mcp.MethodListen or
// mcp.MethodClose.
func (s *Snapshot) Transport(x *guard.Exchange, srv *registry.Server, method string) (mcp.Message, *mcp.Fault) {
	m := mcp.TransportMessage(method)
	f := s.place(x, srv, &m)
	return m, f
}

// place finds the revision of m, and whether m may be said in it to srv.
func (s *Snapshot) place(x *guard.Exchange, srv *registry.Server, m *mcp.Message) *mcp.Fault {
	rev, f := mcp.Classify(x.Headers, m, mcp.RevisionUnknown)
	if f != nil {
		return withID(f, m)
	}
	x.Revision = rev
	if rev.Modern() {
		x.Session = "" // that era has none, so the header means nothing
	}
	if !s.speaks(srv, rev) {
		return s.unsupported(srv, m, rev)
	}
	if f := s.Decoder.CheckMethod(m, rev); f != nil {
		return withID(f, m)
	}
	x.Asked = ask(m)
	return nil
}

func (s *Snapshot) speaks(srv *registry.Server, r mcp.Revision) bool {
	return (len(s.Revisions) == 0 || slices.Contains(s.Revisions, r)) && srv.Speaks(r)
}

// unsupported tells the client which revisions to use instead. For a server
// without any modern revision the answer must not look modern: clients that
// speak both eras probe with a modern request and begin a legacy session only
// after an answer that no modern server gives (MCP 2026-07-28, versioning).
func (s *Snapshot) unsupported(srv *registry.Server, m *mcp.Message, r mcp.Revision) *mcp.Fault {
	f := &mcp.Fault{
		Reason: mcp.ReasonUnsupportedVersion, Status: http.StatusBadRequest, Code: mcp.CodeInvalidRequest, Offset: -1,
		Detail: fmt.Sprintf("server %s is not registered for revision %s", srv.Name, r),
	}
	if m.Kind == mcp.Transport {
		f.Status = http.StatusMethodNotAllowed
	}
	modern := false
	data := []byte(`{"supported":[`)
	for _, have := range mcp.Revisions() {
		if !s.speaks(srv, have) {
			continue
		}
		if data[len(data)-1] != '[' {
			data = append(data, ',')
		}
		data = mcp.AppendQuote(data, have.String())
		modern = modern || have.Modern()
	}
	if modern && r.Modern() {
		f.Code = mcp.CodeUnsupportedVersion
		data = append(data, `],"requested":`...)
		f.Data = append(mcp.AppendQuote(data, r.String()), '}')
	}
	return withID(f, m)
}

// withID makes sure that a fault found after decoding carries the request's id.
func withID(f *mcp.Fault, m *mcp.Message) *mcp.Fault {
	if f.ID == nil && m.Kind == mcp.Request {
		f.ID = m.ID
	}
	return f
}

// ask copies out of m what replies are matched against.
func ask(m *mcp.Message) guard.Asked {
	a := guard.Asked{Kind: m.Kind, Method: m.Method, Name: m.Name, Clear: m.InClear()}
	if m.Kind == mcp.Request {
		a.ID = append([]byte(nil), m.ID...)
	}
	return a
}

// Salvage finds out for a refused request which id its answer must carry, and
// remembers it in x.Asked. Nothing else of the body is believed.
func (s *Snapshot) Salvage(x *guard.Exchange, body []byte) {
	m, f := s.Decoder.Decode(mcp.ToServer, body)
	switch {
	case f != nil:
		x.Asked.ID = append([]byte(nil), f.ID...)
	case m.Kind == mcp.Request:
		x.Asked.ID = append([]byte(nil), m.ID...)
	}
	if len(x.Asked.ID) == 0 {
		x.Asked.ID = nil
	}
}
