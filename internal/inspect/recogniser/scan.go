package recogniser

import (
	"bytes"

	"github.com/sallyport/sallyport/internal/inspect/automaton"
	"github.com/sallyport/sallyport/internal/inspect/view"
)

// Leaf is one text with what stands around it.
type Leaf struct {
	Text   []byte
	Key    []byte // name of the member whose value the text is
	Parent []byte // name of the member above
	Beside []byte // a short text before it in the same object, as in {"field":"iban","value":...}

	// Coded says that the text is no language, such as a cursor: only what has a
	// form of its own is found in it, and no word speaks for or against anything.
	Coded bool
}

// Finding is a value in a leaf.
type Finding struct {
	Type       string
	Class      Class
	Start, End int // in the leaf's text
	Score      float32
}

// candidate is a possible finding in a view.
type candidate struct {
	Finding
	owner int
}

// Scanner scans with the memory of earlier scans. It is for one goroutine.
type Scanner struct {
	set     *Set
	view    view.View
	inner   view.View
	hits    []automaton.Hit
	found   []candidate
	near    mentions // of view
	within  mentions // of inner
	around  around
	scratch []byte
	taken   []bool
	firsts  []int // patterns that take their first match only and have had it
	trail   automaton.Trail
	coded   bool    // the leaf is
	said    string  // the text that is scanned, for checks; empty until one is made
	worth   []worth // of each pattern, in the text that is scanned
}

// worth says whether a pattern that means nothing by itself has anything around
// that speaks for it.
type worth uint8

const (
	unknown worth = iota
	nothing
	something
)

// NewScanner returns a scanner for s.
func (s *Set) NewScanner() *Scanner { return &Scanner{set: s, worth: make([]worth, len(s.patterns))} }

const (
	longest      = 16 << 10 // bytes that one match can have
	reach        = 64       // bytes between a context word and its value
	reachBack    = 24       // bytes between a value and a context word behind it
	reachAgainst = 20       // bytes between a word that speaks against a value and the value
	certain      = 0.9      // score of a match with context
)

// Scan appends the findings in a leaf, in order and without overlaps.
func (s *Scanner) Scan(dst []Finding, l Leaf) []Finding {
	s.found = s.found[:0]
	s.coded = l.Coded
	s.around.reset(s.set.words, l)
	s.view.Reset(l.Text)
	s.scan(s.view.Text, &s.near, 0, nil)
	if !l.Coded {
		s.whole(l)
	}
	for i := range s.found {
		f := &s.found[i]
		f.Start, f.End = s.view.Span(f.Start, f.End)
	}
	outer := len(s.found)
	text := s.view.Text
	s.scratch = view.EachEncoded(text, s.scratch, func(e view.Encoded) {
		s.decoded(e)
	})
	for i := outer; i < len(s.found); i++ {
		f := &s.found[i]
		f.Start, f.End = s.view.Span(f.Start, f.End)
	}
	return s.resolve(dst)
}

// decoded scans what an encoded run says. Its findings are the whole run.
func (s *Scanner) decoded(e view.Encoded) {
	from := len(s.found)
	s.inner.Reset(e.Plain)
	s.scan(s.inner.Text, &s.within, e.Start, &s.near)
	for i := from; i < len(s.found); i++ {
		f := &s.found[i]
		f.Start, f.End = e.Start, e.End
		f.Score -= 0.01 // what stands there openly goes first
	}
}

// scan collects the candidates in a canonical text, whose words go to near. at
// and outer are for a decoded run: where it stands in the text around it, and
// the words of that.
func (s *Scanner) scan(text []byte, near *mentions, at int, outer *mentions) {
	near.reset(s.set.words, text)
	set := s.set
	s.trail.Reset(len(text))
	s.said = ""
	clear(s.worth)
	auto, names := set.auto, []int(nil)
	if s.coded || !s.hinted(near, outer) { // then patterns that need a word of context have none
		auto, names = set.strong, set.strongOnes
	}
	for i := range text {
		if !set.begins[text[i]] || i > 0 && automaton.IsWord(text[i-1]) && automaton.IsWord(text[i]) {
			continue
		}
		s.firsts = s.firsts[:0]
		s.hits = auto.MatchAt(s.hits[:0], text, i, longest, &s.trail, func(pattern, end int) bool {
			if names != nil {
				pattern = names[pattern]
			}
			if s.worth[pattern] == nothing {
				return false
			}
			p := &set.patterns[pattern]
			if p.score < Threshold && s.worth[pattern] != something && !s.possible(pattern, near, outer) {
				return false
			}
			// Among several ends the check digits say which is the value's.
			if p.first && s.matched(pattern) {
				return false
			}
			return !p.early || p.check(s.value(text, i, end))
		})
		for _, h := range s.hits {
			if names != nil {
				h.Pattern = names[h.Pattern]
			}
			s.judge(text, i, h, near, at, outer)
		}
	}
}

// value returns a part of the text that is scanned, which is copied once for all.
func (s *Scanner) value(text []byte, start, end int) string {
	if s.said == "" {
		s.said = string(text)
	}
	return s.said[start:end]
}

// hinted reports whether anything around speaks for an owner of patterns that
// need it.
func (s *Scanner) hinted(near, outer *mentions) bool {
	for _, m := range [...]*mentions{near, &s.around.key, &s.around.parent, &s.around.beside, outer} {
		if m == nil || len(m.text) == 0 {
			continue
		}
		m.look()
		for i, o := range m.owners {
			if o&s.set.weak[i] != 0 {
				return true
			}
		}
	}
	return false
}

// possible reports whether anything around speaks for the owner of a pattern, so
// that a match that means nothing by itself is worth a look.
func (s *Scanner) possible(pattern int, near, outer *mentions) bool {
	if s.worth[pattern] == unknown {
		s.worth[pattern] = nothing
		owner := int16(s.set.patterns[pattern].owner)
		if near.speaksFor(owner) || s.around.speaksFor(owner) || outer != nil && outer.speaksFor(owner) {
			s.worth[pattern] = something
		}
	}
	return s.worth[pattern] == something
}

// judge turns a match into a candidate, or drops it.
func (s *Scanner) judge(text []byte, start int, h automaton.Hit, near *mentions, at int, outer *mentions) {
	p := &s.set.patterns[h.Pattern]
	end := h.End
	if !p.loose && !isolated(text, start, end) {
		return
	}
	if p.extract != nil {
		m := p.extract.FindSubmatchIndex(text[start:end])
		if m == nil || m[2] < 0 || m[2] == m[3] {
			return
		}
		start, end = start+m[2], start+m[3]
	}
	checks := p.check != nil && !p.early
	if checks && p.near == 0 && !p.check(s.value(text, start, end)) {
		return
	}
	score := s.score(text, start, end, p, near, at, outer)
	if score < Threshold {
		return
	}
	// What must stand near mostly does not, and is looked up faster than checked.
	if checks && p.near > 0 && !p.check(s.value(text, start, end)) {
		return
	}
	r := &s.set.recognisers[p.owner]
	s.found = append(s.found, candidate{Finding{r.Type, r.Class, start, end, score}, p.owner})
}

// score weighs a match by its surroundings. The nearer a word that speaks for
// it, the higher, so that of two types the one named last before a value wins.
func (s *Scanner) score(text []byte, start, end int, p *compiled, near *mentions, at int, outer *mentions) float32 {
	if s.coded {
		return p.score
	}
	owner := int16(p.owner)
	d, against := near.distance(owner, start, end)
	if p.near > 0 && (d > p.near || d > start || bytes.IndexByte(text[start-d:start], '\n') >= 0) {
		d = reach + 1
	}
	if k := s.around.distance(owner); k < d {
		d = k
	}
	if outer != nil {
		if o, _ := outer.distance(owner, at, at); o < d {
			d = o
		}
	}
	if d > reach && p.score < Threshold && near.speaksFor(owner) && near.lines && columnMention(s.set.words, text, start, owner) {
		d = reach / 2
	}
	score := p.score
	if d <= reach {
		score = max(score, certain)
		score += 0.05 - float32(d)*0.002
	}
	if against < min(d, reachAgainst) {
		score -= 0.35
	} else if s.around.denies(owner) {
		switch secret := s.set.recognisers[p.owner].Class == Secret; {
		case secret: // nextPageToken and passwordHash are no secrets, whatever else their names say
			score -= 0.5
		case !s.around.key.speaksFor(owner): // accountPhone is a phone's
			score -= 0.35
		}
	}
	return score
}

// matched reports whether a pattern has matched in the call of MatchAt that runs.
func (s *Scanner) matched(pattern int) bool {
	for _, f := range s.firsts {
		if f == pattern {
			return true
		}
	}
	s.firsts = append(s.firsts, pattern)
	return false
}

// isolated refuses parts of longer numbers and identifiers.
func isolated(text []byte, start, end int) bool {
	colon := bytes.IndexByte(text[start:end], ':') >= 0
	joins := func(c byte) bool { return c == '-' || c == '.' || c == ':' && colon }
	if start > 1 && joins(text[start-1]) && automaton.IsWord(text[start-2]) || start > 0 && joins(text[start]) && automaton.IsWord(text[start-1]) {
		return false
	}
	return end+1 >= len(text) || !joins(text[end]) || !automaton.IsWord(text[end+1])
}

// whole takes the whole value under a key that says what it is, such as a
// password without any form of its own.
func (s *Scanner) whole(l Leaf) {
	if len(l.Key) == 0 {
		return
	}
	text := s.view.Text
	if len(text) == 0 || len(text) > 512 || bytes.ContainsAny(text, "\n") {
		return
	}
	for i := range s.set.recognisers {
		r := &s.set.recognisers[i]
		if !r.Whole || !s.around.named(int16(i)) || r.Class == Secret && s.around.denies(int16(i)) {
			continue
		}
		for _, p := range s.set.patterns {
			if p.owner == i && p.check != nil && p.check(string(text)) && (r.Class == PII || bytes.IndexByte(text, ' ') < 0) {
				s.found = append(s.found, candidate{Finding{r.Type, r.Class, 0, len(text), certain}, i})
				break
			}
		}
	}
}
