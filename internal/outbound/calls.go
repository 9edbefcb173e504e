package outbound

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Calls remembers which requests went to servers lately, so that the receipt of a
// connection can name the call that may have caused it. All of that is a hint: a
// trace id is what somebody sent, and a server may work on several calls at a time.
type Calls struct {
	mu      sync.Mutex
	watched map[string]bool // servers that some workload is
	servers map[string][]call
	now     func() time.Time
}

type call struct {
	exchange, trace string
	at              time.Time
	answered        bool
}

const (
	remembered = 64 // calls of one server
	named      = 8  // in one receipt
	lately     = time.Minute
)

// NewCalls returns an empty memory.
func NewCalls(now func() time.Time) *Calls {
	return &Calls{servers: make(map[string][]call), now: now}
}

// Watch says which servers are remembered, from now on.
func (c *Calls) Watch(servers []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watched = make(map[string]bool, len(servers))
	for _, s := range servers {
		c.watched[s] = true
	}
	for s := range c.servers {
		if !c.watched[s] {
			delete(c.servers, s)
		}
	}
}

// Observe remembers requests that go to servers, and that they were answered. It
// implements guard.Observer.
func (c *Calls) Observe(_ context.Context, x *guard.Exchange, m *mcp.Message, d *guard.Decision) error {
	if m == nil || x.Server.Name == "" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.watched[x.Server.Name] {
		return nil
	}
	list := c.servers[x.Server.Name]
	switch {
	case d.Direction == mcp.ToServer && d.Action == guard.Allow && m.Kind == mcp.Request:
		one := call{exchange: x.ID, at: c.now()}
		if x.Trace.ID != [16]byte{} {
			one.trace = hex.EncodeToString(x.Trace.ID[:])
		} else if x.Headers != nil { // nothing is traced here, and the server gets what the client sent
			if v, n := x.Headers.Get("traceparent"); n == 1 {
				one.trace = traceID(v)
			}
		}
		if len(list) == remembered {
			list = append(list[:0], list[1:]...)
		}
		c.servers[x.Server.Name] = append(list, one)
	case d.Direction == mcp.ToClient && (m.Kind == mcp.Response || m.Kind == mcp.Failure):
		for i := range slices.Backward(list) {
			if list[i].exchange == x.ID {
				list[i].answered = true
				break
			}
		}
	}
	return nil
}

// causes returns the exchange whose trace the connection claims to belong to, if
// there is one of these servers and only one; otherwise those that may be meant.
func (c *Calls) causes(servers []string, traceparent string) (cause string, candidates []string) {
	if c == nil || len(servers) == 0 {
		return "", nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	trace, now := traceID(traceparent), c.now()
	var traced, open []string
	for _, s := range servers {
		for _, one := range c.servers[s] {
			if now.Sub(one.at) > lately {
				continue
			}
			if trace != "" && one.trace == trace {
				traced = append(traced, one.exchange)
			}
			if !one.answered {
				open = append(open, one.exchange)
			}
		}
	}
	if len(traced) == 1 {
		return traced[0], nil
	}
	if len(traced) > 1 { // an agent may have one trace for all that it does
		if both := slices.DeleteFunc(slices.Clone(traced), func(x string) bool { return !slices.Contains(open, x) }); len(both) == 1 {
			return both[0], nil
		}
		open = traced
	}
	return "", open[max(0, len(open)-named):]
}

// traceID returns the trace id of a traceparent (W3C Trace Context, 3.2), or nothing.
func traceID(traceparent string) string {
	p := strings.Split(traceparent, "-")
	if len(p) < 4 || len(p[0]) != 2 || len(p[1]) != 32 || strings.Trim(p[1], "0123456789abcdef") != "" || strings.Trim(p[1], "0") == "" {
		return ""
	}
	return p[1]
}
