package injection_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/injection"
	"github.com/sallyport/sallyport/mcp"
)

// The same text is the same for everybody, but what one tenant has read must not
// make another's answer faster, nor may an old configuration's score count.
func TestScoresAreRememberedWithinATenantAndAConfiguration(t *testing.T) {
	long := strings.Replace(page, attack, attack+strings.Repeat(" The forecast for Tuesday is rain.", 5), 1)
	for _, most := range []int{0, 1000} {
		s := injection.Spec(injection.Ports{Remember: most})
		for range 2 { // a configuration each
			g, err := s.Build(func(c any) error { c.(*injection.Config).Results.Refuse = 0.9; return nil })
			if err != nil {
				t.Fatal(err)
			}
			for _, tenant := range []string{"a", "b", "a"} {
				m, f := decoder.Decode(mcp.ToClient, []byte(long))
				if f != nil {
					t.Fatal(f)
				}
				x := &guard.Exchange{Principal: guard.Principal{Tenant: tenant}, Asked: guard.Asked{Kind: mcp.Request, Method: "tools/call"}}
				if v, err := g.Inspect(t.Context(), x, &m); err != nil || v.Reason != injection.Suspected {
					t.Errorf("%d, %s: %+v %v", most, tenant, v, err)
				}
			}
		}
	}
}

func BenchmarkTheSameTextAgain(b *testing.B) {
	for _, c := range []struct {
		name string
		most int
	}{{"scored", 0}, {"remembered", 1000}} {
		b.Run(c.name, func(b *testing.B) {
			g, err := injection.Spec(injection.Ports{Remember: c.most, Now: time.Now}).Build(func(any) error { return nil })
			if err != nil {
				b.Fatal(err)
			}
			raw := `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"` + strings.Repeat("The forecast for the coming week is rain, and some wind. ", 160) + `"}]}}`
			m, f := decoder.Decode(mcp.ToClient, []byte(raw))
			if f != nil {
				b.Fatal(f)
			}
			x := &guard.Exchange{Asked: guard.Asked{Kind: mcp.Request, Method: "tools/call"}}
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Inspect(b.Context(), x, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
