package opa

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
)

func benchInput() *policy.Input {
	return &policy.Input{
		Principal: &guard.Principal{Subject: "alice", Issuer: "https://idp.example", Agent: "planner", Client: "c1", Tenant: "acme",
			Roles: []string{"reader"}, Scopes: []string{"crm:read"}, Task: "t-1", TaskType: "research", Peer: "spiffe://example/agent"},
		Server: &guard.Server{Name: "crm", Owner: "crm-team", Domain: "sales", Classification: "public"},
		Method: "tools/call", Kind: mcp.Request, Target: policy.Target{Kind: policy.Tool, Name: "search_customers"}, Revision: mcp.R20251125,
		Params: []byte(`{"name":"search_customers","arguments":{"query":"mill","limit":10,"filter":{"city":"Bern","tags":["a","b"]}}}`),
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, c := range []struct {
		name string
		ttl  time.Duration
		step policy.Step
	}{{"cached", time.Hour, policy.Access}, {"uncached_access", 0, policy.Access}, {"uncached_call", 0, policy.Call}} {
		b.Run(c.name, func(b *testing.B) {
			p := defaultPolicy(b, c.ttl)
			in := benchInput()
			b.ReportAllocs()
			defer cpu(b)()
			for b.Loop() {
				d, err := p.Decide(context.Background(), c.step, in)
				if err != nil || !d.Allow {
					b.Fatalf("%+v %v", d, err)
				}
			}
		})
	}
	b.Run("uncached_no", func(b *testing.B) {
		p := defaultPolicy(b, 0)
		in := benchInput()
		in.Target.Name = "drop"
		b.ReportAllocs()
		defer cpu(b)()
		for b.Loop() {
			if d, err := p.Decide(context.Background(), policy.Access, in); err != nil || d.Allow {
				b.Fatalf("%+v %v", d, err)
			}
		}
	})
	b.Run("cached_both", func(b *testing.B) {
		p := defaultPolicy(b, time.Hour)
		in := benchInput()
		b.ReportAllocs()
		defer cpu(b)()
		for b.Loop() {
			for _, s := range []policy.Step{policy.Access, policy.Call} {
				if d, err := p.Decide(context.Background(), s, in); err != nil || !d.Allow {
					b.Fatalf("%+v %v", d, err)
				}
			}
		}
		b.Logf("%+v", p.Stats())
	})
}

// cpu reports what the process used, which says more than the clock where the
// machine is busy with something else.
func cpu(b *testing.B) func() {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkFloor is the least that any evaluation costs here: a policy of one
// line. Where the machine is busy, the others are to be read against it.
func BenchmarkFloor(b *testing.B) {
	p := policyOf(b, map[string]string{"p.rego": "package sallyport\n\naccess := {\"allow\": true}\n"}, Settings{})
	in := benchInput()
	b.ReportAllocs()
	defer cpu(b)()
	for b.Loop() {
		if d, err := p.Decide(context.Background(), policy.Access, in); err != nil || !d.Allow {
			b.Fatal(d, err)
		}
	}
}
