package recogniser

import "slices"

// resolve appends what is left when of findings that overlap the better one
// stays: the higher score, then the one that begins first, then the longer.
// Findings come about in order, and those that overlap stand together, so that
// mostly a few are compared with one another.
func (s *Scanner) resolve(dst []Finding) []Finding {
	found := s.found
	byStart := func(a, b candidate) int { return a.Start - b.Start }
	if !slices.IsSortedFunc(found, byStart) {
		slices.SortStableFunc(found, byStart)
	}
	for i := 0; i < len(found); {
		end, j := found[i].End, i+1
		for ; j < len(found) && found[j].Start < end; j++ {
			end = max(end, found[j].End)
		}
		dst = s.best(dst, found[i:j], found[i].Start, end)
		i = j
	}
	return dst
}

// best appends what is left of findings that stand between start and end.
func (s *Scanner) best(dst []Finding, found []candidate, start, end int) []Finding {
	if len(found) == 1 {
		return append(dst, found[0].Finding)
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		switch {
		case a.Score != b.Score:
			return sign(b.Score > a.Score)
		case a.Start != b.Start:
			return a.Start - b.Start
		}
		return b.End - a.End
	})
	from := len(dst)
	many := len(found) > few // then comparing each with each would not be linear
	if many {
		s.taken = slices.Grow(s.taken[:0], end-start+1)[:end-start+1]
		clear(s.taken)
	}
next:
	for i := range found {
		f := found[i].Finding
		if many {
			span := s.taken[f.Start-start : f.End-start]
			if slices.Contains(span, true) {
				continue
			}
			for k := range span {
				span[k] = true
			}
		} else {
			for _, g := range dst[from:] {
				if f.Start < g.End && g.Start < f.End {
					continue next
				}
			}
		}
		dst = append(dst, f)
	}
	slices.SortFunc(dst[from:], func(a, b Finding) int { return a.Start - b.Start })
	return dst
}

// few is how many findings are compared each with each.
const few = 32

func sign(b bool) int {
	if b {
		return 1
	}
	return -1
}
