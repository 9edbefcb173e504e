package deliver

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/ledger"
)

// A gateway of before is followed by one that signs. After that nobody can have what is
// not signed taken for old.
func TestWhatOlderGatewaysLeftIsTakenOverOnce(t *testing.T) {
	s := &scene{T: t, dir: t.TempDir()}
	g := openOldLog(t, s.dir)
	set := openSet(t, g, new(sinkDouble).spec("a"), new(sinkDouble).spec("b"))
	g.add(30, "")
	cursorOf(t, g, 30)
	closeSet(set, 10*time.Second)
	g.close()
	var old []byte
	for _, sink := range []string{"a", "b"} { // as they were left
		m, err := ReadMemory(s.dir, sink)
		if err != nil {
			t.Fatal(err)
		}
		m.Steered, m.Replica = time.Time{}, ""
		old = unsigned(m)
		s.write(s.path(sink, CursorFile), old)
	}
	for range 2 { // starts that end before they have begun a sink
		openLogOf(t, s.dir, 1<<20).close()
	}
	got := s.restart(nil, 30)
	if err := consecutive(got.seqs, 31, 35); err != nil || len(got.said) > 0 {
		t.Fatalf("taken over: %v, %v", err, got.said)
	}
	s.write(s.path("a", CursorFile), old)
	got = s.restart(nil, 35)
	if len(got.seqs) == 0 || got.seqs[0] != 1 || len(got.said) != 1 || !strings.Contains(got.said[0], "it is not signed") {
		t.Errorf("a second time: %v, %v", got.seqs, got.said)
	}
}

// The gateway is killed just after a new segment began. No checkpoint is about its first
// line yet, so that somebody can write one there as old gateways did.
func TestNobodyMakesTheLogLookOldByLinesThatAreUnderNoCheckpoint(t *testing.T) {
	original := staged(t)
	for name, attack := range map[string]func(s *scene, path string){
		"the last segment begins as in old logs": func(s *scene, path string) {
			text := s.read(path)
			l, err := chain.Parse(bytes.TrimSuffix(bytes.SplitAfter(text, []byte("\n"))[0], []byte("\n")))
			if err != nil {
				s.Fatal(err)
			}
			h := l.Header()
			h.Segment, h.Previous, h.Sinks = h.Segment+1, nil, nil
			body, err := chain.AppendMembers(chain.AppendRecord(nil, l.Replica, 30, chain.RecordSegment), h)
			if err != nil {
				s.Fatal(err)
			}
			s.write(filepath.Join(s.dir, ledger.SegmentFile(h.Segment)), chain.AppendSeal(bytes.Clone(body), chain.NewHasher().Line(chain.Hash{}, body)))
		},
		"the checkpoints are gone": func(s *scene, _ string) { s.remove(filepath.Join(s.dir, ledger.CheckpointFile)) },
		"the checkpoints are another directory's": func(s *scene, _ string) {
			s.write(filepath.Join(s.dir, ledger.CheckpointFile), s.read(filepath.Join(s.other, ledger.CheckpointFile)))
		},
		"segments and checkpoints are gone": func(s *scene, _ string) {
			numbers, _ := ledger.Segments(s.dir)
			for _, n := range numbers[1:] {
				s.remove(filepath.Join(s.dir, ledger.SegmentFile(n)))
			}
			s.remove(filepath.Join(s.dir, ledger.CheckpointFile))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := original.copy(t)
			numbers, err := ledger.Segments(s.dir)
			if err != nil {
				t.Fatal(err)
			}
			m, err := ReadMemory(s.dir, "a")
			if err != nil {
				t.Fatal(err)
			}
			attack(s, filepath.Join(s.dir, ledger.SegmentFile(numbers[len(numbers)-1])))
			toTheEnd(m)
			s.write(s.path("a", CursorFile), unsigned(m))
			g := openLogOf(t, s.dir, 1<<20)
			defer g.close()
			if d := g.l.Deliveries(); d.Unsigned {
				t.Errorf("the log passes for an old one: %+v", d)
			}
		})
	}
}

// A sink that begins with what comes is taken away, its place is removed, and it is
// configured again, all under one gateway: the log named it only meanwhile.
func TestAPlaceThatIsRemovedWhileItsSinkIsAwayIsMissed(t *testing.T) {
	g := openLogOf(t, t.TempDir(), 1<<20)
	defer g.close()
	d := new(sinkDouble)
	spec := d.spec("a")
	spec.Newest = true
	set := openSet(t, g, spec)
	g.add(10, "")
	eventually(t, "10", func() bool { return len(d.have()) == 10 })
	if err := set.Apply(nil); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(Folder(g.dir, "a")); err != nil {
		t.Fatal(err)
	}
	g.add(10, "")
	if err := set.Apply([]Spec{spec}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all again", func() bool { return len(d.have()) == 30 })
	closeSet(set, 10*time.Second)
	if got := set.Status()[0].Distrusted; got == nil || !strings.Contains(got.Why, "it is not there") {
		t.Errorf("%+v", got)
	}
}

// A key that is changed is no attack, where the old one is given too.
func TestAStateSignedWithTheKeyBeforeIsBelieved(t *testing.T) {
	for _, given := range []bool{true, false} {
		s := staged(t)
		s.forge(func(*Memory) {}, theirs()) // which was the gateway's then
		g := openLogOf(t, s.dir, 1<<20)
		g.seq.Store(30)
		d := new(sinkDouble)
		o := g.options()
		if given {
			pub := theirs().Public().(ed25519.PublicKey)
			o.Trust = chain.Keys{chain.KeyID(pub): pub}
		}
		set := New(o)
		if err := set.Apply([]Spec{d.spec("a")}); err != nil {
			t.Fatal(err)
		}
		g.add(5, "")
		closeSet(set, 10*time.Second)
		g.close()
		if have := d.have(); have[0] == 31 != given {
			t.Errorf("given %v: from %d on", given, have[0])
		}
		m, err := ReadMemory(s.dir, "a")
		if err != nil || !m.SignedWith(testKey().Public().(ed25519.PublicKey)) {
			t.Errorf("it is not signed anew: %v", err)
		}
	}
}
