package verify_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/internal/audit/verify"
)

// removing keeps receipts for a moment only.
func removing(t *testing.T, needed func() (uint64, bool), undelivered time.Duration) *books {
	t.Helper()
	b := newBooks(t)
	b.keep(t, 2000, 8<<10)
	o := b.options(t, 8<<10)
	o.Retention = ledger.Retention{For: 40 * time.Millisecond, Needed: needed, Undelivered: undelivered}
	b.keepWith(t, 400, o, 20)
	return b
}

func segments(t *testing.T, b *books) []uint64 {
	t.Helper()
	n, err := ledger.Segments(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOldSegmentsAreRemovedAndTheRestVerifies(t *testing.T) {
	b := removing(t, nil, 0)
	first := segments(t, b)[0]
	r, err := verify.Directory(b.dir, verify.Options{Keys: b.keys, Published: b.published})
	if err != nil || !r.OK || first < 3 || r.Removed != first-1 || r.LastSeq != 2400 {
		t.Fatalf("first segment %d, %+v, %v", first, r, err)
	}
	b.keep(t, 10, 8<<10) // a later start goes on
	if r, err := verify.Directory(b.dir, verify.Options{Keys: b.keys, Published: b.published}); err != nil || !r.OK || r.LastSeq != 2410 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := os.Remove(filepath.Join(b.dir, ledger.SegmentFile(first))); err != nil { // one more than was said
		t.Fatal(err)
	}
	r, err = verify.Directory(b.dir, verify.Options{Keys: b.keys})
	if err != nil || r.OK {
		t.Errorf("a segment that was taken away passes for one that was removed: %+v, %v", r, err)
	}
}

func TestWhoeverHasNoKeyCannotExcuseWhatIsMissing(t *testing.T) {
	b := newBooks(t)
	b.keep(t, 1000, 8<<10)
	numbers := segments(t, b)
	last := filepath.Join(b.dir, ledger.SegmentFile(numbers[len(numbers)-1]))
	text, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	end, err := chain.Parse(lines[len(lines)-1])
	if err != nil {
		t.Fatal(err)
	}
	forged, err := chain.AppendMembers(chain.AppendRecord(nil, end.Replica, end.Seq, chain.RecordRemoved), chain.Removed{Time: time.Now(), Segment: 2, Seq: 1})
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, chain.AppendSeal(forged, chain.NewHasher().Line(end.Hash, forged))...)
	if err := os.WriteFile(last, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint64{1, 2} {
		if err := os.Remove(filepath.Join(b.dir, ledger.SegmentFile(n))); err != nil {
			t.Fatal(err)
		}
	}
	r, err := verify.Directory(b.dir, verify.Options{Keys: b.keys})
	if err != nil || r.OK || r.Removed != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	missing := false
	for _, f := range r.Findings {
		missing = missing || f.Kind == verify.Missing && strings.Contains(f.File, "00000001")
	}
	if !missing {
		t.Errorf("%v", r.Findings)
	}
}

func TestWhatWasNotDeliveredStaysWithinItsBound(t *testing.T) {
	waits := func() (uint64, bool) { return 3, true }
	if first := segments(t, removing(t, waits, 0))[0]; first != 3 {
		t.Errorf("without a bound: the first segment is %d, want 3", first)
	}
	if first := segments(t, removing(t, waits, time.Hour))[0]; first != 3 {
		t.Errorf("before the bound: the first segment is %d, want 3", first)
	}
	if first := segments(t, removing(t, waits, 10*time.Millisecond))[0]; first <= 3 {
		t.Errorf("after the bound: the first segment is %d", first)
	}
}
