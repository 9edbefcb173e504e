package verify_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/internal/audit/verify"
)

// After older segments were removed in order, nothing is before the first line that
// is left, which can tell of a crash or of a directory that was changed.
func TestTheFirstLineAfterRemovedSegmentsCannotBeRewritten(t *testing.T) {
	b := removing(t, nil, 0)
	path := b.path(ledger.SegmentFile(segments(t, b)[0]))
	text := read(t, path)
	write(t, path, bytes.Replace(text, []byte(`"start":"rotated"`), []byte(`"start":"invented"`), 1))
	r := b.verify(t)
	if r.OK || r.Findings[0].Kind != verify.Altered || r.Findings[0].Line != 1 {
		t.Errorf("%+v", r)
	}
}

func TestANumberThatSomebodyMadeUpKeepsNobodyCounting(t *testing.T) {
	b := newBooks(t)
	b.keep(t, 50, 8<<10)
	write(t, b.path(ledger.SegmentFile(1<<62)), nil)
	begin := time.Now()
	r := b.verify(t)
	if r.OK || r.More < 1<<30 || len(r.Findings) != 1000 {
		t.Errorf("%d findings, %d more, after %v", len(r.Findings), r.More, time.Since(begin))
	}
}

func TestAPipeInTheDirectoryKeepsNobodyWaiting(t *testing.T) {
	for _, name := range []string{ledger.SegmentFile(2), ledger.CheckpointFile} {
		b := newBooks(t)
		b.keep(t, 5, 8<<10)
		_ = os.Remove(b.path(name))
		if err := syscall.Mkfifo(b.path(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := verify.Directory(b.dir, verify.Options{Keys: b.keys}); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if _, err := verify.Prove(b.dir, 3); err == nil && name == ledger.CheckpointFile {
			t.Errorf("%s: a proof out of a pipe", name)
		}
		err := verify.Query(b.dir, verify.Filter{}, func(verify.Place, []byte) (bool, error) { return true, nil })
		if err == nil && name != ledger.CheckpointFile {
			t.Errorf("%s: receipts out of a pipe", name)
		}
	}
}

// escape clears the line above, on which the finding stands.
const escape = "\x1b[1A\x1b[2K\u009b2J"

func TestNoFindingIsWipedOffTheScreenByWhatItTells(t *testing.T) {
	b := newBooks(t)
	b.keep(t, 5, 8<<10)
	_, mine, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	first := lines(read(t, b.path(ledger.CheckpointFile)))[0]
	c, err := chain.ParseCheckpoint(bytes.TrimSuffix(first, []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	line, err := c.Sign(mine)
	if err != nil {
		t.Fatal(err)
	}
	quoted, err := json.Marshal(escape)
	if err != nil {
		t.Fatal(err)
	}
	id := chain.KeyID(mine.Public().(ed25519.PublicKey))
	write(t, b.path(ledger.CheckpointFile), bytes.Replace(line, []byte(`"`+id+`"`), quoted, 1))

	path := b.path(ledger.SegmentFile(1))
	write(t, path, bytes.Replace(read(t, path), []byte(`"start":"first"`), []byte(`"start":"first","trouble":`+string(quoted)), 1))
	r := b.verify(t)
	if r.OK {
		t.Fatal("it verifies")
	}
	for _, f := range r.Findings {
		if strings.ContainsAny(f.String(), "\x1b\u009b") {
			t.Errorf("%q", f.String())
		}
	}
}

// A proof is shown to somebody, and checked by a tool: both must have read the same.
func TestAProofThatTwoReadersReadOtherwiseIsNone(t *testing.T) {
	b := newBooks(t)
	b.keep(t, 50, 8<<10)
	p, err := verify.Prove(b.dir, 7)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	lie := `{"v":1,"receipt":"{\"action\":\"allow\",\"subject\":\"somebody else\"}",`
	for name, forged := range map[string]string{
		"a member twice":            lie + string(text[len(`{"v":1,`):]),
		"in other letters":          strings.Replace(lie, "receipt", "Receipt", 1) + string(text[len(`{"v":1,`):]),
		"another proof behind it":   string(text) + "\n" + lie + `"index":0}`,
		"the true one behind a lie": strings.TrimSuffix(lie, ",") + "}" + string(text),
	} {
		if got, err := verify.ParseProof([]byte(forged)); err == nil && got.Check(b.keys) == nil {
			t.Errorf("%s: it is proved", name)
		}
	}
	if got, err := verify.ParseProof(append(text, " \n"...)); err != nil || got.Check(b.keys) != nil {
		t.Errorf("the true proof: %v", err)
	}
}

// Whoever can have one large receipt made must not be able to stop those who watch.
func TestALargeReceiptBlindsNobodyWhoWatches(t *testing.T) {
	path := filepath.Join(t.TempDir(), "receipts.jsonl")
	line := func(exchange, detail string) []byte {
		return []byte(`{"v":1,"action":"deny","exchange":"` + exchange + `","detail":"` + detail + "\"}\n")
	}
	write(t, path, line("first", ""))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var seen []string
	err := verify.Tail(ctx, path, verify.Filter{}, 5, true, func(l []byte) error {
		var r struct{ Exchange string }
		if err := json.Unmarshal(l, &r); err != nil {
			return err
		}
		seen = append(seen, r.Exchange)
		switch r.Exchange {
		case "first":
			write(t, path, bytes.Join([][]byte{line("first", ""), line("large", strings.Repeat("x", 5<<20)), line("attack", "")}, nil))
		case "attack":
			cancel()
		}
		return nil
	})
	if err != nil || strings.Join(seen, " ") != "first large attack" {
		t.Errorf("%v, %v", seen, err)
	}
}
