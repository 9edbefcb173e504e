package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
)

type counts struct {
	lost, wrote atomic.Uint64
	mu          sync.Mutex
	err         error
}

func (c *counts) Lost() uint64 { return c.lost.Load() }

func (c *counts) Wrote(n uint64, err error) {
	c.wrote.Add(n)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *counts) Published(error) {}

func (c *counts) trouble() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func options(t testing.TB) Options {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Directory: filepath.Join(t.TempDir(), "receipts"), SegmentSize: 1 << 20, SegmentTime: time.Hour, CheckpointEvery: 10 * time.Millisecond,
		Key: key, Spool: 1 << 20, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}
}

func open(t testing.TB, o Options) *Ledger {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// running runs l until the function that it returns is called.
func running(t testing.TB, l *Ledger) (*counts, func()) {
	t.Helper()
	c, quit, done := &counts{}, make(chan struct{}), make(chan error, 1)
	go func() { done <- l.Run(quit, c) }()
	return c, func() {
		t.Helper()
		close(quit)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func put(t testing.TB, l *Ledger, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		if err := l.spool.Put(fmt.Appendf(nil, `"exchange":"e%d"`, i)); err != nil {
			t.Fatal(err)
		}
	}
}

// exchanges returns those of all whole lines, in order, and the records.
func exchanges(t testing.TB, dir string) (all []string, records []string) {
	t.Helper()
	numbers, err := Segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range numbers {
		text, err := os.ReadFile(filepath.Join(dir, SegmentFile(n)))
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			l, err := chain.Parse(bytes.TrimSuffix(line, []byte("\n")))
			if err != nil {
				continue
			}
			if l.Record != "" {
				records = append(records, string(l.Text))
				continue
			}
			_, rest, _ := strings.Cut(string(l.Text), `"exchange":"`)
			name, _, _ := strings.Cut(rest, `"`)
			all = append(all, name)
		}
	}
	return all, records
}

func inOrder(t testing.TB, dir string, n int) (records string) {
	t.Helper()
	all, rs := exchanges(t, dir)
	if len(all) != n {
		t.Errorf("%d receipts, want %d", len(all), n)
	}
	for i, e := range all {
		if e != fmt.Sprintf("e%d", i) {
			t.Fatalf("receipt %d is %s", i, e)
		}
	}
	return strings.Join(rs, "\n")
}

// die lets go of l as a killed process does: nothing is flushed or ended.
func die(l *Ledger) { l.shut() }

func TestWhatAKilledProcessLeftInTheSpoolIsWrittenOnce(t *testing.T) {
	o := options(t)
	l := open(t, o)
	c := &counts{}
	var lost uint64
	put(t, l, 0, 10)
	if err := l.work(c, &lost); err != nil {
		t.Fatal(err)
	}
	put(t, l, 10, 5)
	die(l) // five wait

	l = open(t, o)
	if records := inOrder(t, o.Directory, 15); !strings.Contains(records, `"start":"interrupted"`) || !strings.Contains(records, `"recovered":5`) {
		t.Error(records)
	}
	// The write succeeded and the spool does not know yet.
	put(t, l, 15, 5)
	if err := l.spool.each(func(r []byte) bool { l.receipt(r); return true }); err != nil {
		t.Fatal(err)
	}
	l.spool.read = l.spool.head // so that flush releases nothing
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	die(l)
	l = open(t, o)
	inOrder(t, o.Directory, 20)
	_, stop := running(t, l)
	put(t, l, 20, 3)
	stop()
	inOrder(t, o.Directory, 23)
}

func TestHalfALineIsToldAndNeverContinued(t *testing.T) {
	o := options(t)
	l := open(t, o)
	put(t, l, 0, 3)
	var lost uint64
	if err := l.work(&counts{}, &lost); err != nil {
		t.Fatal(err)
	}
	die(l)
	path := filepath.Join(o.Directory, SegmentFile(1))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	torn := append(text, `{"v":1,"replica":"half`...)
	if err := os.WriteFile(path, torn, 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, o)
	_, stop := running(t, l)
	put(t, l, 3, 2)
	stop()
	records := inOrder(t, o.Directory, 5)
	if !strings.Contains(records, `"torn_bytes":22,"torn_sha256":"`) {
		t.Error(records)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, torn) {
		t.Errorf("evidence was touched: %v", err)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	o := options(t)
	l := open(t, o)
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "in use by another gateway") {
		t.Error(err)
	}
	die(l)
	die(open(t, o))
}

// The file is exchanged for one on a full disk, and back.
func TestAFullDiskLosesNothingThatWasTaken(t *testing.T) {
	o := options(t)
	l := open(t, o)
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	good := l.file
	c := &counts{}
	var lost uint64
	put(t, l, 0, 5)
	l.file = full
	for range 3 {
		if err := l.work(c, &lost); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Fatal(err)
		}
	}
	if c.trouble() == nil {
		t.Error("nobody was told")
	}
	put(t, l, 5, 4)
	c.lost.Store(7) // refused meanwhile
	l.file = good
	for range 2 {
		if err := l.work(c, &lost); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.wrote.Load(); n != 9 || c.trouble() != nil {
		t.Errorf("%d written, %v", n, c.trouble())
	}
	if records := inOrder(t, o.Directory, 9); !strings.Contains(records, `"receipts_lost":7`) {
		t.Error(records)
	}
	die(l)
}

func TestADirectoryThatSomebodyChangedIsSaidSoForGood(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"a line altered": func(dir string) error {
			path := filepath.Join(dir, SegmentFile(1))
			text, err := os.ReadFile(path)
			return errorsOf(err, os.WriteFile(path, bytes.Replace(text, []byte("e3"), []byte("e4"), 1), 0o600))
		},
		"the end cut off": func(dir string) error {
			path := filepath.Join(dir, SegmentFile(1))
			text, err := os.ReadFile(path)
			lines := bytes.SplitAfter(text, []byte("\n"))
			return errorsOf(err, os.WriteFile(path, bytes.Join(lines[:4], nil), 0o600))
		},
		"the segment gone":     func(dir string) error { return os.Remove(filepath.Join(dir, SegmentFile(1))) },
		"the checkpoints gone": func(dir string) error { return os.Remove(filepath.Join(dir, CheckpointFile)) },
		"everything gone": func(dir string) error {
			return errorsOf(os.Remove(filepath.Join(dir, CheckpointFile)), os.Remove(filepath.Join(dir, SegmentFile(1))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			o.Publish = filepath.Join(t.TempDir(), "published")
			var log bytes.Buffer
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
			l := open(t, o)
			_, stop := running(t, l)
			put(t, l, 0, 10)
			stop()
			if err := change(o.Directory); err != nil {
				t.Fatal(err)
			}
			_, stop = running(t, open(t, o))
			stop()
			_, records := exchanges(t, o.Directory)
			if all := strings.Join(records, "\n"); !strings.Contains(all, `"trouble":"`) || !strings.Contains(log.String(), "was changed since it was last written") {
				t.Errorf("%s\n%s", all, log.String())
			}
		})
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestAPlaceForCheckpointsThatComesLateGetsThemAll(t *testing.T) {
	o := options(t)
	folder := filepath.Join(t.TempDir(), "mount")
	o.Publish = filepath.Join(folder, "published")
	l := open(t, o)
	_, stop := running(t, l)
	put(t, l, 0, 3)
	time.Sleep(50 * time.Millisecond)
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, l, 3, 1)
	stop()
	own, err := os.ReadFile(filepath.Join(o.Directory, CheckpointFile))
	copied, err2 := os.ReadFile(o.Publish)
	if err != nil || err2 != nil || !bytes.Equal(own, copied) || len(own) == 0 {
		t.Errorf("%v %v: %d bytes of %d", err, err2, len(copied), len(own))
	}
}

func TestTheSpoolKeepsOrderAroundItsEnd(t *testing.T) {
	s, err := createSpool(filepath.Join(t.TempDir(), "spool"), 8192, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.close() }()
	in, out := 0, 0
	for round := range 2000 {
		for n := round % 7; n > 0; n-- {
			if s.Put(bytes.Repeat([]byte{byte(in)}, 1+in%900)) != nil {
				break
			}
			in++
		}
		if err := s.each(func(r []byte) bool {
			if len(r) != 1+out%900 || r[0] != byte(out) || r[len(r)-1] != byte(out) {
				t.Fatalf("entry %d: %d bytes", out, len(r))
			}
			out++
			return true
		}); err != nil {
			t.Fatal(err)
		}
		s.release()
	}
	if in != out || in < 4000 {
		t.Errorf("%d in, %d out", in, out)
	}
	if err := s.Put(make([]byte, 5000)); !errors.Is(err, errBig) {
		t.Error(err)
	}
}

func TestManyPutAtOnce(t *testing.T) {
	o := options(t)
	o.SegmentSize = 64 << 10
	l := open(t, o)
	c, stop := running(t, l)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				for l.spool.Put(fmt.Appendf(nil, `"exchange":"e%d-%d"`, g, i)) != nil {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	stop()
	all, _ := exchanges(t, o.Directory)
	seen := make(map[string]bool)
	for _, e := range all {
		seen[e] = true
	}
	if len(all) != 4000 || len(seen) != 4000 || c.wrote.Load() != 4000 {
		t.Errorf("%d receipts, %d different, %d written", len(all), len(seen), c.wrote.Load())
	}
}

func FuzzSalvage(f *testing.F) {
	path := filepath.Join(f.TempDir(), "spool")
	s, err := createSpool(path, 4096, 1)
	if err != nil {
		f.Fatal(err)
	}
	for range 5 {
		if err := s.Put([]byte(`"a":1`)); err != nil {
			f.Fatal(err)
		}
	}
	if err := s.close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, uint64(2))
	f.Add(whole[:5000], uint64(0))
	f.Fuzz(func(t *testing.T, text []byte, seq uint64) {
		left := leftovers(text, seq)
		for i, l := range left {
			if l.seq <= seq || i > 0 && l.seq != left[i-1].seq+1 {
				t.Fatalf("entry %d has number %d after %d", i, l.seq, seq)
			}
		}
	})
}
