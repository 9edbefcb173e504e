package verify_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/folder"
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

// planted is what whoever can write a directory can put in a file's place.
var planted = map[string]func(path string) error{
	"a pipe that nobody writes to": func(path string) error { return syscall.Mkfifo(path, 0o600) },
	"a directory":                  func(path string) error { return os.Mkdir(path, 0o700) },
	"a link to a device":           func(path string) error { return os.Symlink("/dev/zero", path) },
	// What lies elsewhere is not in the directory, and others can change it than those
	// who may write there: also where it is what was written once.
	"a link out of the directory": func(path string) error { return os.Symlink(filepath.Dir(path)+".moved", path) },
}

// readers are all ways to read a directory.
func readers(t *testing.T, b *books) map[string]func() error {
	return map[string]func() error{
		"verify": func() error { _, err := verify.Directory(b.dir, verify.Options{Keys: b.keys}); return err },
		"query": func() error {
			return verify.Query(b.dir, verify.Filter{}, func(verify.Place, []byte) (bool, error) { return true, nil })
		},
		"query --open": func() error {
			_, err := verify.Open([]string{b.dir}, verify.Filter{}, func(verify.Unended) error { return nil })
			return err
		},
		"tail": func() error {
			return verify.Tail(t.Context(), b.dir, verify.Filter{}, 1, false, func([]byte) error { return nil })
		},
		"prove":        func() error { _, err := verify.Prove(b.dir, 3); return err },
		"prove growth": func() error { _, err := verify.ProveGrowth(b.dir, 1, 2); return err },
		"prove one of many": func() error {
			p, err := verify.NewProver(b.dir)
			if err == nil {
				_, err = p.Prove(3)
			}
			return err
		},
	}
}

func TestWhatIsPlantedInAFilesPlaceKeepsNobodyWaitingAndLeadsNobodyAstray(t *testing.T) {
	for what, plant := range planted {
		for _, name := range []string{ledger.SegmentFile(1), ledger.CheckpointFile} {
			b := newBooks(t)
			b.keep(t, 90, 1<<20)
			if err := errors.Join(os.Rename(b.path(name), b.dir+".moved"), plant(b.path(name))); err != nil {
				t.Fatal(err)
			}
			for who, read := range readers(t, b) {
				asks := name != ledger.CheckpointFile || who == "verify" || strings.HasPrefix(who, "prove")
				if err := read(); errors.Is(err, folder.ErrIrregular) != asks || !asks && err != nil {
					t.Errorf("%s in the place of %s: %s says %v", what, name, who, err)
				}
			}
		}
	}
}

// The directory, and a file of plain receipts, are named by who reads them.
func TestALinkThatTheReaderNamesIsFollowed(t *testing.T) {
	b := newBooks(t)
	b.keep(t, 5, 1<<20)
	for _, to := range []string{b.dir, b.path(ledger.SegmentFile(1))} {
		link, n := filepath.Join(t.TempDir(), "link"), 0
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
		if err := verify.Query(link, verify.Filter{}, func(verify.Place, []byte) (bool, error) { n++; return true, nil }); err != nil || n != 5 {
			t.Errorf("%d receipts, %v", n, err)
		}
	}
}

func TestAPipeThatIsPlantedAsTheNextSegmentStopsWhoFollows(t *testing.T) {
	b := newBooks(t)
	b.keep(t, 5, 1<<20)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := verify.Tail(ctx, b.dir, verify.Filter{}, 1, true, func([]byte) error { return syscall.Mkfifo(b.path(ledger.SegmentFile(2)), 0o600) })
	if !errors.Is(err, folder.ErrIrregular) {
		t.Error(err)
	}
}

func TestAPipeInThePlaceOfPublishedCheckpointsKeepsNobodyWaiting(t *testing.T) {
	b := newBooks(t)
	b.keep(t, 5, 1<<20)
	pipe := filepath.Join(t.TempDir(), "published")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := verify.Directory(b.dir, verify.Options{Keys: b.keys, Published: pipe}); !errors.Is(err, folder.ErrIrregular) {
		t.Error(err)
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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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
