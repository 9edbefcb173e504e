package automaton

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
