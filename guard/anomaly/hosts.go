package anomaly

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/inspect/destination"
	"github.com/sallyport/sallyport/internal/inspect/wire"
	"github.com/sallyport/sallyport/mcp"
)

// searched is how far into arguments hosts are looked for, and how many are
// noted. Who hides one behind that hides it from this guard, and not from egress.
const (
	searched = 64 << 10
	noted    = 16
)

// named returns the hosts that a call names.
func named(m *mcp.Message) []string {
	part, _ := mcp.Member(m.Params, "arguments")
	if m.Method == "resources/read" {
		part, _ = mcp.Member(m.Params, "uri")
	}
	if part == nil {
		return nil
	}
	var out []string
	var r wire.Reader
	_ = r.EachText(part, func(t *wire.Text) {
		if at, _ := t.Span(0, 0); t.Kind == mcp.LeafNumber || len(out) >= noted || at > searched {
			return
		}
		for _, d := range destination.Find(t.Value[:min(len(t.Value), searched)], t.Key) {
			if d.Err != nil || d.Host == "" || len(out) >= noted || m.Method == "resources/read" && d.Scheme != "" && !strings.HasPrefix(d.Scheme, "http") {
				continue
			}
			if !slices.Contains(out, d.Host) {
				out = append(out, d.Host)
			}
		}
	})
	return out
}
