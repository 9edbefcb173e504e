// Package automaton runs many regular expressions over a text at once, in time
// linear in the text: a deterministic automaton whose states are made when they
// are first needed and are kept up to a bound.
package automaton

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strconv"
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

// beyond stands for every character that is not ASCII.
const beyond = 'é'

// dead is where no pattern can match any more.
var dead = new(state)

// Compile compiles patterns in Go's syntax. Anchors, word boundaries and
// characters beyond ASCII are errors; so are patterns that match nothing.
func Compile(patterns []string) (*Automaton, error) {
	a := &Automaton{states: make(map[string]*state)}
	var starts []uint32
	if len(patterns) > 1<<16-1 {
		return nil, errors.New("automaton: compile: too many patterns")
	}
	var errs []error
	sets := make(map[string]*set)
	for id, p := range patterns {
		at, err := a.add(p, uint16(id), sets)
		if err != nil {
			errs = append(errs, fmt.Errorf("pattern %q: %w", p, err))
			continue
		}
		starts = append(starts, a.sets[at]...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	a.classify(sets)
	a.start = a.intern(starts)
	return a, nil
}

func (a *Automaton) add(pattern string, id uint16, sets map[string]*set) (uint32, error) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return 0, err
	}
	base := uint32(len(a.insts))
	for i := range prog.Inst {
		in := &prog.Inst[i]
		var out inst
		switch in.Op {
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			for _, r := range in.Rune {
				if in.Op == syntax.InstRune1 && r > 127 {
					return 0, errors.New("a character beyond ASCII; write it as a context word")
				}
			}
			key := strconv.Itoa(int(in.Op)) + "," + strconv.Itoa(int(in.Arg)) + "," + string(in.Rune)
			if sets[key] == nil {
				sets[key] = &set{rune: *in}
			}
			out.on = sets[key]
		case syntax.InstEmptyWidth:
			return 0, errors.New("anchors and word boundaries are not needed: matches begin and end where words do")
		case syntax.InstMatch:
			out.match = id
		}
		a.insts = append(a.insts, out)
	}
	return a.closures(prog, base), nil
}

// closures gives the instructions from base on the sets of instructions that
// follow them, empty edges taken, and returns the set that begins the pattern.
func (a *Automaton) closures(prog *syntax.Prog, base uint32) uint32 {
	reach := func(pc uint32) []uint32 {
		var out []uint32
		seen := make(map[uint32]bool)
		stack := []uint32{pc}
		for len(stack) > 0 {
			pc := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if seen[pc] {
				continue
			}
			seen[pc] = true
			switch in := &prog.Inst[pc]; in.Op {
			case syntax.InstAlt, syntax.InstAltMatch:
				stack = append(stack, in.Arg, in.Out)
			case syntax.InstCapture, syntax.InstNop:
				stack = append(stack, in.Out)
			case syntax.InstFail:
			default:
				out = append(out, base+pc)
			}
		}
		return out
	}
	memo := make(map[uint32]uint32)
	group := func(pc uint32) uint32 {
		if g, ok := memo[pc]; ok {
			return g
		}
		a.sets = append(a.sets, reach(pc))
		memo[pc] = uint32(len(a.sets) - 1)
		return memo[pc]
	}
	for i := range prog.Inst {
		if in := &a.insts[base+uint32(i)]; in.on != nil {
			in.out = group(prog.Inst[i].Out)
		}
	}
	return group(uint32(prog.Start))
}

// classify divides the bytes into classes that no set tells apart.
func (a *Automaton) classify(sets map[string]*set) {
	ordered := make([]*set, 0, len(sets))
	for _, s := range sets {
		ordered = append(ordered, s)
	}
	classes := make(map[string]uint8)
	classOf := func(r rune) uint8 {
		key := make([]byte, len(ordered))
		for i, s := range ordered {
			if s.rune.MatchRune(r) {
				key[i] = 1
			}
		}
		id, ok := classes[string(key)]
		if !ok {
			id = uint8(len(classes))
			classes[string(key)] = id
			for i, s := range ordered {
				s.take = append(s.take, key[i] == 1)
			}
		}
		return id
	}
	for c := range 128 {
		a.class[c] = classOf(rune(c))
	}
	other := classOf(beyond)
	a.count = len(classes)
	a.skip = uint8(a.count)
	for c := 128; c < 256; c++ {
		a.class[c] = other
		if c < 0xc0 {
			a.class[c] = a.skip
		}
	}
}

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

// Trail remembers the states of long matches, so that of matches that run into
// one another only the first goes on: what they find from there is the same.
// Without it, a text of nothing but beginnings would be read again from each.
type Trail struct{ places [][kept]*state }

const (
	stride  = 64  // bytes between the places that are remembered
	patient = 128 // bytes that every match may have for itself
	kept    = 8   // states of one place
)

// Reset forgets the trail and makes room for a text of n bytes.
func (t *Trail) Reset(n int) {
	n = n/stride + 1
	if cap(t.places) < n {
		t.places = make([][kept]*state, n)
		return
	}
	t.places = t.places[:n]
	clear(t.places)
}

// seen reports whether a match came by before, and remembers this one.
func (t *Trail) seen(s *state, i int) bool {
	p := &t.places[i/stride]
	for k := range p {
		switch p[k] {
		case s:
			return true
		case nil:
			p[k] = s
			return false
		}
	}
	p[i/len(p)%len(p)] = s
	return false
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
