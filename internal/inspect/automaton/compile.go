package automaton

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strconv"
)

// beyond stands for every character that is not ASCII.
const beyond = 'é'

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
