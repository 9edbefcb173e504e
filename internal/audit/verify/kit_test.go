package verify_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/internal/audit/verify"
)

// books is a directory that a ledger was kept in.
type books struct {
	dir, published string
	keys           chain.Keys
	private        []byte
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

type nobody struct{ lost uint64 }

func (n nobody) Lost() uint64      { return n.lost }
func (nobody) Wrote(uint64, error) {}
func (nobody) Published(error)     {}

func (b *books) options(t testing.TB, size int64) ledger.Options {
	t.Helper()
	key, err := chain.ParsePrivateKey(b.private)
	if err != nil {
		t.Fatal(err)
	}
	return ledger.Options{
		Directory: b.dir, SegmentSize: size, SegmentTime: time.Hour, CheckpointEvery: 5 * time.Millisecond,
		Key: key, Publish: b.published, Spool: 4 << 20, Log: quiet(), Now: time.Now,
	}
}

// keep writes n receipts in batches, with checkpoints between, and ends in order.
func (b *books) keep(t testing.TB, n int, size int64) {
	t.Helper()
	b.keepWith(t, n, b.options(t, size), 40)
}

func (b *books) keepWith(t testing.TB, n int, o ledger.Options, batch int) {
	t.Helper()
	l, err := ledger.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- l.Run(quit, nobody{}) }()
	var line []byte
	for i := range n {
		line = fmt.Appendf(line[:0], `"time":"2026-11-01T12:00:%02dZ","exchange":"%032x","direction":"to_server","action":"allow","server":"crm","subject":"alice","method":"tools/call","name":"find","bytes":%d,"guards":[{"name":"envelope","action":"allow","took_us":3}],"took_us":12`, i%60, i, i)
		for l.Spool().Put(line) != nil {
			time.Sleep(time.Millisecond)
		}
		if batch > 0 && i%batch == batch-1 {
			time.Sleep(8 * time.Millisecond)
		}
	}
	close(quit)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func newBooks(t testing.TB) *books {
	t.Helper()
	private, public, _, err := chain.GenerateKey()
	b := &books{dir: filepath.Join(t.TempDir(), "receipts"), private: private, keys: chain.Keys{}}
	if err != nil || b.keys.Add(public) != nil {
		t.Fatal(err)
	}
	b.published = filepath.Join(t.TempDir(), "published.jsonl")
	return b
}

// copyOf is the same books somewhere else.
func (b *books) copyOf(t testing.TB) *books {
	t.Helper()
	c := *b
	c.dir = filepath.Join(t.TempDir(), "receipts")
	c.published = filepath.Join(t.TempDir(), "published.jsonl")
	if err := os.CopyFS(c.dir, os.DirFS(b.dir)); err != nil {
		t.Fatal(err)
	}
	write(t, c.published, read(t, b.published))
	return &c
}

func (b *books) verify(t testing.TB) *verify.Report {
	t.Helper()
	r, err := verify.Directory(b.dir, verify.Options{Keys: b.keys, Published: b.published})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (b *books) path(name string) string { return filepath.Join(b.dir, name) }

func read(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func lines(text []byte) [][]byte {
	var out [][]byte
	for line := range bytes.Lines(text) {
		out = append(out, line)
	}
	return out
}

func good(t testing.TB, r *verify.Report) {
	t.Helper()
	for _, f := range r.Findings {
		t.Error(f)
	}
	if !r.OK || r.Signatures != "valid" {
		t.Errorf("%+v", r)
	}
}
