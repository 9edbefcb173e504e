package flow_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/flow"
	"github.com/sallyport/sallyport/guard/guardtest"
	own "github.com/sallyport/sallyport/internal/flow"
	"github.com/sallyport/sallyport/mcp"
)

// marks returns the fingerprints that a guard with a key gives a text among
// arguments, and one in a result.
func marks(t testing.TB, key, tenant, text string, d mcp.Direction) ([]string, bool) {
	t.Helper()
	store := own.NewEmbedded(time.Now, 1000)
	spec := flow.Spec(flow.Ports{Now: time.Now, Store: func(flow.Config) (flow.Store, error) { return store, nil },
		Secret: func(string) ([]byte, error) { return []byte(key), nil }})
	g := guardtest.Build(t, spec, func(c *flow.Config) {
		c.Labels, c.ValuesKey = []string{"pii"}, "env:X"
	})
	raw := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"text":` + string(mcp.AppendQuote(nil, text)) + `}}}`
	if d == mcp.ToClient {
		raw = `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":` + string(mcp.AppendQuote(nil, text)) + `}]}}`
	}
	m, f := decoder.Decode(d, []byte(raw))
	if f != nil {
		t.Fatal(f)
	}
	x := &guard.Exchange{Principal: guard.Principal{Subject: "ada", Tenant: tenant}, Asked: guard.Asked{Kind: mcp.Request, Method: "tools/call"}}
	v, err := g.Inspect(t.Context(), x, &m)
	if err == nil && v.Pending != nil {
		v, err = v.Pending(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range v.Obligations {
		if o.Kind == guard.Mark {
			return strings.Fields(o.Value), o.Name == "values_cut"
		}
	}
	return nil, false
}

const (
	markKey = "0123456789abcdef"
	secret  = "sk_live_51HxyzABC.Q-9"
)

func common(a, b []string) int {
	n := 0
	for _, one := range a {
		if slices.Contains(b, one) {
			n++
		}
	}
	return n
}

// What leaves in another dress is still what came.
func TestAValueIsFoundAgainInWhateverDress(t *testing.T) {
	read, _ := marks(t, markKey, "acme", "The key of the store is "+secret+", keep it.", mcp.ToClient)
	sentence := "The key of the store is " + secret + ", keep it."
	for name, out := range map[string]string{
		"as it is":                      secret,
		"in a URL":                      "https://evil.example/?d=" + secret + "&x=1",
		"in a path":                     "https://evil.example/" + secret + "/x",
		"in capitals":                   strings.ToUpper(secret),
		"percent-encoded":               "https://evil.example/?d=" + url.QueryEscape("key="+secret+"!"),
		"in base64 in a URL":            "https://evil.example/?d=" + base64.StdEncoding.EncodeToString([]byte(secret)),
		"in base64 without padding":     "https://evil.example/?d=" + base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"in base64, escaped":            "https://evil.example/?d=" + url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(secret))),
		"in base64 as a part of a path": "https://evil.example/x/" + base64.RawURLEncoding.EncodeToString([]byte(secret)) + "/y",
		"in base64 twice":               base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(secret)))),
		"in hexadecimal":                "0x " + hex.EncodeToString([]byte(secret)),
		"with the sentence around it":   base64.StdEncoding.EncodeToString([]byte(sentence)),
		"among much else":               strings.Repeat("lorem ipsum 12345678 dolor ", 50) + secret,
		"in JSON within the text":       `{"a":{"b":"` + secret + `"}}`,
	} {
		sent, _ := marks(t, markKey, "acme", out, mcp.ToServer)
		if common(read, sent) == 0 {
			t.Errorf("%s: not found", name)
		}
	}
}

func TestWhatIsNoTraceLeavesNone(t *testing.T) {
	read, _ := marks(t, markKey, "acme", "On 2026-11-26 at 2026-11-26T08:00:00Z the customer ordered tea, confidentially; 42 pieces. The key is "+secret, mcp.ToClient)
	for name, text := range map[string]string{
		"words that all use":  "the customer ordered confidentially on 2026-11-26 at 2026-11-26T08:00:00Z 42",
		"another value":       "sk_live_61HxyzABC.Q-9x",
		"half of it":          "sk_live",
		"nothing":             "",
		"an ordinary address": "https://example.com/a/b?c=d",
	} {
		sent, _ := marks(t, markKey, "acme", text, mcp.ToServer)
		if n := common(read, sent); n != 0 {
			t.Errorf("%s: %d in common", name, n)
		}
	}
}

// Who has another key, or is of another tenant, learns nothing from a receipt.
func TestFingerprintsTellNothingWithoutTheirKey(t *testing.T) {
	a, _ := marks(t, markKey, "acme", secret, mcp.ToServer)
	for name, b := range map[string][2]string{"another key": {"another key 0123456789", "acme"}, "another tenant": {markKey, "evil"}} {
		other, _ := marks(t, b[0], b[1], secret, mcp.ToServer)
		if common(a, other) != 0 {
			t.Errorf("%s: the same fingerprint", name)
		}
	}
}

// Whoever puts a thousand other values in front hides nothing for sure: which
// are kept does not depend on where they stand, and the receipt says that there
// were more.
func TestOfManyValuesBothSidesKeepTheSame(t *testing.T) {
	var junk strings.Builder
	for i := range 900 {
		junk.WriteString(" junk-")
		junk.WriteString(strings.Repeat("9", 3))
		junk.WriteString(hex.EncodeToString([]byte{byte(i), byte(i >> 8), 7, 7}))
	}
	one, cut := marks(t, markKey, "acme", junk.String()+" "+secret, mcp.ToClient)
	two, _ := marks(t, markKey, "acme", secret+" "+junk.String(), mcp.ToServer)
	if !cut || len(one) != 64 || common(one, two) != 64 {
		t.Errorf("%d of %d in common, cut %v", common(one, two), len(one), cut)
	}
}

// No text costs more than its length.
func TestHostileTextsAreBounded(t *testing.T) {
	began := time.Now()
	for _, s := range []string{strings.Repeat("YWFh", 200_000), strings.Repeat("a1b2c3d4.", 100_000), strings.Repeat("%61", 200_000), strings.Repeat("a/", 400_000), strings.Repeat("61", 400_000), strings.Repeat("YWFhYWFhYWFhYWFh/", 40_000)} {
		if got, _ := marks(t, markKey, "acme", s, mcp.ToServer); len(got) > 64 {
			t.Errorf("%d fingerprints", len(got))
		}
	}
	t.Logf("took %v", time.Since(began))
}

func FuzzMarks(f *testing.F) {
	f.Add("a " + secret + " %41%zz aGVsbG8gd29ybGQgMTIzNDU2Nzg5 " + hex.EncodeToString([]byte(secret)))
	f.Fuzz(func(t *testing.T, s string) {
		got, _ := marks(t, markKey, "acme", strings.ToValidUTF8(s, "?"), mcp.ToServer)
		for _, m := range got {
			if len(m) != 11 {
				t.Errorf("%q", m)
			}
		}
	})
}

func BenchmarkMarks(b *testing.B) {
	text := strings.Repeat("The customer 4711-0815 of "+secret+" likes tea. ", 20) // a KiB and a half
	store := own.NewEmbedded(time.Now, 1000)
	spec := flow.Spec(flow.Ports{Now: time.Now, Store: func(flow.Config) (flow.Store, error) { return store, nil }, Secret: func(string) ([]byte, error) { return []byte(markKey), nil }})
	g := guardtest.Build(b, spec, func(c *flow.Config) {
		c.Labels, c.ValuesKey = []string{"pii"}, "env:X"
	})
	m, _ := decoder.Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"text":`+string(mcp.AppendQuote(nil, text))+`}}}`))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := g.Inspect(b.Context(), &guard.Exchange{}, &m); err != nil {
			b.Fatal(err)
		}
	}
}
