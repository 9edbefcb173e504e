package guard

import "encoding/hex"

// Trace is the place of an exchange in a distributed trace (W3C Trace Context).
// The zero Trace is none. It comes from what callers claim, so nothing is decided
// by it.
type Trace struct {
	ID     [16]byte // of the trace
	Span   [8]byte  // of the exchange itself
	Parent [8]byte  // span that the exchange is part of; zero for none
	InBody bool     // the caller told its place in params._meta, so the server is told ours there too
	Kept   bool     // it is known that the trace is kept
}

// On reports whether the exchange has a place in a trace.
func (t *Trace) On() bool { return t.ID != [16]byte{} }

// AppendID appends the id of the trace, in hex.
func (t *Trace) AppendID(b []byte) []byte { return hex.AppendEncode(b, t.ID[:]) }

// AppendSpan appends the id of the exchange's span, in hex.
func (t *Trace) AppendSpan(b []byte) []byte { return hex.AppendEncode(b, t.Span[:]) }

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
