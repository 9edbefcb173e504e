package guardtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Benchmark measures a guard's answer about a tool call, and about its result,
// of 200 bytes, 10 KiB and 1 MiB. It asserts nothing: what a guard may cost is
// for its documentation to say.
func Benchmark(b *testing.B, spec guard.Spec, c Config) {
	g := build(b, spec, c)
	if g == nil {
		b.Skip("as configured, there is nothing for the guard to do")
	}
	for _, size := range []int{200, 10 << 10, 1 << 20} {
		filler := strings.Repeat("The quick brown fox, 4711. ", size/27+1)[:size]
		for _, q := range []question{
			{name: "call", dir: mcp.ToServer, text: `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_file","arguments":{"text":"` + filler + `"}}}`},
			{name: "result", dir: mcp.ToClient, text: `{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"` + filler + `"}]}}`},
		} {
			q.revision, q.known, q.decoder = mcp.R20251125, true, decoder()
			if q.dir == mcp.ToClient {
				q.asked = guard.Asked{Kind: mcp.Request, ID: []byte("7"), Method: "tools/call", Name: "read_file"}
			}
			b.Run(fmt.Sprintf("%s/%d", q.name, size), func(b *testing.B) {
				x, m := q.exchange(), q.message()
				b.SetBytes(int64(len(m.Raw)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := g.Inspect(b.Context(), x, m); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
