package recogniser

import (
	"bytes"
	"math"
	"sort"
)

// mentions are the context words of one text, looked for when first asked.
type mentions struct {
	words  *lexicon
	text   []byte
	list   []mention
	owners owners // those that a word of the text speaks for
	denied owners // those that one speaks against
	known  bool
	lines  bool // the text has more than one
}

// owners is a set of recognisers.
type owners [maxRecognisers / 64]uint64

const maxRecognisers = 512

func (o *owners) has(i int16) bool { return o[i/64]>>(i%64)&1 == 1 }

// look finds the words, once.
func (m *mentions) look() {
	if m.known {
		return
	}
	m.list, m.known = m.words.mentions(m.list, m.text), true
	m.lines = bytes.IndexByte(m.text, '\n') >= 0
	for _, w := range m.list {
		if o := w.means.owner; w.means.against {
			m.denied[o/64] |= 1 << (o % 64)
		} else {
			m.owners[o/64] |= 1 << (o % 64)
		}
	}
}

// speaksFor reports whether any word of the text speaks for the owner.
func (m *mentions) speaksFor(owner int16) bool {
	if len(m.text) == 0 {
		return false
	}
	m.look()
	return m.owners.has(owner)
}

func (m *mentions) reset(l *lexicon, text []byte) {
	m.words, m.text, m.list, m.owners, m.denied, m.known = l, text, m.list[:0], owners{}, owners{}, false
}

// distance returns how far from the value at start to end the nearest word for
// an owner is, and the nearest against it. Words behind a value count as
// farther away, because labels mostly stand in front.
func (m *mentions) distance(owner int16, start, end int) (in, against int) {
	in, against = math.MaxInt, math.MaxInt
	m.look()
	from := sort.Search(len(m.list), func(i int) bool { return int(m.list[i].end) >= start-reach })
	for _, w := range m.list[from:] {
		if int(w.start) > end+reachBack {
			break
		}
		if w.means.owner != owner {
			continue
		}
		d := start - int(w.end)
		if int(w.start) >= end {
			d = int(w.start) - end + reach - reachBack
		} else if d < 0 {
			continue // inside the value
		}
		if w.means.against {
			against = min(against, d)
		} else {
			in = min(in, d)
		}
	}
	return in, against
}

// around are the words in the keys above a text and in the text beside it.
type around struct {
	key, parent, beside mentions
}

func (a *around) reset(l *lexicon, leaf Leaf) {
	a.key.reset(l, leaf.Key)
	a.parent.reset(l, leaf.Parent)
	a.beside.reset(l, leaf.Beside)
}

func (a *around) named(owner int16) bool { return a.key.speaksFor(owner) || a.beside.speaksFor(owner) }

// denies reports whether the name of the value speaks against an owner.
func (a *around) denies(owner int16) bool {
	if len(a.key.text) == 0 {
		return false
	}
	a.key.look()
	return a.key.denied.has(owner)
}

func (a *around) speaksFor(owner int16) bool {
	return a.key.speaksFor(owner) || a.beside.speaksFor(owner) || a.parent.speaksFor(owner)
}

func (a *around) distance(owner int16) int {
	switch {
	case a.key.speaksFor(owner):
		return 1
	case a.beside.speaksFor(owner):
		return reach / 4
	case a.parent.speaksFor(owner):
		return reach / 2
	}
	return math.MaxInt
}

// columnMention reports whether the heading of the column in which a value
// stands speaks for an owner. Heading and value are in lines with equally many
// separators, the heading among the first three.
func columnMention(l *lexicon, text []byte, at int, owner int16) bool {
	const widest = 2048
	begin := bytes.LastIndexByte(text[max(0, at-widest):at], '\n')
	if begin < 0 {
		return false
	}
	begin += max(0, at-widest) + 1
	end := bytes.IndexByte(text[at:min(len(text), at+widest)], '\n')
	line := text[begin:min(len(text), at+widest)]
	if end >= 0 {
		line = text[begin : at+end]
	}
	for _, sep := range [...]byte{'|', '\t', ';', ','} {
		n := bytes.Count(line, []byte{sep})
		if n == 0 {
			continue
		}
		column := bytes.Count(text[begin:at], []byte{sep})
		rest := text[:min(begin, 3*widest)]
		for range 3 {
			head, after, more := bytes.Cut(rest, []byte{'\n'})
			if bytes.Count(head, []byte{sep}) == n {
				cells := bytes.Split(head, []byte{sep})
				var m mentions
				m.reset(l, cells[column])
				return m.speaksFor(owner)
			}
			if rest = after; !more {
				break
			}
		}
	}
	return false
}
