package verify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/sallyport/sallyport/internal/audit/verify"
)

func TestWhatIsVerifiedIsShownOnceWithTheProofsThatProveMakes(t *testing.T) {
	b := newBooks(t)
	b.keep(t, 200, 8<<10)
	var shown bytes.Buffer
	proofs := make(map[uint64]*verify.Proof)
	r, err := verify.Directory(b.dir, verify.Options{Keys: b.keys, Each: func(l *verify.Line) error {
		shown.Write(append(l.Text, '\n'))
		if seq := l.Chain.Seq; l.Chain.Record == "" && seq%7 == 0 {
			l.Prove(func(p *verify.Proof) { proofs[seq] = p })
		}
		return nil
	}})
	if err != nil || !r.OK || uint64(bytes.Count(shown.Bytes(), []byte("\n"))) != r.Lines || len(proofs) != 200/7 {
		t.Fatalf("%v, %+v, %d proofs", err, r, len(proofs))
	}
	var all bytes.Buffer
	if err := verify.Query(b.dir, verify.Filter{Records: true}, func(_ verify.Place, line []byte) (bool, error) {
		all.Write(append(line, '\n'))
		return true, nil
	}); err != nil || !bytes.Equal(all.Bytes(), shown.Bytes()) {
		t.Errorf("%v; other lines were shown", err)
	}
	for seq, got := range proofs {
		want, err := verify.Prove(b.dir, seq)
		a, _ := json.Marshal(got)
		c, _ := json.Marshal(want)
		if err != nil || !bytes.Equal(a, c) || got.Check(b.keys) != nil {
			t.Errorf("receipt %d: %v\n%s\n%s", seq, err, a, c)
		}
	}
}

func TestAReaderEndsWhatShowsItLines(t *testing.T) {
	b := newBooks(t)
	b.keep(t, 5, 8<<10)
	enough := errors.New("enough")
	if _, err := verify.Directory(b.dir, verify.Options{Each: func(*verify.Line) error { return enough }}); !errors.Is(err, enough) {
		t.Error(err)
	}
}

// A line that cannot be read is shown, and no proof goes over it.
func TestNothingIsProvedOfASegmentThatCannotBeRead(t *testing.T) {
	b := newBooks(t)
	b.keep(t, 5, 1<<20)
	path := b.path("segment-00000001.jsonl")
	text := lines(read(t, path))
	text[2] = []byte("{}\n")
	write(t, path, bytes.Join(text, nil))
	n := 0
	r, err := verify.Directory(b.dir, verify.Options{Each: func(l *verify.Line) error {
		if l.Chain == nil {
			n++
		}
		l.Prove(func(*verify.Proof) { t.Error("a proof") })
		return nil
	}})
	if err != nil || r.OK || n != 1 {
		t.Errorf("%v, %+v, %d", err, r, n)
	}
}
