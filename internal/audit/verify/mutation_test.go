package verify_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/internal/audit/verify"
)

// place is where a change was made.
type place struct {
	file  string
	line  uint64 // 0 for anywhere in the file
	kinds []verify.Kind
}

func (p place) among(r *verify.Report) bool {
	return slices.ContainsFunc(r.Findings, func(f verify.Finding) bool {
		return f.File == p.file && (p.line == 0 || f.Line <= p.line+1 && p.line <= max(f.Line, f.ToLine)) &&
			(len(p.kinds) == 0 || slices.Contains(p.kinds, f.Kind))
	})
}

// mutant is a copy of good books, with dice.
type mutant struct {
	*books
	t        testing.TB
	dice     *rand.Rand
	segments []uint64
}

// segment picks a segment and reads its lines.
func (m *mutant) segment() (file string, text [][]byte) {
	for len(text) < 4 { // one with receipts
		file = ledger.SegmentFile(m.segments[m.dice.IntN(len(m.segments))])
		text = lines(read(m.t, m.path(file)))
	}
	return file, text
}

func (m *mutant) put(file string, text [][]byte) { write(m.t, m.path(file), bytes.Join(text, nil)) }

func (m *mutant) flip(file string) place {
	text := read(m.t, m.path(file))
	at := m.dice.IntN(len(text))
	line := uint64(bytes.Count(text[:at], []byte("\n"))) + 1
	text[at] ^= 1 << m.dice.IntN(8)
	write(m.t, m.path(file), text)
	return place{file: file, line: line}
}

// rechain alters a line and makes every hash after it right again, as whoever
// can write the directory can.
func (m *mutant) rechain() place {
	file, _ := m.segment()
	first := slices.IndexFunc(m.segments, func(n uint64) bool { return ledger.SegmentFile(n) == file })
	var (
		at   place
		head chain.Hash
		h    = chain.NewHasher()
	)
	if first > 0 {
		before := lines(read(m.t, m.path(ledger.SegmentFile(m.segments[first-1]))))
		l, err := chain.Parse(bytes.TrimSuffix(before[len(before)-1], []byte("\n")))
		if err != nil {
			m.t.Fatal(err)
		}
		head = l.Hash
	}
	for i, n := range m.segments[first:] {
		file := ledger.SegmentFile(n)
		text := lines(read(m.t, m.path(file)))
		target := -1
		if i == 0 {
			target = 1 + m.dice.IntN(len(text)-2)
			at = place{file: file, line: uint64(target) + 1, kinds: []verify.Kind{verify.Forged}}
		}
		for j := range text {
			l, err := chain.Parse(bytes.TrimSuffix(text[j], []byte("\n")))
			if err != nil {
				m.t.Fatal(err)
			}
			body := bytes.Clone(l.Text)
			if j == target {
				body = append(body, `,"note":"nothing to see here"`...)
			}
			if j == 0 {
				var header chain.Header
				if err := l.Members(&header); err != nil {
					m.t.Fatal(err)
				}
				if header.Previous != nil {
					body = bytes.Replace(body, []byte(header.Previous.Head.String()), []byte(head.String()), 1)
				}
			}
			head = h.Line(head, body)
			text[j] = chain.AppendSeal(body, head)
		}
		m.put(file, text)
	}
	return at
}

// resign makes all checkpoints right again, with a key of the forger's own.
func (m *mutant) resign(only int) place {
	private, _, _, err := chain.GenerateKey()
	if err != nil {
		m.t.Fatal(err)
	}
	key, err := chain.ParsePrivateKey(private)
	if err != nil {
		m.t.Fatal(err)
	}
	text := lines(read(m.t, m.path(ledger.CheckpointFile)))
	var previous chain.Hash
	for i := range text {
		c, err := chain.ParseCheckpoint(bytes.TrimSuffix(text[i], []byte("\n")))
		if err != nil {
			m.t.Fatal(err)
		}
		if only < 0 {
			m.recompute(c)
			c.Previous = previous
		}
		if only < 0 || only == i {
			if text[i], err = c.Sign(key); err != nil {
				m.t.Fatal(err)
			}
		}
		previous = chain.LineHash(bytes.TrimSuffix(text[i], []byte("\n")))
	}
	m.put(ledger.CheckpointFile, text)
	return place{file: ledger.CheckpointFile, line: uint64(max(only, 0) + 1), kinds: []verify.Kind{verify.Unsigned}}
}

func (m *mutant) recompute(c *chain.Checkpoint) {
	tree := chain.NewTree(chain.NewHasher())
	for _, line := range lines(read(m.t, m.path(ledger.SegmentFile(c.Segment))))[:c.Lines] {
		l, err := chain.Parse(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			m.t.Fatal(err)
		}
		tree.Add(l.Hash)
		c.Head, c.Seq = l.Hash, l.Seq
	}
	c.Root = tree.Root()
}

// mutations are the ways to change a directory, and how often each is tried.
var mutations = []struct {
	name  string
	times int
	do    func(*mutant) place
}{
	{"a bit of a segment flips", 60, func(m *mutant) place {
		file, _ := m.segment()
		return m.flip(file)
	}},
	{"a bit of a checkpoint flips", 25, func(m *mutant) place { return m.flip(ledger.CheckpointFile) }},
	{"a line is removed", 20, func(m *mutant) place {
		file, text := m.segment()
		i := m.dice.IntN(len(text))
		m.put(file, slices.Delete(text, i, i+1))
		return place{file: file, line: uint64(i) + 1}
	}},
	{"two lines are swapped", 20, func(m *mutant) place {
		file, text := m.segment()
		i := m.dice.IntN(len(text) - 1)
		j := i + 1 + m.dice.IntN(len(text)-1-i)
		text[i], text[j] = text[j], text[i]
		m.put(file, text)
		return place{file: file, line: uint64(i) + 1}
	}},
	{"a line is there twice", 10, func(m *mutant) place {
		file, text := m.segment()
		i := m.dice.IntN(len(text))
		m.put(file, slices.Insert(text, i, text[i]))
		return place{file: file, line: uint64(i) + 2}
	}},
	{"a line is replaced by one of another segment", 10, func(m *mutant) place {
		file, text := m.segment()
		other, more := m.segment()
		for other == file {
			other, more = m.segment()
		}
		i := m.dice.IntN(len(text))
		text[i] = more[m.dice.IntN(len(more))]
		m.put(file, text)
		return place{file: file, line: uint64(i) + 1}
	}},
	{"a line that follows by its hash is put in", 10, func(m *mutant) place {
		file, text := m.segment()
		i := 1 + m.dice.IntN(len(text)-2)
		before, err := chain.Parse(bytes.TrimSuffix(text[i-1], []byte("\n")))
		if err != nil {
			m.t.Fatal(err)
		}
		body := append(chain.AppendReceipt(nil, before.Replica, before.Seq+1), `"action":"allow"`...)
		m.put(file, slices.Insert(text, i, chain.AppendSeal(body, chain.NewHasher().Line(before.Hash, body))))
		return place{file: file, line: uint64(i) + 1}
	}},
	{"a segment is cut at any byte", 15, func(m *mutant) place {
		file, text := m.segment()
		all := bytes.Join(text, nil)
		at := m.dice.IntN(len(all))
		write(m.t, m.path(file), all[:at])
		return place{file: file, line: uint64(bytes.Count(all[:at], []byte("\n"))) + 1}
	}},
	{"a segment is cut after a line", 10, func(m *mutant) place {
		file, text := m.segment()
		i := m.dice.IntN(len(text))
		m.put(file, text[:i])
		return place{file: file, line: uint64(i) + 1}
	}},
	{"a segment is removed", 10, func(m *mutant) place {
		file, _ := m.segment()
		if err := os.Remove(m.path(file)); err != nil {
			m.t.Fatal(err)
		}
		return place{file: file, kinds: []verify.Kind{verify.Missing}}
	}},
	{"two segments are swapped", 8, func(m *mutant) place {
		i := m.dice.IntN(len(m.segments) - 1)
		a, b := ledger.SegmentFile(m.segments[i]), ledger.SegmentFile(m.segments[i+1])
		x, y := read(m.t, m.path(a)), read(m.t, m.path(b))
		write(m.t, m.path(a), y)
		write(m.t, m.path(b), x)
		return place{file: a, line: 1, kinds: []verify.Kind{verify.Reordered}}
	}},
	{"one checkpoint is signed with another key", 6, func(m *mutant) place {
		return m.resign(m.dice.IntN(len(lines(read(m.t, m.path(ledger.CheckpointFile))))))
	}},
	{"a checkpoint is removed", 12, func(m *mutant) place {
		text := lines(read(m.t, m.path(ledger.CheckpointFile)))
		i := m.dice.IntN(len(text) - 1)
		m.put(ledger.CheckpointFile, slices.Delete(text, i, i+1))
		return place{file: ledger.CheckpointFile, line: uint64(i) + 1}
	}},
	{"the last checkpoint is removed, and the copy of it", 1, func(m *mutant) place {
		text := lines(read(m.t, m.path(ledger.CheckpointFile)))
		m.put(ledger.CheckpointFile, text[:len(text)-1])
		write(m.t, m.published, bytes.Join(text[:len(text)-1], nil))
		return place{file: ledger.SegmentFile(m.segments[len(m.segments)-1]), kinds: []verify.Kind{verify.Missing}}
	}},
	{"all checkpoints are removed", 1, func(m *mutant) place {
		if err := os.Remove(m.path(ledger.CheckpointFile)); err != nil {
			m.t.Fatal(err)
		}
		return place{file: ledger.CheckpointFile}
	}},
	{"two checkpoints are swapped", 4, func(m *mutant) place {
		text := lines(read(m.t, m.path(ledger.CheckpointFile)))
		i := m.dice.IntN(len(text) - 1)
		text[i], text[i+1] = text[i+1], text[i]
		m.put(ledger.CheckpointFile, text)
		return place{file: ledger.CheckpointFile, line: uint64(i) + 1}
	}},
	{"a receipt is altered and the chain made right", 12, func(m *mutant) place { return m.rechain() }},
	{"the same, and everything signed anew with another key", 8, func(m *mutant) place {
		m.rechain()
		return m.resign(-1)
	}},
	{"the newest segments go, with their checkpoints", 6, func(m *mutant) place {
		keep := m.segments[m.dice.IntN(len(m.segments)-1)]
		for _, n := range m.segments {
			if n > keep {
				if err := os.Remove(m.path(ledger.SegmentFile(n))); err != nil {
					m.t.Fatal(err)
				}
			}
		}
		var kept [][]byte
		for _, line := range lines(read(m.t, m.path(ledger.CheckpointFile))) {
			if c, err := chain.ParseCheckpoint(bytes.TrimSuffix(line, []byte("\n"))); err == nil && c.Segment <= keep {
				kept = append(kept, line)
			}
		}
		m.put(ledger.CheckpointFile, kept)
		return place{file: m.published, line: uint64(len(kept)) + 1, kinds: []verify.Kind{verify.Truncated}}
	}},
	{"a fork that the gateway itself signed takes the place", 3, func(m *mutant) place {
		// Two gateways went on from one state; the copy was made by the first.
		fork := m.copyOf(m.t)
		m.keep(m.t, 40, 8<<10)
		fork.keep(m.t, 40+m.dice.IntN(9), 8<<10)
		m.dir = fork.dir
		return place{file: m.published, kinds: []verify.Kind{verify.Forged}}
	}},
}

func TestEveryMutationIsFoundAndItsPlaceNamed(t *testing.T) {
	original := newBooks(t)
	for range 3 {
		original.keep(t, 100, 8<<10)
	}
	good(t, original.verify(t))
	segments, err := ledger.Segments(original.dir)
	if err != nil {
		t.Fatal(err)
	}
	seed, total := uint64(7), 0
	for _, mutation := range mutations {
		for i := range mutation.times {
			total++
			t.Run(fmt.Sprintf("%s/%d", mutation.name, i), func(t *testing.T) {
				m := &mutant{original.copyOf(t), t, rand.New(rand.NewPCG(seed, uint64(total))), segments}
				at := mutation.do(m)
				if r := m.verify(t); r.OK || !at.among(r) {
					var all []string
					for _, f := range r.Findings {
						all = append(all, f.String())
					}
					t.Errorf("at %+v, found ok=%v\n%s", at, r.OK, strings.Join(all, "\n"))
				}
			})
		}
	}
	if total < 200 {
		t.Errorf("%d mutations", total)
	}
}
