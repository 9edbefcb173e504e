package chain

// Levels is a whole Merkle tree, for the paths of many lines: the first level has
// the leaves, and each other one the nodes over two of the one below. A node
// without a neighbour is the same in the level above.
type Levels [][]Hash

// NewLevels builds the tree over lines.
func NewLevels(lines []Hash) Levels {
	s := NewHasher()
	level := make([]Hash, len(lines))
	for i, l := range lines {
		level[i] = s.leaf(l)
	}
	out := Levels{level}
	for len(level) > 1 {
		next := make([]Hash, 0, (len(level)+1)/2)
		for i := 0; i+1 < len(level); i += 2 {
			next = append(next, s.node(level[i], level[i+1]))
		}
		if len(level)%2 == 1 {
			next = append(next, level[len(level)-1])
		}
		level = next
		out = append(out, level)
	}
	return out
}

// Inclusion returns the audit path of line i, as the function of that name does.
func (l Levels) Inclusion(i int) []Hash {
	var path []Hash
	for _, level := range l {
		if at := i ^ 1; at < len(level) {
			path = append(path, level[at])
		}
		i /= 2
	}
	return path
}
