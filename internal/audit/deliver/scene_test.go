package deliver

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// scene is a directory whose gateway has stopped: the sinks a and b have had 30 receipts.
// Whoever attacks writes its files, has no key, and waits for the next start.
type scene struct {
	*testing.T
	dir   string
	early []byte // what a remembered after 10 receipts
	other string // another replica's directory, with a sink a that has had 90
}

func (s *scene) path(sink, name string) string { return filepath.Join(Folder(s.dir, sink), name) }

func (s *scene) read(path string) []byte {
	s.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		s.Fatal(err)
	}
	return b
}

func (s *scene) write(path string, b []byte) {
	s.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) remove(path string) {
	s.Helper()
	if err := os.RemoveAll(path); err != nil {
		s.Fatal(err)
	}
}

// forge puts something else in the place of what a remembers.
func (s *scene) forge(change func(*Memory), key ed25519.PrivateKey) {
	s.Helper()
	m, err := ReadMemory(s.dir, "a")
	if err != nil {
		s.Fatal(err)
	}
	signature := s.read(s.path("a", CursorFile))[len(m.text):]
	change(m)
	text, err := json.Marshal(m)
	if text = append(text[:len(text)-1], signature...); key != nil {
		text, err = m.sign(key)
	}
	if err != nil {
		s.Fatal(err)
	}
	s.write(s.path("a", CursorFile), text)
}

// unsigned is what gateways before signatures left.
func unsigned(m *Memory) []byte {
	text, err := json.Marshal(m.Cursor)
	if err != nil {
		panic(err)
	}
	return append(text, '\n')
}

func play(t *testing.T, dir string, n int, sinks ...Spec) {
	t.Helper()
	g := openLogOf(t, dir, 1<<20)
	s := openSet(t, g, sinks...)
	g.add(n, "")
	closeSet(s, 10*time.Second)
	g.close()
}

func staged(t *testing.T) *scene {
	t.Helper()
	s := &scene{T: t, dir: t.TempDir(), other: t.TempDir()}
	play(t, s.other, 90, new(sinkDouble).spec("a"))
	g := openLogOf(t, s.dir, 1<<20)
	set := openSet(t, g, new(sinkDouble).spec("a"), new(sinkDouble).spec("b"))
	g.add(10, "")
	cursorOf(t, g, 10)
	s.early = s.read(s.path("a", CursorFile))
	g.add(20, "")
	cursorOf(t, g, 30)
	closeSet(set, 10*time.Second)
	g.close()
	return s
}

// copy is the same scene somewhere else.
func (s *scene) copy(t *testing.T) *scene {
	t.Helper()
	c := *s
	c.T, c.dir = t, t.TempDir()
	if err := os.CopyFS(c.dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	return &c
}

// after is what came of a start.
type after struct {
	seqs   []uint64
	said   []string
	status Status
}

// restart starts after so many receipts, and keeps five more.
func (s *scene) restart(change func(*Spec), had uint64) after {
	s.Helper()
	g := openLogOf(s.T, s.dir, 1<<20)
	g.seq.Store(had)
	d := new(sinkDouble)
	spec := d.spec("a")
	if change != nil {
		change(&spec)
	}
	var mu sync.Mutex
	var out after
	o := g.options()
	o.Tell = func(sink, why string) {
		mu.Lock()
		defer mu.Unlock()
		out.said = append(out.said, sink+": "+why)
	}
	set := New(o)
	g.set.Store(set)
	if err := set.Apply([]Spec{spec, new(sinkDouble).spec("b")}); err != nil {
		s.Fatal(err)
	}
	g.add(5, "")
	eventually(s.T, "the last receipt", func() bool {
		have := d.have()
		return len(have) > 0 && have[len(have)-1] == had+5
	})
	closeSet(set, 10*time.Second)
	g.close()
	for _, st := range set.Status() {
		if st.Name == "a" {
			out.status = st
		}
	}
	out.seqs = d.have()
	mu.Lock()
	defer mu.Unlock()
	return out
}

func theirs() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)) }

func toTheEnd(m *Memory) { m.At.Seq, m.At.Segment, m.At.Offset, m.Line = 1<<40, 1<<30, 0, "" }

// restart2 is one more start, after which nothing may be wrong any more.
func (s *scene) restart2() (out after) {
	s.Helper()
	g := openLogOf(s.T, s.dir, 1<<20)
	g.seq.Store(35)
	o := g.options()
	o.Tell = func(sink, why string) { out.said = append(out.said, sink+": "+why) }
	set := New(o)
	g.set.Store(set)
	if err := set.Apply([]Spec{new(sinkDouble).spec("a"), new(sinkDouble).spec("b")}); err != nil {
		s.Fatal(err)
	}
	closeSet(set, 10*time.Second)
	g.close()
	return out
}
