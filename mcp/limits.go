package mcp

import (
	"hash/maphash"
	"math"
	"sync"
)

// Limits bounds what [Decoder.Decode] accepts. A field that is zero or
// negative takes its value from [DefaultLimits].
type Limits struct {
	Bytes       int // length of one message, in bytes
	Depth       int // objects and arrays open at the same time; the message itself is the first
	NumberLen   int // length of one number as written, in bytes
	StringIDLen int // length of a string id as written, in bytes without the quotes
	Keys        int // members of one object
}

// DefaultLimits returns the limits of a gateway that was told nothing else:
// 4 MiB, which is what SDK servers accept by default, 64 levels, numbers of 64
// characters, ids of 256 bytes, 16384 members in an object.
func DefaultLimits() Limits {
	return Limits{Bytes: 4 << 20, Depth: 64, NumberLen: 64, StringIDLen: 256, Keys: 16384}
}

func (l Limits) withDefaults() Limits {
	def := DefaultLimits()
	for _, f := range [...]struct{ have, def *int }{
		{&l.Bytes, &def.Bytes}, {&l.Depth, &def.Depth}, {&l.NumberLen, &def.NumberLen},
		{&l.StringIDLen, &def.StringIDLen}, {&l.Keys, &def.Keys},
	} {
		if *f.have <= 0 {
			*f.have = *f.def
		}
	}
	l.Bytes = min(l.Bytes, math.MaxInt32) // offsets are kept in 32 bits
	return l
}

// Config is what an operator decides about decoding.
type Config struct {
	Limits       Limits
	ExtraMethods []string // methods outside the protocol that are allowed, e.g. "acme/thing"
	AnyNames     bool     // tool names outside [A-Za-z0-9_.-]{1,128} are allowed; control characters never are
	URIs         Exposure // how much of the URIs of resources may be written down
}

// Decoder reads messages. It is immutable and safe for concurrent use.
type Decoder struct {
	limits   Limits
	extra    map[string]struct{}
	anyNames bool
	uris     Exposure
	seed     maphash.Seed // secret, so that nobody can prepare colliding keys
	scratch  sync.Pool    // of *scan
}

// NewDecoder returns a decoder for c.
func NewDecoder(c Config) *Decoder {
	d := &Decoder{
		limits:   c.Limits.withDefaults(),
		extra:    make(map[string]struct{}, len(c.ExtraMethods)),
		anyNames: c.AnyNames,
		uris:     c.URIs,
		seed:     maphash.MakeSeed(),
	}
	for _, m := range c.ExtraMethods {
		d.extra[m] = struct{}{}
	}
	d.scratch.New = func() any { return new(scan) }
	return d
}

// Limits returns the limits in force.
func (d *Decoder) Limits() Limits { return d.limits }
