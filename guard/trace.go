package guard

import (
	"context"
	"encoding/hex"
)

// Trace is the place of an exchange in a distributed trace (W3C Trace Context).
// The zero Trace is none. It comes from what callers claim, so nothing is decided
// by it.
type Trace struct {
	ID     [16]byte // of the trace
	Span   [8]byte  // of the exchange itself
	Parent [8]byte  // span that the exchange is part of; zero for none
	Kept   bool     // it is known that the trace is kept
	InBody bool     // the caller told a place in params._meta, so the server is told ours there too
	State  State    // what becomes of the tracestate that comes with the caller's place
}

// State is the tracestate of a trace: a header that the client sent, which goes on
// where the place that it came with counts, or what params._meta says.
type State struct {
	Header bool   // the header goes on as it is
	Body   string // else this takes its place; empty: there is none
}

// On reports whether the exchange has a place in a trace.
func (t *Trace) On() bool { return t.ID != [16]byte{} }

// AppendID appends the id of the trace, in hex.
func (t *Trace) AppendID(b []byte) []byte { return hex.AppendEncode(b, t.ID[:]) }

// AppendSpan appends the id of the exchange's span, in hex.
func (t *Trace) AppendSpan(b []byte) []byte { return hex.AppendEncode(b, t.Span[:]) }

// AppendTraceparent appends what tells a server its place: below the exchange's
// own span (W3C Trace Context, 3.2).
func (t *Trace) AppendTraceparent(b []byte) []byte {
	b = append(t.AppendID(append(b, "00-"...)), '-')
	b = append(t.AppendSpan(b), "-00"...)
	if t.Kept {
		b[len(b)-1] = '1'
	}
	return b
}

// TraceparentLen is the length of a traceparent of the one version that there is. In
// what later versions add behind it there can be anything.
const TraceparentLen = 55

// Traceparent reads the place that somebody says to be in, in the one way that W3C
// Trace Context allows.
func Traceparent(v string) (trace [16]byte, span [8]byte, sampled, ok bool) {
	if len(v) < TraceparentLen || v[2] != '-' || v[35] != '-' || v[52] != '-' || v[:2] == "ff" || len(v) > TraceparentLen && (v[:2] == "00" || v[55] != '-') ||
		!isHex(v[:2]) || !isHex(v[3:35]) || !isHex(v[36:52]) || !isHex(v[53:55]) {
		return trace, span, false, false
	}
	var flags [1]byte
	_, _ = hex.Decode(trace[:], []byte(v[3:35]))
	_, _ = hex.Decode(span[:], []byte(v[36:52]))
	_, _ = hex.Decode(flags[:], []byte(v[53:55]))
	return trace, span, flags[0]&1 == 1, trace != [16]byte{} && span != [8]byte{}
}

// isHex reports whether s has nothing but hexadecimal digits, in lower case.
func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

type traceKey struct{}

// WithTrace returns a context that log entries get the ids of t from.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceOf returns the trace of a context, or nil.
func TraceOf(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}

// Usage is what an exchange used up, as the guards counted it.
type Usage struct {
	Cost   int64 // in millionths of a US dollar
	Tokens int64 // that the server reported
}

// Use adds to what x used up. Guards call it when they settle.
func (x *Exchange) Use(u Usage) {
	x.usage.Cost += u.Cost
	x.usage.Tokens += u.Tokens
}

// Usage returns what x used up. It is complete once the guards have settled.
func (x *Exchange) Usage() Usage { return x.usage }
