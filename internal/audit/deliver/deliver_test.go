package deliver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/ledger"
)

func TestEveryReceiptArrivesInOrderOverSegmentsAndRestarts(t *testing.T) {
	g := openLog(t, t.TempDir())
	d := new(sinkDouble)
	for range 3 {
		s := openSet(t, g, d.spec("a"))
		g.add(200, "")
		closeSet(s, time.Minute)
	}
	g.close()
	if err := consecutive(d.have(), 1, 600); err != nil {
		t.Error(err)
	}
	if d.kinds[Record] == 0 || d.kinds[Checkpoint] != 0 {
		t.Errorf("kinds: %v", d.kinds)
	}
	g2 := openLog(t, g.dir) // a segment of its own, as after each start
	g2.seq.Store(600)
	s := openSet(t, g2, d.spec("a"))
	g2.add(10, "")
	closeSet(s, time.Minute)
	g2.close()
	if err := consecutive(d.have(), 1, 610); err != nil {
		t.Error(err)
	}
}

func TestWhatAKilledGatewayDidNotNoteComesAgain(t *testing.T) {
	g := openLog(t, t.TempDir())
	d := new(sinkDouble)
	s := openSet(t, g, d.spec("a"))
	g.add(100, "")
	eventually(t, "half", func() bool { return len(d.have()) == 100 })
	cursorOf(t, g, 100)
	old, err := os.ReadFile(filepath.Join(Folder(g.dir, "a"), CursorFile))
	if err != nil {
		t.Fatal(err)
	}
	g.add(100, "")
	closeSet(s, time.Minute)
	if err := os.WriteFile(filepath.Join(Folder(g.dir, "a"), CursorFile), old, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openSet(t, g, d.spec("a"))
	closeSet(s, time.Minute)
	g.close()
	have := d.have()
	if err := consecutive(have[:200], 1, 200); err != nil {
		t.Error(err)
	}
	if err := consecutive(have[200:], 101, 200); err != nil {
		t.Error(err)
	}
}

func TestOneReceiptThatIsRefusedIsADeadLetterAndTheOthersArrive(t *testing.T) {
	for _, parts := range []bool{false, true} {
		g := openLog(t, t.TempDir())
		d := &sinkDouble{parts: parts, refuses: func(it *Item) string {
			if it.Seq == 77 && it.Kind == Receipt {
				return "it cannot be read"
			}
			return ""
		}}
		s := openSet(t, g, d.spec("a"))
		g.add(200, "")
		closeSet(s, time.Minute)
		g.close()
		have := d.have()
		if err := consecutive(append(have[:76:76], have[76:]...), 1, 76); err == nil || len(have) != 199 {
			t.Errorf("%d arrived", len(have))
		}
		text, err := os.ReadFile(filepath.Join(Folder(g.dir, "a"), DeadFile))
		if err != nil {
			t.Fatal(err)
		}
		l := letters(t, text)
		if len(l) != 1 || l[0].Seq != 77 || !strings.Contains(l[0].Why, "it cannot be read") || !strings.Contains(string(l[0].JSON), `"seq":77`) {
			t.Errorf("%s", text)
		}
	}
}

func TestASystemThatRefusesEverythingDoesNotTurnTheLogIntoDeadLetters(t *testing.T) {
	g := openLog(t, t.TempDir())
	d := &sinkDouble{refuses: func(*Item) string { return "no" }}
	s := openSet(t, g, d.spec("a"))
	g.add(500, "")
	eventually(t, "it gives up giving up", func() bool {
		st := s.Status()[0]
		return st.State == "failing" && strings.Contains(st.Error, "one after the other")
	})
	if st := s.Status()[0]; st.Dead != mostPoison || st.Lag == 0 {
		t.Errorf("%+v", st)
	}
	d.set(func(d *sinkDouble) { d.refuses = nil })
	closeSet(s, time.Millisecond)
	s = openSet(t, g, d.spec("a"))
	closeSet(s, time.Minute)
	g.close()
	if have := d.have(); len(have) < 400 {
		t.Errorf("%d arrived", len(have))
	}
}

func TestADeadSinkAndASlowOneHoldUpNobody(t *testing.T) {
	g := openLog(t, t.TempDir())
	dead, slow, good := &sinkDouble{broken: errors.New("connection refused")}, &sinkDouble{slow: 300 * time.Millisecond}, new(sinkDouble)
	s := openSet(t, g, dead.spec("dead"), slow.spec("slow"), good.spec("good"))
	g.add(1000, "")
	eventually(t, "the good one", func() bool { return len(good.have()) == 1000 && s.Status()[1].Lag == 0 })
	for _, st := range s.Status() {
		switch {
		case st.Name == "dead" && (st.State != "failing" || st.Lag != 1000 || st.LagSeconds <= 0 || st.Error != "connection refused"),
			st.Name == "good" && (st.State != "running" || st.Lag != 0):
			t.Errorf("%+v", st)
		}
	}
	dead.set(func(d *sinkDouble) { d.broken = nil })
	eventually(t, "the dead one", func() bool { return len(dead.have()) == 1000 })
	if err := consecutive(dead.have(), 1, 1000); err != nil {
		t.Error(err)
	}
	closeSet(s, time.Millisecond)
	g.close()
}

func TestAPausedSinkStaysSoOverARestartAndGoesOnWhereItWas(t *testing.T) {
	g := openLog(t, t.TempDir())
	d := new(sinkDouble)
	s := openSet(t, g, d.spec("a"))
	g.add(60, "")
	eventually(t, "some", func() bool { return len(d.have()) == 60 })
	if err := s.Pause("a"); err != nil {
		t.Fatal(err)
	}
	g.add(60, "")
	closeSet(s, time.Second)
	s = openSet(t, g, d.spec("a"))
	time.Sleep(50 * time.Millisecond)
	if st := s.Status()[0]; st.State != "paused" || len(d.have()) != 60 || st.Lag != 60 {
		t.Errorf("%d, %+v", len(d.have()), st)
	}
	if err := s.Resume("a"); err != nil {
		t.Fatal(err)
	}
	closeSet(s, time.Minute)
	g.close()
	if err := consecutive(d.have(), 1, 120); err != nil {
		t.Error(err)
	}
	if err := s.Pause("b"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

func TestAReplayBeginsWithTheFirstReceiptOfATime(t *testing.T) {
	g := openLog(t, t.TempDir())
	d := new(sinkDouble)
	s := openSet(t, g, d.spec("a"))
	g.add(400, "")
	eventually(t, "all", func() bool { return len(d.have()) == 400 })
	for _, from := range []uint64{1, 123, 400} {
		d.set(func(d *sinkDouble) { d.seqs = nil })
		first, err := s.Replay("a", g.at.Add(time.Duration(from)*time.Second))
		if err != nil || first != from {
			t.Fatalf("first %d, want %d: %v", first, from, err)
		}
		eventually(t, "again", func() bool { return len(d.have()) == int(401-from) })
		if err := consecutive(d.have(), from, 400); err != nil {
			t.Error(err)
		}
	}
	d.set(func(d *sinkDouble) { d.seqs, d.broken = nil, errors.New("down") })
	g.add(10, "")
	eventually(t, "failing", func() bool { return s.Status()[0].State == "failing" })
	if _, err := s.Replay("a", g.at.Add(300*time.Second)); err != nil { // while it is stuck
		t.Fatal(err)
	}
	d.set(func(d *sinkDouble) { d.broken = nil })
	eventually(t, "all since", func() bool { return len(d.have()) == 111 })
	closeSet(s, time.Second)
	g.close()
	if err := consecutive(d.have(), 300, 410); err != nil {
		t.Error(err)
	}
}

func TestANewSinkMayBeginWithWhatComes(t *testing.T) {
	g := openLog(t, t.TempDir())
	old, fresh := new(sinkDouble), new(sinkDouble)
	s := openSet(t, g, old.spec("old"))
	g.add(100, "")
	eventually(t, "old", func() bool { return len(old.have()) == 100 })
	spec := fresh.spec("fresh")
	spec.Newest = true
	if err := s.Apply([]Spec{old.spec("old"), spec}); err != nil {
		t.Fatal(err)
	}
	g.add(10, "")
	closeSet(s, time.Minute)
	g.close()
	if err := consecutive(fresh.have(), 101, 110); err != nil {
		t.Error(err)
	}
	if err := consecutive(old.have(), 1, 110); err != nil {
		t.Error(err)
	}
}

func TestAChangedSinkKeepsItsPlaceByName(t *testing.T) {
	g := openLog(t, t.TempDir())
	a, b := new(sinkDouble), new(sinkDouble)
	s := openSet(t, g, a.spec("siem"))
	g.add(30, "")
	eventually(t, "first", func() bool { return len(a.have()) == 30 })
	other := b.spec("siem")
	other.Same = "another URL"
	if err := s.Apply([]Spec{other}); err != nil {
		t.Fatal(err)
	}
	g.add(30, "")
	eventually(t, "second", func() bool { return len(b.have()) == 30 })
	if err := s.Apply(nil); err != nil { // gone, and back
		t.Fatal(err)
	}
	g.add(5, "")
	if err := s.Apply([]Spec{other}); err != nil {
		t.Fatal(err)
	}
	closeSet(s, time.Minute)
	g.close()
	if err := consecutive(b.have(), 31, 65); err != nil {
		t.Error(err)
	}
}

func TestSegmentsThatAreGoneAreCounted(t *testing.T) {
	g := openLog(t, t.TempDir())
	d := new(sinkDouble)
	s := openSet(t, g, d.spec("a"))
	g.add(10, "")
	eventually(t, "some", func() bool { return len(d.have()) == 10 })
	if err := s.Pause("a"); err != nil {
		t.Fatal(err)
	}
	for seq := g.seq.Load(); seq < 510; seq = g.seq.Load() {
		g.add(50, "")
		eventually(t, "written", func() bool { p, _ := end(g.dir, nil); return p.Seq == seq+50 })
	}
	for n := uint64(1); n < 4; n++ {
		if err := os.Remove(filepath.Join(g.dir, ledger.SegmentFile(n))); err != nil {
			t.Fatal(err)
		}
	}
	closeSet(s, time.Millisecond)
	s = openSet(t, g, d.spec("a"))
	if err := s.Resume("a"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end", func() bool { return s.Status()[0].Lag == 0 })
	st := s.Status()[0]
	if st.Missed == 0 || st.Missed+uint64(len(d.have())) != 510 {
		t.Errorf("missed %d, %d arrived", st.Missed, len(d.have()))
	}
	closeSet(s, time.Second)
	g.close()
}

func TestAnotherDirectoryIsNotGoneOnWith(t *testing.T) {
	g := openLog(t, t.TempDir())
	d := new(sinkDouble)
	s := openSet(t, g, d.spec("a"))
	g.add(300, "")
	closeSet(s, time.Minute)
	g.close()
	numbers, err := ledger.Segments(g.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range numbers {
		if err := os.Remove(filepath.Join(g.dir, ledger.SegmentFile(n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(g.dir, ledger.CheckpointFile)); err != nil {
		t.Fatal(err)
	}
	g = openLog(t, g.dir) // a new replica
	d.set(func(d *sinkDouble) { d.seqs = nil })
	g.add(5, "")
	eventually(t, "written", func() bool { p, _ := end(g.dir, nil); return p.Seq == 5 })
	s = openSet(t, g, d.spec("a"))
	closeSet(s, time.Minute)
	g.close()
	if err := consecutive(d.have(), 1, 5); err != nil {
		t.Error(err)
	}
}

func TestHalfALineThatAKilledGatewayLeftIsNotDelivered(t *testing.T) {
	g := openLog(t, t.TempDir())
	g.add(20, "")
	g.close()
	f, err := os.OpenFile(filepath.Join(g.dir, ledger.SegmentFile(1)), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"v":1,"replica":"`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	g2 := openLog(t, g.dir)
	g2.seq.Store(20)
	g2.add(20, "")
	d := new(sinkDouble)
	s := openSet(t, g2, d.spec("a"))
	closeSet(s, time.Minute)
	g2.close()
	if err := consecutive(d.have(), 1, 40); err != nil {
		t.Error(err)
	}
}

func TestCheckpointsAreDeliveredToWhoeverAsks(t *testing.T) {
	g := openLog(t, t.TempDir())
	d := new(sinkDouble)
	spec := d.spec("a")
	spec.Filter.Kinds = []Kind{Checkpoint}
	s := openSet(t, g, spec)
	g.add(100, "")
	eventually(t, "checkpoints", func() bool { d.mu.Lock(); defer d.mu.Unlock(); return d.kinds[Checkpoint] > 1 })
	closeSet(s, time.Second)
	g.close()
	if d.kinds[Receipt] != 0 {
		t.Error("receipts too")
	}
	if _, some := s.Behind(); some {
		t.Error("it holds receipts back")
	}
}

func TestASystemThatAcknowledgesNothingGetsTheLastMinuteAgainAfterARestart(t *testing.T) {
	g := openLog(t, t.TempDir())
	d := new(sinkDouble)
	spec := d.spec("a")
	spec.Overlap = time.Minute // the kit's receipts are a second apart
	s := openSet(t, g, spec)
	g.add(300, "")
	closeSet(s, time.Minute)
	d.set(func(d *sinkDouble) { d.seqs = nil })
	s = openSet(t, g, spec)
	g.add(10, "")
	closeSet(s, time.Minute)
	g.close()
	if err := consecutive(d.have(), 240, 310); err != nil {
		t.Error(err)
	}
}
