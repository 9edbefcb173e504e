package chain

import "math/bits"

// Tree is a Merkle tree that only grows. It keeps the roots of its complete
// subtrees, largest first, and so needs little memory however large it is.
type Tree struct {
	s     *Hasher
	size  uint64
	roots []Hash
}

// NewTree returns an empty tree.
func NewTree(s *Hasher) *Tree { return &Tree{s: s} }

// Size returns the number of leaves.
func (t *Tree) Size() uint64 { return t.size }

// Add appends the leaf of a line.
func (t *Tree) Add(line Hash) {
	h := t.s.leaf(line)
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(t.roots) - 1
		h = t.s.node(t.roots[last], h)
		t.roots = t.roots[:last]
	}
	t.roots = append(t.roots, h)
	t.size++
}

// Root returns the root of the leaves so far (RFC 6962, 2.1).
func (t *Tree) Root() Hash {
	if t.size == 0 {
		t.s.h.Reset()
		t.s.h.Sum(t.s.sum[:0])
		return t.s.sum
	}
	h := t.roots[len(t.roots)-1]
	for i := len(t.roots) - 2; i >= 0; i-- {
		h = t.s.node(t.roots[i], h)
	}
	return h
}

// root returns the root over the leaves of lines.
func root(s *Hasher, lines []Hash) Hash {
	t := NewTree(s)
	for _, l := range lines {
		t.Add(l)
	}
	return t.Root()
}

// split is the largest power of two below n.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// Inclusion returns the audit path of lines[i] (RFC 6962, 2.1.1).
func Inclusion(lines []Hash, i int) []Hash { return inclusion(NewHasher(), lines, i) }

func inclusion(s *Hasher, lines []Hash, i int) []Hash {
	if len(lines) <= 1 {
		return nil
	}
	k := split(len(lines))
	if i < k {
		return append(inclusion(s, lines[:k], i), root(s, lines[k:]))
	}
	return append(inclusion(s, lines[k:], i-k), root(s, lines[:k]))
}

// Consistency returns the proof that the tree over lines[:m] is the beginning
// of the tree over lines (RFC 6962, 2.1.2); m is from 1 to len(lines).
func Consistency(lines []Hash, m int) []Hash { return subproof(NewHasher(), lines, m, true) }

func subproof(s *Hasher, lines []Hash, m int, whole bool) []Hash {
	if m == len(lines) {
		if whole {
			return nil
		}
		return []Hash{root(s, lines)}
	}
	k := split(len(lines))
	if m <= k {
		return append(subproof(s, lines[:k], m, whole), root(s, lines[k:]))
	}
	return append(subproof(s, lines[k:], m-k, false), root(s, lines[:k]))
}

// Included reports whether path proves that line is leaf index of the tree of
// that size and root (RFC 9162, 2.1.3.2).
func Included(line Hash, index, size uint64, path []Hash, root Hash) bool {
	if index >= size {
		return false
	}
	s := NewHasher()
	fn, sn, r := index, size-1, s.leaf(line)
	for _, p := range path {
		if sn == 0 {
			return false
		}
		if fn&1 == 1 || fn == sn {
			r = s.node(p, r)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			r = s.node(r, p)
		}
		fn, sn = fn>>1, sn>>1
	}
	return sn == 0 && r == root
}

// Consistent reports whether path proves that the tree of size m and root old
// is the beginning of the tree of size n and root now (RFC 9162, 2.1.4.2).
func Consistent(m, n uint64, path []Hash, old, now Hash) bool {
	switch {
	case m == 0 || m > n:
		return false
	case m == n:
		return len(path) == 0 && old == now
	}
	if m&(m-1) == 0 {
		path = append([]Hash{old}, path...)
	}
	if len(path) == 0 {
		return false
	}
	s := NewHasher()
	fn, sn := m-1, n-1
	for fn&1 == 1 {
		fn, sn = fn>>1, sn>>1
	}
	fr, sr := path[0], path[0]
	for _, c := range path[1:] {
		if sn == 0 {
			return false
		}
		if fn&1 == 1 || fn == sn {
			fr, sr = s.node(c, fr), s.node(c, sr)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			sr = s.node(sr, c)
		}
		fn, sn = fn>>1, sn>>1
	}
	return sn == 0 && fr == old && sr == now
}
