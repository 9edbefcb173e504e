package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/internal/audit/verify"
)

var many = flag.Int("receipts", 50_000, "receipts of the large directory")

func TestALargeDirectoryVerifies(t *testing.T) {
	b := newBooks(t)
	o := b.options(t, 64<<20)
	o.CheckpointEvery = 200 * time.Millisecond
	begin := time.Now()
	b.keepWith(t, *many, o, 0)
	t.Logf("%d receipts written in %v", *many, time.Since(begin).Round(time.Millisecond))
	begin = time.Now()
	r := b.verify(t)
	t.Logf("%d receipts in %d segments with %d checkpoints verified in %v", r.Receipts, r.Segments, r.Checkpoints, time.Since(begin).Round(time.Millisecond))
	good(t, r)
	if r.Receipts != uint64(*many) || r.LastSeq != uint64(*many) || r.Unsealed != 0 {
		t.Errorf("%+v", r)
	}
}

func TestStartsAndRotationsLeaveOneChain(t *testing.T) {
	b := newBooks(t)
	for range 3 {
		b.keep(t, 100, 8<<10)
	}
	r := b.verify(t)
	good(t, r)
	if r.Receipts != 300 || r.Segments < 6 || r.Interrupted != 0 || r.Checkpoints < r.Segments || r.Lines != r.Receipts+2*uint64(r.Segments) {
		t.Errorf("%+v", r)
	}
}

func TestASecondKeyTakesOver(t *testing.T) {
	b := newBooks(t)
	b.keep(t, 50, 8<<10)
	first := b.keys
	private, public, _, err := chain.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	b.private = private
	b.keep(t, 50, 8<<10)
	if r := b.verify(t); r.OK || r.Findings[0].Kind != verify.Unsigned || r.Signatures != "invalid" {
		t.Errorf("a key that nobody gave: %+v", r)
	}
	if err := first.Add(public); err != nil {
		t.Fatal(err)
	}
	good(t, b.verify(t))
	r, err := verify.Directory(b.dir, verify.Options{})
	if err != nil || !r.OK || r.Signatures != "unchecked" {
		t.Errorf("without keys: %v, %+v", err, r)
	}
}

func TestEveryReceiptCanBeProvedAlone(t *testing.T) {
	b := newBooks(t)
	b.keep(t, 150, 16<<10)
	prover, err := verify.NewProver(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= 150; seq++ {
		p, err := verify.Prove(b.dir, seq)
		if err != nil {
			t.Fatal(seq, err)
		}
		if same, err := prover.Prove(seq); err != nil || !reflect.DeepEqual(same, p) {
			t.Fatalf("%d: a prover of many proves otherwise: %v", seq, err)
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if p, err = verify.ParseProof(text); err != nil {
			t.Fatal(err)
		}
		if err := p.Check(b.keys); err != nil {
			t.Fatalf("%d: %v", seq, err)
		}
		p.Receipt = strings.Replace(p.Receipt, `"allow"`, `"deny_"`, 1)
		if p.Check(b.keys) == nil {
			t.Fatalf("%d: an altered receipt is proved", seq)
		}
	}
	for _, seq := range []uint64{0, 151} {
		if _, err := verify.Prove(b.dir, seq); !errors.Is(err, verify.ErrNotThere) {
			t.Errorf("%d: %v", seq, err)
		}
		if _, err := prover.Prove(seq); !errors.Is(err, verify.ErrNotThere) {
			t.Errorf("%d: %v", seq, err)
		}
	}
	p, err := verify.Prove(b.dir, 7)
	if err != nil {
		t.Fatal(err)
	}
	stranger := newBooks(t)
	if p.Check(stranger.keys) == nil {
		t.Error("the proof holds under a key that signed nothing")
	}
	for name, change := range map[string]func(*verify.Proof){
		"another place":       func(p *verify.Proof) { p.Index++ },
		"a shorter path":      func(p *verify.Proof) { p.Path = p.Path[1:] },
		"another line before": func(p *verify.Proof) { p.Previous = &chain.Hash{} },
		"no line before":      func(p *verify.Proof) { p.Previous = nil },
		"nothing":             func(p *verify.Proof) { p.Receipt = "" },
		"another version":     func(p *verify.Proof) { p.Version = 2 },
	} {
		q := *p
		if change(&q); q.Check(b.keys) == nil {
			t.Errorf("%s is proved", name)
		}
	}
}

func TestGrowthBetweenAnyTwoCheckpointsCanBeProved(t *testing.T) {
	b := newBooks(t)
	b.keep(t, 300, 32<<10)
	last := uint64(b.verify(t).Checkpoints)
	same, other := 0, 0
	for from := uint64(1); from < last; from++ {
		for to := from + 1; to <= last; to++ {
			p, err := verify.ProveGrowth(b.dir, from, to)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Check(b.keys); err != nil {
				t.Fatalf("%d to %d: %v", from, to, err)
			}
			switch {
			case len(p.Growth) > 0:
				same++
				p.Growth[0][3] ^= 1
			case len(p.Between) > 0:
				other++
				p.Between = p.Between[1:]
			default:
				continue
			}
			if p.Check(b.keys) == nil {
				t.Fatalf("%d to %d: a false proof passes", from, to)
			}
		}
	}
	if same == 0 || other == 0 {
		t.Errorf("%d within a segment, %d across", same, other)
	}
	if _, err := verify.ProveGrowth(b.dir, 2, 2); !errors.Is(err, verify.ErrNotThere) {
		t.Error(err)
	}
}

func TestQueriesFindWhatTheyAskFor(t *testing.T) {
	b := newBooks(t)
	b.keep(t, 120, 8<<10)
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for name, c := range map[string]struct {
		f    verify.Filter
		want int
	}{
		"everything":       {verify.Filter{}, 120},
		"one second":       {verify.Filter{Since: at("2026-11-01T12:00:07Z"), Until: at("2026-11-01T12:00:08Z")}, 2},
		"a subject":        {verify.Filter{Subject: "alice", Server: "crm", Tool: "find", Action: "allow"}, 120},
		"another subject":  {verify.Filter{Subject: "bob"}, 0},
		"another server":   {verify.Filter{Server: "erp"}, 0},
		"another tool":     {verify.Filter{Tool: "pay"}, 0},
		"a reason":         {verify.Filter{Reason: "denied"}, 0},
		"an exchange":      {verify.Filter{Exchange: "00000000000000000000000000000011"}, 1},
		"half an exchange": {verify.Filter{Exchange: "0000000000000000000000000000001"}, 0},
	} {
		n := 0
		err := verify.Query(b.dir, c.f, func(at verify.Place, line []byte) (bool, error) { n++; return true, nil })
		if err != nil || n != c.want {
			t.Errorf("%s: %d lines, want %d (%v)", name, n, c.want, err)
		}
	}
	if err := verify.Query(t.TempDir(), verify.Filter{}, nil); err == nil {
		t.Error("an empty directory is searched without a word")
	}
}

func TestTailFollowsIntoNewSegments(t *testing.T) {
	b := newBooks(t)
	b.keep(t, 30, 4<<10)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	n := 0
	var writing sync.WaitGroup
	writing.Go(func() { b.keep(t, 200, 4<<10) })
	defer writing.Wait()
	err := verify.Tail(ctx, b.dir, verify.Filter{}, 5, true, func([]byte) error {
		if n++; n >= 205 {
			stop()
		}
		return nil
	})
	if err != nil || n < 200 || n > 230 { // where it began depends on what was written meanwhile
		t.Errorf("%d lines, %v", n, err)
	}
}

func TestADirectoryThatIsNone(t *testing.T) {
	if _, err := verify.Directory(t.TempDir()+"/no", verify.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	r, err := verify.Directory(t.TempDir(), verify.Options{})
	if err != nil || r.OK {
		t.Errorf("an empty directory verifies: %v, %+v", err, r)
	}
}

func FuzzDirectory(f *testing.F) {
	b := newBooks(f)
	b.keep(f, 2, 1<<20)
	f.Add(read(f, b.path(ledger.SegmentFile(1))), read(f, b.path(ledger.CheckpointFile)))
	f.Fuzz(func(t *testing.T, segment, marks []byte) {
		dir := t.TempDir()
		write(t, dir+"/"+ledger.SegmentFile(1), segment)
		write(t, dir+"/"+ledger.CheckpointFile, marks)
		r, err := verify.Directory(dir, verify.Options{Keys: b.keys})
		if err != nil {
			t.Skip() // a line longer than any
		}
		same := string(segment) == string(read(t, b.path(ledger.SegmentFile(1)))) && string(marks) == string(read(t, b.path(ledger.CheckpointFile)))
		if r.OK && !same {
			t.Errorf("passes: %q %q", segment, marks)
		}
	})
}
