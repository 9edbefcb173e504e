package deliver

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/ledger"
)

// log is a receipt directory that is written.
type testLog struct {
	t    testing.TB
	dir  string
	l    *ledger.Ledger
	quit chan struct{}
	done chan error
	seq  atomic.Uint64
	at   time.Time
	set  atomic.Pointer[Set]
}

func testKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, 32)) }

func (g *testLog) options() Options {
	return Options{Directory: g.dir, Head: g.seq.Load, Writes: g.l.Segment, Log: quiet(), Now: time.Now, Key: testKey(), Before: g.l.Deliveries(), Begun: g.l.Turn}
}

type nobody struct{}

func (nobody) Lost() uint64        { return 0 }
func (nobody) Wrote(uint64, error) {}
func (nobody) Published(error)     {}

func openLog(t testing.TB, dir string) *testLog {
	t.Helper()
	return openLogOf(t, dir, 16<<10)
}

func openLogOf(t testing.TB, dir string, segment int64) *testLog {
	t.Helper()
	return begin(t, dir, segment, true)
}

// openOldLog opens one as gateways did that signed nothing of sinks.
func openOldLog(t testing.TB, dir string) *testLog {
	t.Helper()
	return begin(t, dir, 1<<20, false)
}

func begin(t testing.TB, dir string, segment int64, signs bool) *testLog {
	t.Helper()
	g := &testLog{t: t, dir: dir}
	sinks := func() []string {
		if s := g.set.Load(); s != nil {
			return s.Names()
		}
		return nil
	}
	adopt := func(d *ledger.Deliveries) []string {
		return Adopt(&Options{Directory: dir, Log: quiet(), Now: time.Now, Key: testKey(), Before: *d})
	}
	if !signs {
		sinks, adopt = nil, nil
	}
	l, err := ledger.Open(ledger.Options{Directory: dir, SegmentSize: segment, SegmentTime: time.Hour, CheckpointEvery: 20 * time.Millisecond,
		Key: testKey(), Sinks: sinks, Adopt: adopt, Spool: 4 << 20, Log: quiet(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	g.l, g.quit, g.done, g.at = l, make(chan struct{}), make(chan error, 1), time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	go func() { g.done <- l.Run(g.quit, nobody{}) }()
	return g
}

func (g *testLog) close() {
	g.t.Helper()
	close(g.quit)
	if err := <-g.done; err != nil {
		g.t.Fatal(err)
	}
}

// add writes n receipts, a second after each other.
func (g *testLog) add(n int, more string) {
	g.t.Helper()
	for range n {
		at := g.at.Add(time.Duration(g.seq.Add(1)) * time.Second)
		r := fmt.Sprintf(`"time":%q,"exchange":"x-%d","direction":"to_server","action":"allow","guards":[],"took_us":1%s`, at.Format(time.RFC3339Nano), g.seq.Load(), more)
		err := g.l.Spool().Put([]byte(r))
		for errors.Is(err, ledger.ErrFull) {
			time.Sleep(time.Millisecond)
			err = g.l.Spool().Put([]byte(r))
		}
		if err != nil {
			g.t.Fatal(err)
		}
	}
}

// sinkDouble takes receipts, unless told otherwise.
type sinkDouble struct {
	mu      sync.Mutex
	seqs    []uint64
	bodies  []string
	kinds   map[Kind]int
	broken  error
	refuses func(*Item) string // why it never takes one
	parts   bool               // names those rather than refusing the batch
	slow    time.Duration
	calls   int
}

func (s *sinkDouble) Deliver(ctx context.Context, items []*Item) (out Outcome, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.broken != nil {
		return out, s.broken
	}
	if s.slow > 0 {
		select {
		case <-ctx.Done():
			return out, ctx.Err()
		case <-time.After(s.slow):
		}
	}
	for i, it := range items {
		if s.refuses == nil {
			break
		}
		if why := s.refuses(it); why != "" {
			if !s.parts {
				return Outcome{}, Refuse("%s", why)
			}
			out.Refused = append(out.Refused, Refusal{i, why})
		}
	}
	if s.kinds == nil {
		s.kinds = make(map[Kind]int)
	}
	for i, it := range items {
		if len(out.Refused) > 0 && out.Refused[0].Index == i {
			continue
		}
		s.kinds[it.Kind]++
		if it.Kind == Receipt {
			s.seqs = append(s.seqs, it.Seq)
			s.bodies = append(s.bodies, string(it.Body))
		}
	}
	return out, nil
}

func (s *sinkDouble) Close() error { return nil }

func (s *sinkDouble) set(f func(*sinkDouble)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *sinkDouble) have() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]uint64(nil), s.seqs...)
}

func (s *sinkDouble) spec(name string) Spec {
	return Spec{Name: name, Kind: "double", Open: func() (Sink, error) { return s, nil }, Items: 50, Bytes: 1 << 20, Wait: 5 * time.Millisecond, Timeout: time.Second, Retry: 20 * time.Millisecond}
}

func openSet(t testing.TB, g *testLog, specs ...Spec) *Set {
	t.Helper()
	s := New(g.options())
	g.set.Store(s)
	if err := s.Apply(specs); err != nil {
		t.Fatal(err)
	}
	return s
}

func closeSet(s *Set, limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	s.Close(ctx)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time: " + what)
		}
	}
}

// consecutive reports whether seqs is from, from+1, ... to.
func consecutive(seqs []uint64, from, to uint64) error {
	if uint64(len(seqs)) != to-from+1 {
		return fmt.Errorf("%d receipts, want %d", len(seqs), to-from+1)
	}
	for i, s := range seqs {
		if s != from+uint64(i) {
			return fmt.Errorf("receipt %d is in place %d", s, i)
		}
	}
	return nil
}

func letters(t testing.TB, text []byte) []letter {
	t.Helper()
	var out []letter
	for line := range bytes.Lines(text) {
		var l letter
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		out = append(out, l)
	}
	return out
}
