package dlp_test

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/dlp"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/mcp"
)

var perKind = flag.Int("handles", 300, "random handles of each of 22 kinds; 6000 is what the documentation measures")

// handles are what servers and clients really make, by kind.
func handles(r *rand.Rand) map[string]func() string {
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	u, s := base64.RawURLEncoding.EncodeToString, base64.StdEncoding.EncodeToString
	size := func() int { return 8 + r.IntN(120) }
	return map[string]func() string{
		"base64":      func() string { return s(random(size())) },
		"base64url":   func() string { return u(random(size())) },
		"hexadecimal": func() string { return hex.EncodeToString(random(size())) },
		"uuid": func() string {
			b := random(16)
			return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
		},
		"uuid and a counter": func() string { return fmt.Sprintf("%x_%010d", random(16), r.IntN(1e9)) },
		"signed state": func() string {
			return u([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + u(fmt.Appendf(nil, `{"iat":%d,"sid":%q,"step":%d}`, 1.7e9+r.IntN(1e8), hex.EncodeToString(random(8)), r.IntN(9))) + "." + u(random(32))
		},
		"encrypted state": func() string {
			return u([]byte(`{"alg":"dir","enc":"A256GCM"}`)) + ".." + u(random(12)) + "." + u(random(size())) + "." + u(random(16))
		},
		"timed and signed": func() string { return u(random(size())) + "." + u(random(4)) + "." + u(random(20)) },
		"json in base64": func() string {
			return s(fmt.Appendf(nil, `{"offset":%d,"after":"item-%d","dir":"next"}`, r.IntN(1e6), r.IntN(1e9)))
		},
		"key in base64": func() string {
			return s(fmt.Appendf(nil, `{"last":"%s@acme-mail.net","id":%d}`, hex.EncodeToString(random(4)), r.IntN(1e9)))
		},
		"relay":        func() string { return s(fmt.Appendf(nil, "arrayconnection:%d", r.IntN(1e6))) },
		"snowflake":    func() string { return strconv.FormatInt(1<<60+r.Int64N(1<<59), 10) },
		"milliseconds": func() string { return strconv.FormatInt(17e11+r.Int64N(1e11), 10) },
		"microseconds": func() string { return strconv.FormatInt(17e14+r.Int64N(1e14), 10) },
		"ulid": func() string {
			return strings.ToUpper(strconv.FormatInt(1<<62+r.Int64N(1<<61), 32) + strconv.FormatInt(1<<62+r.Int64N(1<<61), 32))
		},
		"counted": func() string { return fmt.Sprintf("req-%d-%d", r.IntN(1e6), r.IntN(1e6)) },
		"gob":     func() string { return s(gobbed(fmt.Sprintf("list_%s_%d", hex.EncodeToString(random(3)), r.IntN(1e4)))) }, // the Go SDK's cursors
		"name in base64": func() string { // those of mcp-go
			return s(fmt.Appendf(nil, "file:///srv/%x/report-%d.txt", random(4), r.IntN(1e6)))
		},
		"base32": func() string { return base32.StdEncoding.EncodeToString(random(17))[:26] }, // the Go SDK's sessions
		"session and a uuid": func() string {
			b := random(16)
			return fmt.Sprintf("mcp-session-%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
		},
		"stream and an event": func() string {
			return fmt.Sprintf("%x_%d_%s", random(16), 17e11+r.Int64N(1e11), strconv.FormatInt(r.Int64N(1<<40), 36))
		},
		"nanoid": func() string { return u(random(16))[:21] },
	}
}

// gobbed is what the Go SDK puts into a cursor.
func gobbed(last string) []byte {
	var b bytes.Buffer
	_ = gob.NewEncoder(&b).Encode(&struct{ LastUID string }{last}) // into memory
	return b.Bytes()
}

// A cursor that is refused ends a list on its first page, so that random letters must
// not look like a secret, whoever made them.
func TestRandomHandlesPass(t *testing.T) {
	each := *perKind
	g := build(t, func(c *dlp.Config) {
		c.ToServer, c.ToClient = dlp.Actions{PII: "block", Secret: "block"}, dlp.Actions{PII: "block", Secret: "block"}
	})
	r := rand.New(rand.NewPCG(7, 99))
	total := 0
	for kind, next := range handles(r) {
		wrong := 0
		for range each {
			h := next()
			total++
			for _, raw := range []struct {
				dir  mcp.Direction
				text string
			}{
				{mcp.ToServer, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"` + h + `"}}`},
				{mcp.ToServer, `{"jsonrpc":"2.0","id":"` + h + `","method":"tools/call","params":{"name":"t","_meta":{"progressToken":"` + h + `"}}}`},
				{mcp.ToClient, `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"nextCursor":"` + h + `"}}`},
			} {
				if strings.Contains(raw.text, `"id":"`) && (len(h) > 256 || strings.Contains(kind, "state") || kind == "key in base64") {
					continue // no client makes such ids
				}
				if v, _ := judge(t, g, raw.dir, raw.text); v.Action != guard.Allow {
					if wrong++; wrong <= 3 {
						t.Logf("%s: %s: %s", kind, h, v.Detail)
					}
				}
			}
		}
		if wrong > 3*each/300 {
			t.Errorf("%s: %d of %d messages are refused", kind, wrong, 3*each)
		}
	}
	t.Logf("%d handles", total)
}

func TestAnIdThatIsACardIsRefused(t *testing.T) {
	g := build(t, func(c *dlp.Config) { c.ToServer = dlp.Actions{PII: "block", Secret: "block"} })
	for _, c := range []struct {
		raw  string
		want guard.Reason
	}{
		{`"id":4111111111111111,"method":"ping"}`, dlp.PIIBlocked},
		{`"id":1,"method":"tools/list","params":{"_meta":{"progressToken":4111111111111111}}}`, dlp.PIIBlocked},
		{`"id":"ada.lovelace@acme-mail.net","method":"ping"}`, dlp.PIIBlocked},
		{`"id":"` + token + `","method":"ping"}`, dlp.SecretBlocked},
		{`"id":"` + token + `","result":{}}`, dlp.SecretBlocked},
		{`"id":1,"method":"ping","note":"` + token + `"}`, dlp.SecretBlocked},
		{`"id":1,"method":"ping","` + token + `":1}`, dlp.SecretBlocked},
		{`"id":1764168000123,"method":"ping"}`, ""},
		{`"id":"7","method":"ping"}`, ""},
	} {
		if v, _ := judge(t, g, mcp.ToServer, `{"jsonrpc":"2.0",`+c.raw); v.Reason != c.want {
			t.Errorf("%s: %q %s", c.raw, v.Reason, v.Detail)
		}
	}
}

func BenchmarkGuard(b *testing.B) { guardtest.Benchmark(b, dlp.Spec(ports), guardtest.Config{}) }

// BenchmarkHandles is what ids and headers as clients have them add to a call.
func BenchmarkHandles(b *testing.B) {
	ordinary := guardtest.Headers{":authority": "localhost", ":method": "POST", ":path": "/mcp/crm", "content-type": "application/json", "user-agent": "python-httpx/0.28.1",
		"accept": "application/json, text/event-stream", "mcp-session-id": "a7c6b5d4e3f29180a7c6b5d4e3f29180", "mcp-protocol-version": "2025-11-25", "x-request-id": "6f1c2b0e-3c55-4d5e-9d8e-0c1b2a3f4d5e"}
	for name, c := range map[string]struct {
		h  guard.Headers
		id string
	}{"no headers": {nil, "7"}, "headers": {ordinary, "7"}, "uuid": {ordinary, `"6f1c2b0e-3c55-4d5e-9d8e-0c1b2a3f4d5e"`}, "base64": {ordinary, `"k3Jx9QpLm2Vb7Nc4Rt8Ws1Yz5Hd6Fg0U"`}} {
		b.Run(name, func(b *testing.B) {
			g := build(b, nil)
			m, f := decoder.Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":`+c.id+`,"method":"tools/call","params":{"name":"read_file","arguments":{"text":"`+strings.Repeat("The quick brown fox, 4711. ", 7)+`"}}}`))
			if f != nil {
				b.Fatal(f)
			}
			x := &guard.Exchange{Server: guard.Server{Name: "crm"}, Headers: c.h, Session: "a7c6b5d4e3f29180a7c6b5d4e3f29180"}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Inspect(b.Context(), x, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
