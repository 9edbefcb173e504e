package trace

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/telemetry"
	"github.com/sallyport/sallyport/mcp"
)

// Show says what spans carry beside what happened.
type Show struct {
	Hashes    bool // of prompts and arguments, under a key
	Tools     bool // what the registry says of the tool
	Tokens    bool
	Cost      bool
	Latencies bool // of guards and server
}

// Rules are what is traced under one configuration.
type Rules struct {
	t *Tracer
	Policy
}

// Policy says which traces are kept, and what they show.
type Policy struct {
	Show
	Sample       float64       // share that is kept by chance, from 0 to 1
	ProxyChooses bool          // a proxy that sends its spans makes the choice, so that both are kept or neither
	Slow         time.Duration // what takes longer is kept; 0: for nothing
	Key          []byte        // of hashes
}

// Under returns the rules of one configuration. They are a gate.Tracer and a
// guard.Witness.
func (t *Tracer) Under(p Policy) *Rules { return &Rules{t, p} }

// Bounds of what is recorded of one exchange; a stream may stay open for hours.
const (
	maxDecisions = 64
	maxEntries   = 512
)

// record is what happened in one exchange.
type record struct {
	header, body, proxy point // places told by headers, by the message, and of the proxy's own span
	home                point // where the proxy's spans belong
	link                point

	decisions []decision
	entries   []guard.Entry
	left      int // decisions that found no room
	hash      string

	x       guard.Exchange // of which no slots, headers or messages are used
	usage   guard.Usage
	labels  []string
	out     guard.Outcome
	outcome string
	kind    string
	ended   time.Time
	show    Show
	session string // hashed, as is subject
	subject string
}

type decision struct {
	at          time.Time
	took        time.Duration
	direction   mcp.Direction
	action      guard.Action
	reason      guard.Reason
	guard       string
	policy      string
	edited      bool
	first, last int // its entries
	events      []guard.Event
}

var records = guard.NewSlot[*record]()

func (rec *record) reset() {
	clear(rec.entries)
	clear(rec.decisions)
	*rec = record{decisions: rec.decisions[:0], entries: rec.entries[:0]}
}

// Observe implements guard.Observer.
func (r *Rules) Observe(_ context.Context, x *guard.Exchange, m *mcp.Message, d *guard.Decision) error {
	rec, _ := records.Get(x)
	if rec == nil {
		return nil
	}
	if m != nil && r.Hashes && rec.hash == "" && d.Direction == mcp.ToServer && (x.Trace.Kept || d.Action != guard.Allow) {
		rec.hash = r.arguments(m)
	}
	if len(rec.decisions) >= maxDecisions || len(rec.entries)+len(d.Journal) > maxEntries {
		rec.left++
		return nil
	}
	first := len(rec.entries)
	rec.entries = append(rec.entries, d.Journal...)
	rec.decisions = append(rec.decisions, decision{
		at: d.At, took: d.Took, direction: d.Direction, action: d.Action, reason: d.Reason, guard: d.Guard, policy: d.Policy, edited: d.Edited,
		first: first, last: len(rec.entries), events: d.Events,
	})
	return nil
}

// arguments returns the hash of what a tool or prompt is called with.
func (r *Rules) arguments(m *mcp.Message) string {
	if m.Method != "tools/call" && m.Method != "prompts/get" {
		return ""
	}
	v, ok := mcp.Member(m.Params, "arguments")
	if !ok {
		return ""
	}
	return r.digest(v)
}

// digest is keyed: what is guessed cannot be told from traces without the key.
func (r *Rules) digest(b []byte) string {
	h := hmac.New(sha256.New, r.Key)
	h.Write(b)
	var sum [sha256.Size]byte
	return hex.EncodeToString(h.Sum(sum[:0])[:16])
}

// Ended implements guard.Witness: now it is known whether the exchange is worth
// keeping.
func (r *Rules) Ended(_ context.Context, x *guard.Exchange, o *guard.Outcome) {
	rec, _ := records.Get(x)
	if rec == nil {
		return
	}
	records.Set(x, nil)
	rec.outcome, rec.kind = telemetry.Judge(o)
	if !x.Trace.Kept && r.notable(x, rec.outcome, o.Elapsed) && r.t.take(&r.t.notable) {
		x.Trace.Kept = true
	}
	if !x.Trace.Kept {
		r.t.pool.Put(rec)
		return
	}
	rec.out, rec.usage, rec.show, rec.ended = *o, x.Usage(), r.Show, x.Started.Add(o.Elapsed)
	rec.x = guard.Exchange{ // what guards noted stays behind: the queue may wait long for its receiver
		ID: x.ID, Server: x.Server, Principal: x.Principal, Source: x.Source, Verb: x.Verb, Revision: x.Revision, Started: x.Started, Asked: x.Asked, Trace: x.Trace,
	}
	rec.x.Asked.Name, rec.x.Asked.Clear, rec.x.Asked.Method = short(x.Asked.Name), short(x.Asked.InClear()), short(x.Asked.Method)
	if len(x.Asked.ID) > maxKeptText {
		rec.x.Asked.ID = slices.Clone(x.Asked.ID[:maxKeptText])
	}
	rec.labels = append([]string(nil), x.Labels()...)
	if x.Session != "" {
		rec.session = r.digest([]byte(x.Session))
	}
	if x.Principal.Subject != "" {
		rec.subject = r.digest([]byte(x.Principal.Issuer + "\x00" + x.Principal.Subject))
	}
	if rec.proxy.ok {
		r.t.relay.keep(rec.proxy.trace, rec.home, rec.ended)
	}
	select {
	case r.t.queue <- rec:
	default:
		r.t.dropped.Add(1)
		r.t.pool.Put(rec)
	}
}

// maxKeptText bounds what clients chose in a record; spans show less. A name may be
// as long as a message.
const maxKeptText = 4 * maxText

func short(s string) string {
	if len(s) > maxKeptText {
		return strings.Clone(s[:maxKeptText])
	}
	return s
}

// notable reports whether an exchange is kept for what happened in it.
func (r *Rules) notable(x *guard.Exchange, outcome string, took time.Duration) bool {
	switch outcome {
	case telemetry.OK, telemetry.Reset: // that clients leave is how streams end
		return r.Slow > 0 && took >= r.Slow && x.Asked.Method != mcp.MethodListen
	}
	return true
}
