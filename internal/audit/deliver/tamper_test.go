package deliver

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/ledger"
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

// Whoever can write the receipt directory must not be able to keep a receipt from a sink.
func TestWhatASinkRemembersIsNotBelievedIfSomebodyElseWroteIt(t *testing.T) {
	fromAll, fromRest := uint64(1), uint64(31)
	newest := func(sp *Spec) { sp.Newest = true }
	original := staged(t)
	for _, c := range []struct {
		name   string
		attack func(*scene)
		spec   func(*Spec)
		first  uint64 // receipt that comes
		says   string // what is said of it; empty for nothing
	}{
		{"nothing was changed", func(*scene) {}, nil, fromRest, ""},
		{"the place is moved to the end", func(s *scene) { s.forge(toTheEnd, nil) }, nil, fromAll, "is not one of the key"},
		{"the place is moved, and signed with another key", func(s *scene) { s.forge(toTheEnd, theirs()) }, nil, fromAll, "is not known here"},
		{"the place is moved, and signed with another key in the name of the gateway's", func(s *scene) {
			s.forge(toTheEnd, theirs())
			id := func(k ed25519.PrivateKey) []byte { return []byte(chain.KeyID(k.Public().(ed25519.PublicKey))) }
			s.write(s.path("a", CursorFile), bytes.Replace(s.read(s.path("a", CursorFile)), id(theirs()), id(testKey()), 1))
		}, nil, fromAll, "is not one of the key"},
		{"it is written as old gateways did, without a signature", func(s *scene) {
			s.forge(func(m *Memory) { toTheEnd(m); s.early = unsigned(m) }, nil)
			s.write(s.path("a", CursorFile), s.early)
		}, nil, fromAll, "it is not signed"},
		{"all that is signed is removed first, and then it is written without a signature", func(s *scene) {
			m, err := ReadMemory(s.dir, "a")
			if err != nil {
				s.Fatal(err)
			}
			s.remove(filepath.Join(s.dir, "sinks"))
			if err := os.MkdirAll(Folder(s.dir, "a"), 0o700); err != nil {
				s.Fatal(err)
			}
			toTheEnd(m)
			s.write(s.path("a", CursorFile), unsigned(m))
		}, nil, fromAll, "it is not signed"},
		{"the sink is marked as paused", func(s *scene) { s.forge(func(m *Memory) { m.Paused = true }, nil) }, nil, fromAll, "is not one of the key"},
		{"everybody is set aside for good", func(s *scene) {
			s.forge(func(m *Memory) { m.Aside = &Aside{At: m.At, Callers: map[string]uint64{"x": 0}} }, nil)
		}, nil, fromAll, "is not one of the key"},
		{"it is put in the place of another sink's", func(s *scene) { s.write(s.path("a", CursorFile), s.read(s.path("b", CursorFile))) }, nil, fromAll, `of the sink "b"`},
		{"it is put in the place of another replica's", func(s *scene) {
			s.write(s.path("a", CursorFile), s.read(filepath.Join(Folder(s.other, "a"), CursorFile)))
		}, nil, fromAll, "receipt directory of replica"},
		{"it is removed", func(s *scene) { s.remove(s.path("a", CursorFile)) }, nil, fromAll, "it is not there"},
		{"it is removed, of a sink that begins with what comes", func(s *scene) { s.remove(s.path("a", CursorFile)) }, newest, fromAll, "it is not there"},
		{"everything about sinks is removed", func(s *scene) { s.remove(filepath.Join(s.dir, "sinks")) }, newest, fromAll, "it is not there"},
		{"it is emptied", func(s *scene) { s.write(s.path("a", CursorFile), nil) }, nil, fromAll, "cannot be read"},
		{"it is huge", func(s *scene) { s.write(s.path("a", CursorFile), make([]byte, maxMemory+1)) }, nil, fromAll, "larger than"},
		{"it is a pipe that nobody writes", func(s *scene) {
			s.remove(s.path("a", CursorFile))
			if err := syscall.Mkfifo(s.path("a", CursorFile), 0o600); err != nil {
				s.Fatal(err)
			}
		}, nil, fromAll, "no regular file"},
		{"it is a link to another sink's", func(s *scene) {
			s.remove(s.path("a", CursorFile))
			if err := os.Symlink("../b/"+CursorFile, s.path("a", CursorFile)); err != nil {
				s.Fatal(err)
			}
		}, nil, fromAll, "escapes"},
		{"an older one is put back: what came since comes again", func(s *scene) { s.write(s.path("a", CursorFile), s.early) }, nil, 11, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := original.copy(t)
			c.attack(s)
			got := s.restart(c.spec, 30)
			if len(got.seqs) == 0 || got.seqs[0] != c.first {
				t.Fatalf("came %v, want from %d on", got.seqs, c.first)
			}
			if err := consecutive(got.seqs, c.first, 35); err != nil {
				t.Error(err)
			}
			said := strings.Join(got.said, "\n")
			if (c.says == "") != (said == "") || !strings.Contains(said, c.says) {
				t.Errorf("said %q, want %q", said, c.says)
			}
			if d := got.status.Distrusted; (d == nil) != (c.says == "") || d != nil && !strings.Contains(d.Why, c.says) || got.status.State != "running" {
				t.Errorf("status: %s %+v", got.status.State, d)
			}
			again := s.restart2()
			if len(again.said) > 0 {
				t.Errorf("at the start after that: %v", again.said)
			}
		})
	}
}

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

func TestEveryBitOfWhatASinkRemembersIsUnderItsSignature(t *testing.T) {
	m := Memory{Sink: "a", Cursor: Cursor{Replica: "0123456789abcdef", At: Position{3, 4711, 99, 12}, Paused: true, Delivered: 99}}
	text, err := m.sign(testKey())
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Key: testKey()}
	good := func(text []byte) bool {
		m, err := parseMemory(text)
		return err == nil && m.Check("a", "0123456789abcdef", o.keys()) == nil
	}
	if !good(text) {
		t.Fatal("as it was written")
	}
	for i := range len(text) * 8 {
		altered := bytes.Clone(text)
		altered[i/8] ^= 1 << (i % 8)
		if good(altered) {
			t.Errorf("bit %d: %q", i, altered)
		}
	}
	for i := range text[:len(text)-1] { // a line end more or less says the same
		if good(text[:i]) {
			t.Errorf("cut after %d", i)
		}
	}
}

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

// What was refused for good must not vanish without a trace.
func TestDeadLettersThatAreTakenAwayOrPutInComeToLight(t *testing.T) {
	for _, c := range []struct {
		name   string
		attack func(s *scene, path string)
		says   string
		want   []uint64 // receipts in the letters at the end
	}{
		{"nothing was changed", func(*scene, string) {}, "", []uint64{7, 9}},
		{"the file is removed", func(s *scene, path string) { s.remove(path) }, "dead letters are gone", []uint64{7, 9}},
		{"one is cut off", func(s *scene, path string) {
			s.write(path, bytes.SplitAfter(s.read(path), []byte("\n"))[0])
		}, "dead letters are gone", []uint64{7, 7, 9}},
		{"one is altered", func(s *scene, path string) {
			s.write(path, bytes.Replace(s.read(path), []byte(`"seq":9`), []byte(`"seq":8`), 1))
		}, "dead letters are gone", []uint64{7, 8, 7, 9}},
		{"they are put aside, as if the file were full", func(s *scene, path string) {
			s.write(path+".1", s.read(path))
			s.remove(path)
		}, "dead letters are gone", []uint64{7, 9}},
		{"one is put in behind", func(s *scene, path string) {
			s.write(path, append(s.read(path), "{\"seq\":20}\n"...))
		}, "", []uint64{7, 9, 35}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &scene{T: t, dir: t.TempDir()}
			refuses := func(it *Item) string {
				if it.Kind == Receipt && (it.Seq == 7 || it.Seq == 9 || it.Seq == 35 && c.says == "" && len(c.want) == 3) {
					return "no"
				}
				return ""
			}
			spec := func(d *sinkDouble) Spec { d.refuses, d.parts = refuses, true; return d.spec("a") }
			play(t, s.dir, 30, spec(new(sinkDouble)), new(sinkDouble).spec("b"))
			c.attack(s, s.path("a", DeadFile))
			g := openLogOf(t, s.dir, 1<<20)
			g.seq.Store(30)
			var said []string
			o := g.options()
			o.Tell = func(_, why string) { said = append(said, why) }
			set := New(o)
			if err := set.Apply([]Spec{spec(new(sinkDouble))}); err != nil {
				t.Fatal(err)
			}
			g.add(5, "")
			closeSet(set, 10*time.Second)
			g.close()
			var got []uint64
			for _, l := range letters(t, s.read(s.path("a", DeadFile))) {
				got = append(got, l.Seq)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) || (c.says == "") != (len(said) == 0) || !strings.Contains(strings.Join(said, ""), c.says) {
				t.Errorf("letters %v, want %v; said %q", got, c.want, said)
			}
		})
	}
}

// Letters of what came again can be of receipts before the first one in the file.
func TestDeadLettersOfAReplayComeAgainToo(t *testing.T) {
	s := &scene{T: t, dir: t.TempDir()}
	var refused sync.Map
	refused.Store(uint64(9), true)
	start := func() (*testLog, *Set) {
		d := &sinkDouble{parts: true, refuses: func(it *Item) string {
			if _, no := refused.Load(it.Seq); no && it.Kind == Receipt {
				return "no"
			}
			return ""
		}}
		g := openLogOf(t, s.dir, 1<<20)
		spec := d.spec("a")
		spec.Items = 5
		return g, openSet(t, g, spec)
	}
	g, set := start()
	g.add(30, "")
	cursorOf(t, g, 30)
	refused.Store(uint64(5), true)
	if _, err := set.Replay("a", time.Time{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both", func() bool { return set.Status()[0].Dead == 3 })
	closeSet(set, 10*time.Second)
	g.close()
	s.remove(s.path("a", DeadFile))
	g, set = start()
	g.seq.Store(30)
	eventually(t, "both again", func() bool { return set.Status()[0].Dead == 5 })
	closeSet(set, 10*time.Second)
	g.close()
	if got := letters(t, s.read(s.path("a", DeadFile))); len(got) != 2 || got[0].Seq != 5 || got[1].Seq != 9 {
		t.Errorf("%+v", got)
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

// An operator's command outlives a copy of what was remembered before it.
func TestAnOldCopyUndoesNoCommand(t *testing.T) {
	receipt := func(g *testLog, what, body string) { // as the gateway keeps it, before it does it
		text := fmt.Sprintf(`"time":%q,"exchange":"admin-1","action":"allow","detail":%q,"events":[{"kind":"sink_%s","guard":"sinks"}]`, time.Now().UTC().Format(time.RFC3339Nano), "admin: "+what+" "+body, what)
		if err := g.l.Spool().Put([]byte(text)); err != nil {
			t.Fatal(err)
		}
		g.seq.Add(1)
	}
	original := staged(t)
	for _, c := range []struct {
		name  string
		do    func(g *testLog, s *Set) // after which the copy is put back that was made before
		first uint64
		says  string
	}{
		{"of a pause that was ended", func(g *testLog, s *Set) {
			receipt(g, "resume", `{"sink":"a"}`)
			if err := s.Resume("a"); err != nil {
				t.Fatal(err)
			}
		}, 31, "it was resumed"},
		{"of before a replay", func(g *testLog, s *Set) {
			receipt(g, "replay", `{"sink":"a","from":"`+g.at.Add(6*time.Second).Format(time.RFC3339)+`"}`)
			if _, err := s.Replay("a", g.at.Add(6*time.Second)); err != nil {
				t.Fatal(err)
			}
			if err := s.Resume("a"); err != nil {
				t.Fatal(err)
			}
			receipt(g, "resume", `{"sink":"a"}`)
		}, 6, "it was to be replayed"},
		{"of a pause that lasts", func(g *testLog, _ *Set) { receipt(g, "resume", `{"sink":"b"}`) }, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := original.copy(t)
			g := openLogOf(t, s.dir, 1<<20)
			g.seq.Store(30)
			set := openSet(t, g, new(sinkDouble).spec("a"), new(sinkDouble).spec("b"))
			if err := set.Pause("a"); err != nil {
				t.Fatal(err)
			}
			copied := s.read(s.path("a", CursorFile))
			time.Sleep(time.Millisecond)
			c.do(g, set)
			closeSet(set, 10*time.Second)
			g.close()
			s.write(s.path("a", CursorFile), copied)
			g = openLogOf(t, s.dir, 1<<20)
			g.seq.Store(31)
			d := new(sinkDouble)
			said := make(chan string, 9)
			o := g.options()
			o.Tell = func(_, why string) { said <- why }
			set = New(o)
			if err := set.Apply([]Spec{d.spec("a")}); err != nil {
				t.Fatal(err)
			}
			if c.first == 0 {
				time.Sleep(50 * time.Millisecond)
			} else {
				eventually(t, "it goes on", func() bool { return len(d.have()) > 0 })
			}
			closeSet(set, 10*time.Second)
			g.close()
			close(said)
			var all []string
			for why := range said {
				all = append(all, why)
			}
			have := d.have()
			if c.first == 0 && len(have) > 0 || c.first > 0 && have[0] != c.first || (c.says == "") != (len(all) == 0) || !strings.Contains(strings.Join(all, "\n"), c.says) {
				t.Errorf("came %v, said %q", have, all)
			}
		})
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

// A link must not lead the gateway to write where whoever made it cannot.
func TestNothingOutsideOfTheFolderIsWritten(t *testing.T) {
	s := staged(t)
	outside := filepath.Join(t.TempDir(), "precious")
	s.write(outside, []byte("precious"))
	for _, name := range []string{CursorFile + ".new", DeadFile, blindFile} {
		s.remove(s.path("a", name))
		if err := os.Symlink(outside, s.path("a", name)); err != nil {
			t.Fatal(err)
		}
	}
	g := openLogOf(t, s.dir, 1<<20)
	d := &sinkDouble{parts: true, refuses: func(it *Item) string { return "no" }}
	spec := d.spec("a")
	var err error
	if spec.Mask, err = NewMask([]string{"subject"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	set := New(g.options())
	_ = set.Apply([]Spec{spec}) // it may well fail
	g.add(2, "")
	time.Sleep(50 * time.Millisecond)
	closeSet(set, 100*time.Millisecond)
	g.close()
	if got := string(s.read(outside)); got != "precious" {
		t.Errorf("%.80q", got)
	}
	s = staged(t)
	s.remove(Folder(s.dir, "a"))
	if err := os.Symlink(t.TempDir(), Folder(s.dir, "a")); err != nil {
		t.Fatal(err)
	}
	g = openLogOf(t, s.dir, 1<<20)
	set = New(g.options())
	if err := set.Apply([]Spec{d.spec("a")}); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Error(err)
	}
	closeSet(set, time.Second)
	g.close()
}

// Whoever knows the key of a mask can try values.
func TestAKeyOfAMaskThatSomebodyElsePutThereIsNotUsed(t *testing.T) {
	for name, attack := range map[string]func(*scene){
		"before the sink begins": func(s *scene) { s.remove(s.path("a", CursorFile)) },
		"later":                  func(*scene) {},
	} {
		s := &scene{T: t, dir: t.TempDir()}
		masked := func(sp *Spec) {
			var err error
			if sp.Mask, err = NewMask([]string{"subject"}, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		spec := new(sinkDouble).spec("a")
		masked(&spec)
		play(t, s.dir, 30, spec, new(sinkDouble).spec("b"))
		known := bytes.Repeat([]byte{1}, 32)
		attack(s)
		s.write(s.path("a", blindFile), known)
		g := openLogOf(t, s.dir, 1<<20)
		set := New(g.options())
		masked(&spec)
		if err := set.Apply([]Spec{spec}); err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(spec.Mask.key, known) || len(spec.Mask.key) != 32 {
			t.Errorf("%s: it is used", name)
		}
		closeSet(set, time.Second)
		g.close()
	}
}
