package outbound

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

type names map[string][]netip.Addr

func (n names) Known(host string) ([]netip.Addr, bool) { return nil, false }

func (n names) Lookup(_ context.Context, host string) ([]netip.Addr, error) {
	if host == "broken.example" {
		return nil, errors.New("nobody answers")
	}
	return n[host], nil
}

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func newJudge() *Judge {
	crm, all := &Workload{Name: "crm", IDs: []string{"spiffe://c.example/crm", "spiffe://c.example/crm/*"}, Servers: []string{"crm"}}, &Workload{Name: "all"}
	crm.Allow(
		Entry{Host: "api.example"}, Entry{Host: "api.example", Ports: []int{8443}}, Entry{Host: "both.example", Schemes: []string{"https", "http"}},
		Entry{Host: "wiki.example", Private: true}, Entry{Host: "93.184.216.40"}, Entry{Host: "broken.example"}, Entry{Host: "gone.example"}, Entry{Host: "mixed.example"}, Entry{Host: "*.below.example"},
	)
	all.Allow(Entry{Host: "api.example"})
	return &Judge{
		Listeners: map[string]*Listener{"mutual": {Workloads: []*Workload{crm, all}}, "open": {Only: all}},
		Resolver: names{
			"api.example": addrs("93.184.216.34", "2606:2800:220:1::1"), "both.example": addrs("2606:2800:220:1::1"), "wiki.example": addrs("10.1.2.3"),
			"mixed.example": addrs("93.184.216.34", "169.254.169.254"), "x.below.example": addrs("93.184.216.35"),
		},
		Recorder: new(Recorder),
	}
}

const crmID = "spiffe://c.example/crm"

func TestWhereAWorkloadMayGo(t *testing.T) {
	for name, tt := range map[string]struct {
		r    Request
		want string // address or reason
	}{
		"a tunnel, by IPv4 first":            {Request{"mutual", crmID, "CONNECT", "", "api.example:443", "", "", ""}, "93.184.216.34:443"},
		"a tunnel to another port":           {Request{"mutual", crmID, "CONNECT", "", "api.example:8443", "", "", ""}, "93.184.216.34:8443"},
		"a name in other letters":            {Request{"mutual", crmID, "CONNECT", "", "API.Example.:443", "", "", ""}, "93.184.216.34:443"},
		"a name below":                       {Request{"mutual", crmID, "CONNECT", "", "x.below.example:443", "", "", ""}, "93.184.216.35:443"},
		"an id below":                        {Request{"mutual", crmID + "/7", "CONNECT", "", "api.example:443", "", "", ""}, "93.184.216.34:443"},
		"IPv6 where there is no other":       {Request{"mutual", crmID, "CONNECT", "", "both.example:443", "", "", ""}, "[2606:2800:220:1::1]:443"},
		"a plain request":                    {Request{"mutual", crmID, "GET", "http", "both.example", "", "", ""}, "[2606:2800:220:1::1]:80"},
		"a listed address":                   {Request{"mutual", crmID, "CONNECT", "", "93.184.216.40:443", "", "", ""}, "93.184.216.40:443"},
		"a listed address, as a number":      {Request{"mutual", crmID, "CONNECT", "", "1572395048:443", "", "", ""}, "93.184.216.40:443"},
		"a private address, where it may be": {Request{"mutual", crmID, "CONNECT", "", "wiki.example:443", "", "", ""}, "10.1.2.3:443"},

		"a listener that is gone":               {Request{"other", crmID, "CONNECT", "", "api.example:443", "", "", ""}, "guard_error"},
		"nobody":                                {Request{"mutual", "", "CONNECT", "", "api.example:443", "", "", ""}, "unknown_workload"},
		"somebody else":                         {Request{"mutual", "spiffe://c.example/crm2", "CONNECT", "", "api.example:443", "", "", ""}, "unknown_workload"},
		"an id that only begins below":          {Request{"mutual", "spiffe://c.example/crm/", "CONNECT", "", "api.example:443", "", "", ""}, "unknown_workload"},
		"a certificate where none is asked for": {Request{"open", crmID, "CONNECT", "", "wiki.example:443", "", "", ""}, "egress_denied"},
		"another port":                          {Request{"mutual", crmID, "CONNECT", "", "api.example:22", "", "", ""}, "egress_denied"},
		"a tunnel without a port":               {Request{"mutual", crmID, "CONNECT", "", "api.example", "", "", ""}, "egress_denied"},
		"a tunnel to where plain requests may":  {Request{"mutual", crmID, "CONNECT", "", "both.example:80", "", "", ""}, "egress_denied"},
		"a plain request to where tunnels may":  {Request{"mutual", crmID, "GET", "http", "api.example:443", "", "", ""}, "egress_denied"},
		"https without a tunnel":                {Request{"mutual", crmID, "GET", "https", "both.example", "", "", ""}, "egress_denied"},
		"a plain request that becomes a tunnel": {Request{"mutual", crmID, "GET", "http", "both.example", "", "", "CONNECT"}, "egress_denied"},
		"a websocket in a tunnel of its own":    {Request{"mutual", crmID, "CONNECT", "https", "api.example:443", "websocket", "", ""}, "egress_denied"},
		"one address of two is metadata":        {Request{"mutual", crmID, "CONNECT", "", "mixed.example:443", "", "", ""}, "egress_denied"},
		"a name that does not exist":            {Request{"mutual", crmID, "CONNECT", "", "gone.example:443", "", "", ""}, "egress_denied"},
		"a name that nobody knows about":        {Request{"mutual", crmID, "CONNECT", "", "broken.example:443", "", "", ""}, "guard_error"},
		"no authority":                          {Request{"mutual", crmID, "GET", "http", "", "", "", ""}, "egress_denied"},
		"user info":                             {Request{"mutual", crmID, "CONNECT", "", "api.example@127.0.0.1:443", "", "", ""}, "egress_denied"},
		"a path":                                {Request{"mutual", crmID, "CONNECT", "", "api.example:443/@127.0.0.1:443", "", "", ""}, "egress_denied"},
		"a query":                               {Request{"mutual", crmID, "CONNECT", "", "api.example:443?@127.0.0.1:443", "", "", ""}, "egress_denied"},
		"a list":                                {Request{"mutual", crmID, "CONNECT", "", "api.example:443,127.0.0.1:443", "", "", ""}, "egress_denied"},
	} {
		a := newJudge().Decide(t.Context(), &Exchange{Request: tt.r})
		got := string(a.Reason)
		if a.Allow {
			got = a.Out.Address.String()
		}
		if got != tt.want || a.Allow == (a.Detail != "") {
			t.Errorf("%s: %s (%s), want %s", name, got, a.Detail, tt.want)
		}
	}
}

type failing struct{}

func (failing) Observe(context.Context, *guard.Exchange, *mcp.Message, *guard.Decision) error {
	return errors.New("disk full")
}

func TestNothingGoesOutWithoutAReceiptOrInTime(t *testing.T) {
	r := Request{Listener: "open", Method: "CONNECT", Authority: "api.example:443"}
	j := newJudge()
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if a := j.Decide(late, &Exchange{Request: r}); a.Allow || a.Reason != guard.DeadlineExceeded {
		t.Errorf("late: %+v", a)
	}
	j.Revoked = func(p *guard.Principal) string {
		if p.Peer == crmID {
			return "revoked"
		}
		return ""
	}
	if a := j.Decide(t.Context(), &Exchange{Request: Request{Listener: "mutual", Peer: crmID, Method: "CONNECT", Authority: "api.example:443"}}); a.Allow || a.Reason != guard.IdentityRevoked {
		t.Errorf("revoked: %+v", a)
	}
	j.Observers = []guard.Observer{failing{}}
	if a := j.Decide(t.Context(), &Exchange{Request: r}); a.Allow || a.Reason != guard.ReceiptUnavailable {
		t.Errorf("no receipt: %+v", a)
	}
	if n := j.Recorder.Refused(); n["receipt_unavailable"] != 1 || n["deadline_exceeded"] != 1 || len(j.Recorder.Allowed()) != 0 {
		t.Errorf("%v %v", n, j.Recorder.Allowed())
	}
}

func TestACauseIsNamedOnlyWhereThereIsOne(t *testing.T) {
	now := time.Unix(1000, 0)
	c := NewCalls(func() time.Time { return now })
	c.Watch([]string{"crm", "wiki"})
	trace := func(b byte) [16]byte { return [16]byte{b} }
	see := func(server, id string, tr [16]byte, direction mcp.Direction) {
		x := &guard.Exchange{ID: id, Server: guard.Server{Name: server}, Trace: guard.Trace{ID: tr}}
		kind := mcp.Request
		if direction == mcp.ToClient {
			kind = mcp.Response
		}
		if err := c.Observe(t.Context(), x, &mcp.Message{Kind: kind}, &guard.Decision{Action: guard.Allow, Direction: direction}); err != nil {
			t.Fatal(err)
		}
	}
	parent := func(b string) string { return "00-" + b + "000000000000000000000000000000-00000000000000aa-01" }
	check := func(what, traceparent, cause string, candidates ...string) {
		t.Helper()
		if got, more := c.causes([]string{"crm"}, traceparent); got != cause || !slices.Equal(more, candidates) {
			t.Errorf("%s: %q %v", what, got, more)
		}
	}
	check("nothing happened", parent("01"), "")
	see("crm", "a", trace(1), mcp.ToServer)
	see("crm", "b", trace(2), mcp.ToServer)
	see("wiki", "w", trace(3), mcp.ToServer)
	see("other", "o", trace(4), mcp.ToServer)
	check("its trace", parent("02"), "b")
	check("no trace", "", "", "a", "b")
	check("a trace of another server", parent("03"), "", "a", "b")
	check("no trace at all", "00-zz-1-1", "", "a", "b")
	see("crm", "a", trace(1), mcp.ToClient)
	check("one was answered", "", "", "b")
	see("crm", "c", trace(1), mcp.ToServer)
	check("the open one of a trace that several have", parent("01"), "c")
	see("crm", "d", trace(1), mcp.ToServer)
	check("several open ones of a trace", parent("01"), "", "a", "c", "d")
	now = now.Add(2 * lately)
	check("long ago", parent("02"), "")
	for range 3 * remembered {
		see("crm", "e", trace(5), mcp.ToServer)
	}
	if n := len(c.servers["crm"]); n != remembered {
		t.Errorf("%d calls are remembered", n)
	}
	if _, more := c.causes([]string{"crm"}, ""); len(more) != named {
		t.Errorf("%d candidates", len(more))
	}
}

func FuzzAnAuthorityNeverLeadsElsewhere(f *testing.F) {
	for _, s := range []string{"api.example:443", "127.0.0.1:443", "[::1]:443", "api.example@127.0.0.1:443", "0x7f.1:443", "API.EXAMPLE.:443", "аpi.example:443"} {
		f.Add("CONNECT", "http", s)
	}
	j := newJudge()
	f.Fuzz(func(t *testing.T, method, scheme, authority string) {
		a := j.Judge(t.Context(), &Request{Listener: "open", Method: method, Scheme: scheme, Authority: authority})
		if a.Allow && (a.Out.Host != "api.example" || a.Out.Address != netip.MustParseAddrPort("93.184.216.34:443")) {
			t.Errorf("%q leads to %v", authority, a.Out)
		}
	})
}
