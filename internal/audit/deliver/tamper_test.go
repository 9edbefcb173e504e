package deliver

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
)

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
