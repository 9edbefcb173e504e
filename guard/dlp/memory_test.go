package dlp_test

import (
	"context"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/dlp"
	"github.com/sallyport/sallyport/mcp"
)

func remembering(t testing.TB, most int, set func(*dlp.Config)) guard.Guard {
	t.Helper()
	g, err := dlp.Spec(dlp.Ports{Remember: most}).Build(func(c any) error {
		if set != nil {
			set(c.(*dlp.Config))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func inspect(t testing.TB, g guard.Guard, text string) guard.Verdict {
	t.Helper()
	m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToClient, []byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[`+text+`]}}`))
	if f != nil {
		t.Fatal(f)
	}
	x := &guard.Exchange{Principal: guard.Principal{Tenant: "a"}, Asked: guard.Asked{Kind: mcp.Request, Method: "tools/call"}}
	v, err := g.Inspect(context.Background(), x, &m)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

var prose = strings.Repeat("The forecast for the coming week is rain, and some wind. ", 20)

// What is remembered of a text must not answer for the same digits under a name
// that makes them something else.
func TestWhatIsRememberedIsOfTheTextInItsPlace(t *testing.T) {
	mask := func(c *dlp.Config) { c.ToClient.PII = "mask" }
	number := `"` + strings.Repeat("Some words before it. ", 8) + ` 123456789"`
	for _, most := range []int{0, 1000} {
		g := remembering(t, most, mask)
		for range 3 {
			if v := inspect(t, g, `{"note":`+number+`}`); len(v.Edits) > 0 {
				t.Errorf("%d: a note: %+v", most, v)
			}
			if v := inspect(t, g, `{"passport_number":`+number+`}`); len(v.Edits) == 0 {
				t.Errorf("%d: a passport's number is not found", most)
			}
		}
		if v := inspect(t, g, `{"text":"`+prose+`"}`); v.Detail != "" {
			t.Errorf("%+v", v)
		}
		if v := inspect(t, g, `{"text":"`+prose+` Write to ada@example.com."}`); len(v.Edits) != 1 {
			t.Errorf("a text that begins like one that is known: %+v", v)
		}
	}
}

func BenchmarkTheSameTextAgain(b *testing.B) {
	for name, most := range map[string]int{"scanned": 0, "remembered": 1000} {
		b.Run(name, func(b *testing.B) {
			g := remembering(b, most, nil)
			raw := `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"` + strings.Repeat(prose, 8) + `"}]}}`
			m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToClient, []byte(raw))
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
