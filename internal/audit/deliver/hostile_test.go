package deliver

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/ledger"
)

// cursorOf waits until a sink's place is saved.
func cursorOf(t *testing.T, g *testLog, seq uint64) Cursor {
	t.Helper()
	var c Cursor
	eventually(t, "the cursor", func() bool {
		m, err := ReadMemory(g.dir, "a")
		if err == nil {
			c = m.Cursor
		}
		return err == nil && c.At.Seq == seq
	})
	return c
}

func TestAPlaceThatIsNoneInTheLogLosesNothing(t *testing.T) {
	for name, forge := range map[string]func(*Cursor){
		"in the middle of a line": func(c *Cursor) { c.At.Offset -= 3 },
		"behind another line":     func(c *Cursor) { c.Line = strings.Repeat("ab", 32) },
		"behind the segment":      func(c *Cursor) { c.At.Offset += 1 << 20 },
		"before the log":          func(c *Cursor) { c.At.Offset = -5 },
		"of a segment to come":    func(c *Cursor) { c.At.Segment += 7 },
		"nonsense":                nil,
	} {
		t.Run(name, func(t *testing.T) {
			g := openLogOf(t, t.TempDir(), 1<<20)
			d := new(sinkDouble)
			s := openSet(t, g, d.spec("a"))
			g.add(30, "")
			eventually(t, "all", func() bool { return len(d.have()) == 30 })
			c := cursorOf(t, g, 30)
			closeSet(s, time.Minute)
			path := filepath.Join(Folder(g.dir, "a"), CursorFile)
			text := []byte("{\"at\":{")
			if forge != nil {
				forge(&c)
				var err error
				if text, err = (Memory{Sink: "a", Cursor: c}).sign(testKey()); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			d.set(func(d *sinkDouble) { d.seqs, d.bodies = nil, nil })
			s = openSet(t, g, d.spec("a"))
			g.add(10, "")
			eventually(t, "the last", func() bool { have := d.have(); return len(have) > 0 && have[len(have)-1] == 40 })
			closeSet(s, time.Minute)
			g.close()
			have := d.have()
			if err := consecutive(have, have[0], 40); err != nil || have[0] > 31 {
				t.Errorf("begins at %d: %v", have[0], err)
			}
		})
	}
}

// A directory is put back from a copy, its sinks' places are not, and then it goes
// on otherwise: what stands before the place now was never delivered.
func TestALogThatWasPutBackFromACopyIsDeliveredAsItIsNow(t *testing.T) {
	g := openLog(t, t.TempDir())
	g.add(5, "")
	g.close()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(g.dir)); err != nil {
		t.Fatal(err)
	}
	run := func(word string) (*sinkDouble, *testLog) {
		g := openLog(t, g.dir)
		g.seq.Store(5)
		d := new(sinkDouble)
		s := openSet(t, g, d.spec("a"))
		g.add(20, `,"name":"`+word+`"`)
		closeSet(s, time.Minute)
		g.close()
		return d, g
	}
	run("one")
	for _, name := range []string{ledger.SegmentFile(1), ledger.SegmentFile(2), ledger.CheckpointFile} {
		_ = os.Remove(filepath.Join(g.dir, name))
	}
	entries, err := os.ReadDir(copied)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(copied, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(g.dir, e.Name()), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	d, g2 := openOther(t, g.dir)
	eventually(t, "what it is now", func() bool { return bytes.Count([]byte(strings.Join(d.all(), "")), []byte("two")) >= 20 })
	g2()
}

func openOther(t *testing.T, dir string) (*sinkDouble, func()) {
	g := openLog(t, dir)
	g.seq.Store(5)
	g.add(20, `,"name":"two"`)
	eventually(t, "written", func() bool { p, _ := end(dir, nil); return p.Seq == 25 })
	d := new(sinkDouble)
	s := openSet(t, g, d.spec("a"))
	return d, func() { closeSet(s, time.Minute); g.close() }
}

func (s *sinkDouble) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.bodies...)
}

// Whoever gets a masked copy may know everything but what is masked, and may try
// values: no hash that goes with it may tell him that one fits.
func TestAMaskedCopyTellsNobodyWhichValueFits(t *testing.T) {
	for name, mask := range map[string]struct{ remove, hash []string }{"removed": {remove: []string{"subject"}}, "hashed": {hash: []string{"subject"}}} {
		t.Run(name, func(t *testing.T) {
			g := openLog(t, t.TempDir())
			var key []byte
			if mask.hash != nil {
				key = []byte("0123456789abcdef")
			}
			m, err := NewMask(mask.remove, mask.hash, key)
			if err != nil {
				t.Fatal(err)
			}
			d := new(sinkDouble)
			var sent []string
			spec := d.spec("a")
			spec.Mask = m
			spec.Open = func() (Sink, error) { return &recorder{d, &sent}, nil }
			s := openSet(t, g, spec)
			g.add(100, `,"subject":"alice"`) // over several segments, whose heads say the last hash
			closeSet(s, time.Minute)
			g.close()
			all := strings.Join(sent, "\n")
			if strings.Contains(all, "alice") || len(sent) < 100 {
				t.Fatalf("%d items:\n%.500s", len(sent), all)
			}
			numbers, err := ledger.Segments(g.dir)
			if err != nil || len(numbers) < 2 {
				t.Fatal(numbers, err)
			}
			for _, n := range numbers {
				text, err := os.ReadFile(filepath.Join(g.dir, ledger.SegmentFile(n)))
				if err != nil {
					t.Fatal(err)
				}
				for line := range bytes.Lines(text) {
					l, err := chain.Parse(bytes.TrimSuffix(line, []byte("\n")))
					if err != nil {
						t.Fatal(err)
					}
					if h := l.Hash.String(); strings.Contains(all, h) || strings.Contains(all, "-"+h[:shortHash]) {
						t.Fatalf("the hash of %s goes with the copies", line)
					}
				}
			}
			d2, before := new(sinkDouble), sent
			sent = nil
			spec.Name, spec.Mask = "a", m
			spec.Open = func() (Sink, error) { return &recorder{d2, &sent}, nil }
			g = openLog(t, g.dir)
			g.seq.Store(100)
			if spec.Mask, err = NewMask(mask.remove, mask.hash, key); err != nil { // as after a restart
				t.Fatal(err)
			}
			s = openSet(t, g, spec)
			if _, err := s.Replay("a", time.Time{}); err != nil {
				t.Fatal(err)
			}
			closeSet(s, time.Minute)
			g.close()
			if !slices.Contains(sent, before[1]) {
				t.Errorf("what comes again is called otherwise:\n%s\n%s", before[1], sent)
			}
		})
	}
}

// recorder keeps all that goes with items.
type recorder struct {
	*sinkDouble
	sent *[]string
}

func (r *recorder) Deliver(ctx context.Context, items []*Item) (Outcome, error) {
	for _, it := range items {
		*r.sent = append(*r.sent, it.ID+" "+it.Hash.String()+" "+string(it.Body))
	}
	return r.sinkDouble.Deliver(ctx, items)
}

// A failing sink has a backlog that is older than receipts are kept. While the
// gateway stops, and where a sink cannot be begun, nobody may think that nothing has
// to be read any more.
func TestRetentionTakesNothingWhileSinksStopOrCannotBegin(t *testing.T) {
	g := openLog(t, t.TempDir())
	d := new(sinkDouble)
	s := openSet(t, g, d.spec("a"))
	d.set(func(d *sinkDouble) { d.broken = errors.New("away") })
	g.add(5, "")
	closeSet(s, 50*time.Millisecond)
	if _, some := s.Behind(); !some {
		t.Error("stopped, and nothing is needed any more")
	}
	if err := s.Pause("a"); !errors.Is(err, ErrUnknown) {
		t.Errorf("stopped, and paused: %v", err)
	}
	g.close()
	g = openLog(t, t.TempDir())
	defer g.close()
	if err := os.MkdirAll(filepath.Join(g.dir, "sinks"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(Folder(g.dir, "b"), []byte("no folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = New(g.options())
	if err := s.Apply([]Spec{d.spec("b")}); err == nil {
		t.Error("begun")
	}
	if n, some := s.Behind(); !some || n != 0 {
		t.Errorf("not begun: %d %v", n, some)
	}
	if err := s.Apply(nil); err != nil {
		t.Error(err)
	}
	if _, some := s.Behind(); some {
		t.Error("no sink is left, and receipts are kept for one")
	}
	closeSet(s, time.Second)
}

// A configuration that is read again puts another worker in a sink's place: what
// was said to be paused has to be.
func TestAPauseIsNotLostToAReload(t *testing.T) {
	g := openLog(t, t.TempDir())
	defer g.close()
	d := new(sinkDouble)
	s := openSet(t, g, d.spec("a"))
	defer closeSet(s, time.Second)
	for i := range 40 {
		done := make(chan error, 1)
		go func() {
			spec := d.spec("a")
			spec.Same = string(rune('a' + i))
			done <- s.Apply([]Spec{spec})
		}()
		if err := s.Pause("a"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if st := s.Status()[0]; st.State != "paused" {
			t.Fatalf("round %d: %s", i, st.State)
		}
		if err := s.Resume("a"); err != nil {
			t.Fatal(err)
		}
	}
}

// Somebody puts segments behind the one that is written, while it is.
func TestNobodyLeadsASinkAwayFromWhatIsWritten(t *testing.T) {
	g := openLog(t, t.TempDir())
	defer g.close()
	d := new(sinkDouble)
	set := openSet(t, g, d.spec("a"))
	g.add(10, "")
	eventually(t, "10", func() bool { return len(d.have()) == 10 })
	plant := func(n uint64) string { return filepath.Join(g.dir, ledger.SegmentFile(n)) }
	if err := errors.Join(os.WriteFile(plant(90_000_000), []byte("read on here\n"), 0o600), syscall.Mkfifo(plant(90_000_001), 0o600)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // it looks every 5
	late := new(sinkDouble)
	newest := late.spec("late")
	newest.Newest = true
	if err := set.Apply([]Spec{d.spec("a"), newest}); err != nil {
		t.Fatal(err)
	}
	g.add(200, "") // in several segments
	eventually(t, "all", func() bool { return len(d.have()) >= 210 && len(late.have()) >= 200 })
	if _, err := set.Replay("a", g.at.Add(200*time.Second)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the last 11 again", func() bool { return len(d.have()) >= 221 })
	closeSet(set, 10*time.Second)
	if err := errors.Join(consecutive(d.have()[:210], 1, 210), consecutive(late.have(), 11, 210)); err != nil || d.kinds[Record] > 60 {
		t.Errorf("%v, %d records", err, d.kinds[Record])
	}
}
