package loop

import (
	"crypto/sha256"
	"hash/crc32"
	"sync"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/recent"
	"github.com/sallyport/sallyport/mcp"
)

// call is what one exchange remembers of its call.
type call struct {
	Event
	ignore bool // any two answers are the same
	over   bool
}

var calls = guard.NewSlot[*call]()

// canonicalUpTo is the longest argument that is brought into canonical form.
// Longer ones are the same only if their bytes are.
const canonicalUpTo = 64 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// describe names a call, its tool and its callers.
func describe(x *guard.Exchange, m *mcp.Message, p *place) Event {
	pooled := buffers.Get().(*[]byte)
	b := *pooled
	e := Event{}

	b = append(x.AppendCaller(b[:0]), '/')
	if x.Principal.IsAnonymous() && !x.Peer.Verified && x.Source.IsValid() {
		// Nobody was verified, and many may share the name of nobody.
		b = append(b, x.Source.Addr().Unmap().String()...)
	}
	b = guard.AppendText(b, x.Principal.Task)
	e.Caller = digest('a', b)

	agent := guard.AppendText(append(b[:0], e.Caller[:]...), x.Principal.Agent)
	if e.Agent = crc32.ChecksumIEEE(agent); x.Principal.Agent == "" && x.Principal.Client != "" {
		e.Agent = crc32.ChecksumIEEE(guard.AppendText(agent, x.Principal.Client))
	}
	b = guard.AppendText(guard.AppendText(agent, x.Server.Name), m.Name)
	e.Tool = digest('t', b)

	b = append(b[:0], e.Tool[:]...)
	for _, key := range [...]string{"arguments", "inputResponses", "requestState"} {
		v, ok := mcp.Member(m.Params, key)
		if !ok {
			continue
		}
		b = append(b, key[0])
		if len(v) <= canonicalUpTo {
			if out, ok := mcp.AppendCanonical(b, v); ok {
				b = out
				continue
			}
		}
		sum := sha256.Sum256(v)
		b = append(b, sum[:]...)
	}
	e.Call = digest('c', b)

	if p.trace != "" || x.Principal.Task != "" {
		// Whoever shares a task, which is verified, or a trace, which is not, with
		// others of its tenant.
		b = guard.AppendText(guard.AppendText(b[:0], x.Principal.Tenant), x.Principal.Issuer)
		if x.Principal.Task != "" {
			b = guard.AppendText(append(b, 't'), x.Principal.Task)
		} else {
			b = append(b, p.trace...)
		}
		e.Conversation = digest('v', b)
	}
	if cap(b) <= 2*canonicalUpTo {
		*pooled = b
		buffers.Put(pooled)
	}
	return e
}

// digest names what b says. kind keeps names of different kinds apart.
func digest(kind byte, b []byte) recent.Key {
	b = append(b, kind)
	sum := sha256.Sum256(b)
	return recent.Key(sum[:16])
}

// Digests of answers that are no results.
const (
	noAnswer  = 1
	anyAnswer = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// answer is the digest of a result, without what is not for the agent. Two
// answers that look the same by accident make a row one longer, no more.
func answer(m *mcp.Message) (sum uint64, failed bool) {
	part, failed := m.Result, false
	if m.Kind == mcp.Failure {
		part, failed = m.Error, true
	}
	crc, n := uint32(0), 0
	add := func(b []byte) { crc, n = crc32.Update(crc, castagnoli, b), n+len(b) }
	for key, value := range mcp.Members(part) {
		if key == "_meta" {
			continue
		}
		if key == "isError" && string(value) == "true" {
			failed = true
		}
		add([]byte(key))
		add(value)
	}
	return uint64(crc)<<32 | uint64(uint32(n)) | 1<<31, failed
}
