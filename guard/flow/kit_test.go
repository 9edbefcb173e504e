package flow_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/flow"
	"github.com/sallyport/sallyport/guard/guardtest"
	own "github.com/sallyport/sallyport/internal/flow"
	"github.com/sallyport/sallyport/mcp"
)

var decoder = mcp.NewDecoder(mcp.Config{})

// world is a chain of a guard that labels and the guard under test, with a clock
// that tests move.
type world struct {
	t     testing.TB
	now   time.Time
	store *asked
	chain *guard.Chain
	gives []string // labels that another guard gives what servers say
	n     int
}

// asked is a store that has to be asked, as one that replicas share.
type asked struct {
	*own.Embedded
	err   error
	adds  int
	reads int
	slow  bool // TryRead knows nothing
}

func (s *asked) TryRead(k []flow.Key) ([][]flow.Label, bool) {
	if s.slow {
		return nil, false
	}
	return s.Embedded.TryRead(k)
}

func (s *asked) Read(ctx context.Context, k []flow.Key) ([][]flow.Label, error) {
	s.reads++
	if s.err != nil {
		return nil, s.err
	}
	return s.Embedded.Read(ctx, k)
}

func (s *asked) Add(ctx context.Context, e []flow.Entry) error {
	s.adds++
	if s.err != nil {
		return s.err
	}
	return s.Embedded.Add(ctx, e)
}

type gives struct{ w *world }

func (g gives) Inspect(_ context.Context, _ *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	v := guard.Pass()
	if m.Direction == mcp.ToClient {
		for _, l := range g.w.gives {
			v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.AddLabel, Name: l})
		}
	}
	return v, nil
}

func newWorld(t testing.TB, set func(*flow.Config)) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	w.store = &asked{Embedded: own.NewEmbedded(clock, 1000), slow: true}
	w.build(set)
	return w
}

// build is a reload of the configuration.
func (w *world) build(set func(*flow.Config)) {
	w.t.Helper()
	clock := func() time.Time { return w.now }
	spec := flow.Spec(flow.Ports{Now: clock, Store: func(flow.Config) (flow.Store, error) { return w.store, nil }})
	g := guardtest.Build(w.t, spec, func(c *flow.Config) {
		c.Labels = []string{"untrusted", "pii", "secret"}
		if set != nil {
			set(c)
		}
	})
	var err error
	w.chain, err = guard.New(guard.Host{Now: clock, Decoder: decoder, Await: guardtest.Await}, guard.Member{Spec: spec, Guard: g, Timeout: time.Second},
		guard.Member{Spec: guard.Spec{Name: "gives", Wants: []guard.Want{{Method: "*", Direction: mcp.ToClient}}}, Guard: gives{w}, Timeout: time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
}

// who calls what.
type who struct {
	subject, client, task, tenant, source string
	server, tool                          string
	args                                  string
}

func (w *world) begin(o who) (*guard.Exchange, guard.Decision) {
	w.t.Helper()
	if o.args == "" {
		o.args = "{}"
	}
	w.n++
	x := &guard.Exchange{ID: fmt.Sprintf("x%d", w.n), Server: servers[o.server], Revision: mcp.R20251125}
	x.Principal = guard.Principal{Subject: o.subject, Issuer: "i", Client: o.client, Task: o.task, Tenant: o.tenant}
	if o.subject == "" {
		x.Principal.Issuer = ""
	}
	if o.source != "" {
		x.Source = netip.MustParseAddrPort(o.source)
	}
	m, f := decoder.Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+o.tool+`","arguments":`+o.args+`}}`))
	if f != nil {
		w.t.Fatal(f)
	}
	d := w.chain.Run(w.t.Context(), x, &m)
	x.Asked = guard.Asked{Kind: mcp.Request, ID: []byte("1"), Method: "tools/call", Name: o.tool}
	return x, d
}

func (w *world) reply(x *guard.Exchange, result string) guard.Decision {
	w.t.Helper()
	m, f := decoder.Decode(mcp.ToClient, []byte(`{"jsonrpc":"2.0","id":1,"result":`+result+`}`))
	if f != nil {
		w.t.Fatal(f)
	}
	return w.chain.Run(w.t.Context(), x, &m)
}

// call makes a call and has it answered; it returns what the call carried.
func (w *world) call(o who) guard.Carried {
	w.t.Helper()
	x, d := w.begin(o)
	if d.Action != guard.Allow {
		w.t.Fatalf("%+v", d)
	}
	carried := guard.CarriedBy(x.Labels())
	if d := w.reply(x, said); d.Action != guard.Allow {
		w.t.Fatalf("%+v", d)
	}
	return carried
}

func (w *world) is(c guard.Carried, want ...string) {
	w.t.Helper()
	if got := c.Labels(); !slices.Equal(got, want) {
		w.t.Errorf("carried %v, want %v", got, want)
	}
}

var servers = map[string]guard.Server{
	"crm": {Name: "crm", Classification: "internal", Tools: map[string]guard.Tool{
		"get":  {Classification: "confidential", ReadOnly: true},
		"card": {Classification: "internal"},
	}, Fields: map[string][]guard.DataField{"card": {
		{Path: "/customer/ssn", Classification: "restricted", Arguments: true, Results: true}, {Path: "/rows/*/iban", Classification: "confidential", Results: true},
	}}},
	"web": {Name: "web", Classification: "public", Tools: map[string]guard.Tool{"fetch": {External: true, ReadOnly: true}, "post": {External: true}}},
	"lab": {Name: "lab"},
}

const said = `{"content":[{"type":"text","text":"hello"}]}`
