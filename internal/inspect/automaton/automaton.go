// Package automaton runs many regular expressions over a text at once, in time
// linear in the text: a deterministic automaton whose states are made when they
// are first needed and are kept up to a bound.
package automaton

import (
	"regexp/syntax"
	"slices"
	"sync"
	"sync/atomic"
)

// Automaton is a set of patterns that are matched from one given position. It
// is safe for concurrent use. Characters beyond ASCII are all alike to it: a
// class that is not limited to ASCII matches any of them.
type Automaton struct {
	class [256]uint8 // of a byte; continuation bytes have the class skip
	skip  uint8
	count int // classes, without skip
	insts []inst
	sets  [][]uint32 // of consuming and matching instructions, which the insts' out names
	start *state

	mu     sync.Mutex
	states map[string]*state
}

type inst struct {
	out   uint32 // index of sets
	on    *set   // nil for a match
	match uint16 // pattern
}

// set says which classes a character set takes.
type set struct {
	take []bool
	rune syntax.Inst
}

type state struct {
	next    []atomic.Pointer[state]
	pcs     []uint32
	accepts []uint16
}

// Hit is a pattern with the end of its longest match.
type Hit struct {
	Pattern int
	End     int
}

// maxStates bounds what is kept. Beyond it states are made again each time.
const maxStates = 30000

// dead is where no pattern can match any more.
var dead = new(state)

// intern returns the state for a set of instructions, which it sorts.
func (a *Automaton) intern(pcs []uint32) *state {
	if len(pcs) == 0 {
		return dead
	}
	slices.Sort(pcs)
	pcs = slices.Compact(pcs)
	key := make([]byte, 0, 4*len(pcs))
	for _, pc := range pcs {
		key = append(key, byte(pc), byte(pc>>8), byte(pc>>16), byte(pc>>24))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if s, ok := a.states[string(key)]; ok {
		return s
	}
	s := &state{pcs: pcs, next: make([]atomic.Pointer[state], a.count)}
	for _, pc := range pcs {
		if a.insts[pc].on == nil {
			s.accepts = append(s.accepts, a.insts[pc].match)
		}
	}
	if len(a.states) < maxStates {
		a.states[string(key)] = s
	}
	return s
}

// step makes the state that follows s for a class.
func (a *Automaton) step(s *state, class uint8) *state {
	var pcs []uint32
	for _, pc := range s.pcs {
		if in := &a.insts[pc]; in.on != nil && in.on.take[class] {
			pcs = append(pcs, a.sets[in.out]...)
		}
	}
	next := a.intern(pcs)
	s.next[class].Store(next)
	return next
}

// MatchAt appends the patterns that match text from at on, each with the
// longest match that ok accepts, and ends where a word does. It reads no more
// than limit bytes. With a trail, which may be nil, a match ends where an earlier one of the same text
// came by in the same state.
func (a *Automaton) MatchAt(dst []Hit, text []byte, at, limit int, trail *Trail, ok func(pattern, end int) bool) []Hit {
	s := a.start
	limit = min(len(text), at+limit)
	first := len(dst)
	for i := at; i < limit; {
		class := a.class[text[i]]
		if class == a.skip {
			i++
			continue
		}
		next := s.next[class].Load()
		if next == nil {
			next = a.step(s, class)
		}
		if next == dead {
			return dst
		}
		s = next
		i++
		if i%stride == 0 && i-at >= patient && trail != nil && trail.seen(s, i) {
			return dst
		}
		if len(s.accepts) > 0 {
			if i < len(text) && IsWord(text[i]) && IsWord(text[i-1]) {
				continue // within a word, where most of what accepts does
			}
			for i < len(text) && text[i] >= 0x80 && text[i] < 0xc0 {
				i++ // the rest of the character
			}
			dst = note(dst, first, s.accepts, i, ok)
		}
	}
	return dst
}

// IsWord reports whether a byte is one of which words consist, as far as where they
// end goes: an ASCII letter or digit.
func IsWord(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' }

func note(dst []Hit, first int, patterns []uint16, end int, ok func(pattern, end int) bool) []Hit {
next:
	for _, p := range patterns {
		if !ok(int(p), end) {
			continue
		}
		for k := first; k < len(dst); k++ {
			if dst[k].Pattern == int(p) {
				dst[k].End = end
				continue next
			}
		}
		dst = append(dst, Hit{int(p), end})
	}
	return dst
}

// Begins reports whether any pattern can begin with the byte c.
func (a *Automaton) Begins(c byte) bool {
	class := a.class[c]
	return class != a.skip && a.step(a.start, class) != dead
}
