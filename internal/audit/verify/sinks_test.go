package verify_test

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/internal/audit/verify"
)

type taker struct{}

func (taker) Deliver(_ context.Context, items []*deliver.Item) (out deliver.Outcome, err error) {
	for i, it := range items {
		if it.Kind == deliver.Receipt && it.Seq == 7 {
			out.Refused = append(out.Refused, deliver.Refusal{Index: i, Why: "no"})
		}
	}
	return out, nil
}
func (taker) Close() error { return nil }

// deliverAll has the sinks a and b take what there is, as a start of a gateway does that
// keeps n receipts more.
func (b *books) deliverAll(t testing.TB, n int) {
	t.Helper()
	key, err := chain.ParsePrivateKey(b.private)
	if err != nil {
		t.Fatal(err)
	}
	var set *deliver.Set
	o := b.options(t, 8<<10)
	o.Sinks = func() []string {
		if set == nil {
			return nil
		}
		return set.Names()
	}
	l, err := ledger.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	set = deliver.New(deliver.Options{Directory: b.dir, Head: func() uint64 { return 0 }, Log: quiet(), Now: time.Now, Key: key, Before: l.Deliveries(), Begun: l.Turn})
	var specs []deliver.Spec
	for _, name := range []string{"a", "b"} {
		specs = append(specs, deliver.Spec{Name: name, Open: func() (deliver.Sink, error) { return taker{}, nil }, Items: 50, Bytes: 1 << 20, Wait: time.Millisecond, Timeout: time.Second, Retry: time.Second})
	}
	if err := set.Apply(specs); err != nil {
		t.Fatal(err)
	}
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- l.Run(quit, nobody{}) }()
	for range n {
		if err := l.Spool().Put([]byte(`"time":"2026-11-01T12:00:00Z","action":"allow"`)); err != nil {
			t.Fatal(err)
		}
	}
	close(quit)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); slices.ContainsFunc(set.Status(), func(s deliver.Status) bool { return s.At.Seq < l.Seq() }); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not delivered: %+v", set.Status())
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	set.Close(ctx)
}

// Whoever changes what sinks remember, or a log that sinks have had more of, is found.
func TestWhatSinksRememberIsVerifiedToo(t *testing.T) {
	original, other := newBooks(t), newBooks(t)
	other.private = original.private // replicas may share a key
	original.keep(t, 40, 8<<10)
	original.deliverAll(t, 20)
	other.keep(t, 90, 8<<10)
	other.deliverAll(t, 5)
	r := original.verify(t)
	good(t, r)
	if len(r.Sinks) != 2 || r.Sinks[0].State != verify.Authentic || r.Sinks[0].Seq != r.LastSeq {
		t.Fatalf("%+v", r.Sinks)
	}
	const cursor = "sinks/a/" + deliver.CursorFile
	for _, c := range []struct {
		name   string
		attack func(*books)
		kind   verify.Kind // empty: no finding
		file   string
		says   string
		state  string
	}{
		{"a bit flips", func(b *books) {
			text := read(t, b.path(cursor))
			text[len(text)/2] ^= 1
			write(t, b.path(cursor), text)
		}, "", cursor, "", verify.NotAuthentic},
		{"the place is moved", func(b *books) {
			write(t, b.path(cursor), bytes.Replace(read(t, b.path(cursor)), []byte(`"seq":`), []byte(`"seq":9`), 1))
		}, verify.Forged, cursor, "is not one of key", verify.NotAuthentic},
		{"the signature is taken away", func(b *books) {
			text, _, _ := bytes.Cut(read(t, b.path(cursor)), []byte(`,"signature"`))
			write(t, b.path(cursor), append(text, '}'))
		}, verify.Forged, cursor, "is not signed", verify.NotAuthentic},
		{"it is another sink's", func(b *books) { write(t, b.path(cursor), read(t, b.path("sinks/b/"+deliver.CursorFile))) }, verify.Foreign, cursor, `of sink "b"`, verify.NotAuthentic},
		{"it is another replica's", func(b *books) { write(t, b.path(cursor), read(t, other.path(cursor))) }, verify.Foreign, cursor, "of sink \"a\" and replica", verify.NotAuthentic},
		{"it is removed", func(b *books) { _ = os.Remove(b.path(cursor)) }, "", "", "", verify.NotThere},
		{"the end of the log is cut, with its checkpoints and their copy", func(b *books) {
			numbers, _ := ledger.Segments(b.dir)
			for _, n := range numbers[2:] {
				_ = os.Remove(b.path(ledger.SegmentFile(n)))
			}
			var kept [][]byte
			for _, line := range lines(read(t, b.path(ledger.CheckpointFile))) {
				if c, err := chain.ParseCheckpoint(bytes.TrimSuffix(line, []byte("\n"))); err == nil && c.Segment <= numbers[1] {
					kept = append(kept, line)
				}
			}
			write(t, b.path(ledger.CheckpointFile), bytes.Join(kept, nil))
			write(t, b.published, bytes.Join(kept, nil))
		}, verify.Truncated, cursor, "the end of the log was cut", verify.Authentic},
		{"dead letters are removed", func(b *books) { _ = os.Remove(b.path("sinks/a/" + deliver.DeadFile)) }, verify.Altered, "sinks/a/" + deliver.DeadFile, "are not those", verify.Authentic},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := original.copyOf(t)
			c.attack(b)
			r := b.verify(t)
			found := slices.ContainsFunc(r.Findings, func(f verify.Finding) bool {
				return f.File == c.file && (c.kind == "" || f.Kind == c.kind) && strings.Contains(f.Message, c.says)
			})
			if found != (c.file != "") || r.OK != (c.file == "") || r.Sinks[0].State != c.state {
				t.Errorf("ok %v, sinks %+v, findings %v", r.OK, r.Sinks, r.Findings)
			}
		})
	}
}

// A gateway goes on while its directory is verified, and has other dead letters then.
func TestWhatASinkDoesMeanwhileIsNoFinding(t *testing.T) {
	b := newBooks(t)
	b.keep(t, 40, 8<<10)
	b.deliverAll(t, 20)
	meanwhile := func(*verify.Line) error {
		if err := os.Remove(b.path("sinks/a/" + deliver.DeadFile)); err != nil {
			return err
		}
		b.deliverAll(t, 1)
		return nil
	}
	r, err := verify.Directory(b.dir, verify.Options{Keys: b.keys, Each: func(l *verify.Line) error {
		if now := meanwhile; now != nil {
			meanwhile = nil
			return now(l)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	good(t, r)
}
