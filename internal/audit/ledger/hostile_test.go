package ledger

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/audit/chain"
)

// filled is a directory with some segments, all of them young.
func filled(t *testing.T) Options {
	t.Helper()
	o := options(t)
	o.SegmentSize = 1 << 10
	l := open(t, o)
	c, stop := running(t, l)
	for i := range 10 {
		put(t, l, 10*i, 10)
		testenv.Eventually(t, time.Minute, "they are written, and not with the next", func() bool { return c.wrote.Load() == uint64(10*(i+1)) })
	}
	stop()
	if n, err := Segments(o.Directory); err != nil || len(n) < 4 {
		t.Fatal(n, err)
	}
	o.Retention.For = time.Hour
	return o
}

// rewrite changes every line of a file.
func rewrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for line := range bytes.Lines(text) {
		out = append(out, change(line)...)
	}
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What the gateway itself removes, a signed line excuses. So nobody else must be able
// to have it do that, and put right afterwards what he changed.
func TestNobodyHasTheGatewayRemoveWhatIsYoung(t *testing.T) {
	year := []byte(`"time":"` + time.Now().UTC().Format("2006"))
	old := func(line []byte) []byte { return bytes.Replace(line, year, []byte(`"time":"2001`), 1) }
	_, mine, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, attack := range map[string]func(o *Options){
		"the segments say that they are old": func(o *Options) {
			numbers, _ := Segments(o.Directory)
			for _, n := range numbers[:len(numbers)-1] {
				rewrite(t, filepath.Join(o.Directory, SegmentFile(n)), old)
			}
		},
		"the checkpoints say so, in the name of the key": func(o *Options) {
			var before chain.Hash
			rewrite(t, filepath.Join(o.Directory, CheckpointFile), func(line []byte) []byte {
				c, err := chain.ParseCheckpoint(bytes.TrimSuffix(line, []byte("\n")))
				if err != nil {
					t.Fatal(err)
				}
				key := c.Key
				c.Time, c.Previous = time.Unix(1e9, 0), before
				forged, err := c.Sign(mine)
				if err != nil {
					t.Fatal(err)
				}
				forged = bytes.Replace(forged, []byte(chain.KeyID(mine.Public().(ed25519.PublicKey))), []byte(key), 1)
				before = chain.LineHash(forged[:len(forged)-1])
				return forged
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := filled(t)
			before, _ := Segments(o.Directory)
			attack(&o)
			l := open(t, o)
			_, stop := running(t, l)
			put(t, l, 100, 1)
			time.Sleep(50 * time.Millisecond)
			stop()
			if after, err := Segments(o.Directory); err != nil || len(after) < len(before) {
				t.Errorf("of segments %v there are %v, %v", before, after, err)
			}
		})
	}
}

func TestAFirstLineThatWasRewrittenIsSeenAtTheStart(t *testing.T) {
	o := filled(t)
	numbers, _ := Segments(o.Directory)
	path := filepath.Join(o.Directory, SegmentFile(numbers[len(numbers)-1]))
	rewrite(t, path, func(line []byte) []byte {
		return bytes.Replace(line, []byte(`"start":"rotated"`), []byte(`"start":"invented"`), 1)
	})
	die(open(t, o))
	if _, records := exchanges(t, o.Directory); !strings.Contains(records[len(records)-1], `"trouble":"line 1 of segment`) {
		t.Error(records[len(records)-1])
	}
}

// The process is killed, its last lines are under no checkpoint, and somebody takes
// them away before it starts again. The spool knows how far it had written.
func TestLinesThatWereTakenAwayBeforeAStartAreMissed(t *testing.T) {
	o := options(t)
	o.CheckpointEvery = time.Hour
	l := open(t, o)
	put(t, l, 0, 9)
	var lost uint64
	if err := l.work(&counts{}, &lost); err != nil {
		t.Fatal(err)
	}
	put(t, l, 9, 2) // in the spool alone
	die(l)
	path := filepath.Join(o.Directory, SegmentFile(1))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := bytes.SplitAfter(text, []byte("\n"))
	if err := os.WriteFile(path, bytes.Join(all[:5], nil), 0o600); err != nil { // the first line, and four receipts
		t.Fatal(err)
	}
	l = open(t, o)
	_, stop := running(t, l)
	stop()
	exchanges, records := exchanges(t, o.Directory)
	if r := strings.Join(records, "\n"); !strings.Contains(r, `"trouble":"receipts 5 to 9 were written, and are not there"`) {
		t.Error(r)
	}
	if got := fmt.Sprint(exchanges); got != "[e0 e1 e2 e3 e9 e10]" {
		t.Error(got)
	}
	if text, err = os.ReadFile(filepath.Join(o.Directory, SegmentFile(2))); err != nil || !strings.Contains(string(text), `"seq":10,"exchange":"e9"`) {
		t.Errorf("%s, %v: the numbers of what is missing are given anew", text, err)
	}
}

// A call that is judged while the gateway goes down is refused, and takes nobody along.
func TestWhoComesAfterTheEndIsRefused(t *testing.T) {
	o := options(t)
	l := open(t, o)
	spool := l.Spool()
	_, stop := running(t, l)
	put(t, l, 0, 3)
	stop()
	if err := spool.Put([]byte(`"exchange":"late"`)); err == nil {
		t.Error("it is taken, and nobody will write it")
	}
	inOrder(t, o.Directory, 3)
}

// Somebody floods a gateway that drops what it cannot keep, and has it killed before
// the log says how much that was.
func TestWhatWasLostIsSaidThoughTheProcessDies(t *testing.T) {
	o := options(t)
	l := open(t, o)
	put(t, l, 0, 2)
	c := &counts{}
	var lost uint64
	if err := l.work(c, &lost); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		l.spool.Lose()
		c.lost.Add(1)
	}
	die(l)
	l = open(t, o)
	if _, records := exchanges(t, o.Directory); !strings.Contains(strings.Join(records, "\n"), `"receipts_lost":3`) {
		t.Fatal(records)
	}
	c, lost = &counts{}, 0
	l.spool.Lose()
	c.lost.Add(1)
	if err := l.work(c, &lost); err != nil { // it says so itself
		t.Fatal(err)
	}
	die(l)
	die(open(t, o))
	_, records := exchanges(t, o.Directory)
	if n := strings.Count(strings.Join(records, "\n"), `"receipts_lost":`); n != 2 {
		t.Errorf("%d lines say that receipts are lost, want 2: %s", n, records)
	}
}
