package ledger

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/internal/audit/chain"
)

// It was killed before it could sign anything: no sink can have begun.
func TestAFirstStartThatWasKilledLeavesNothingToDistrust(t *testing.T) {
	o := options(t)
	o.Sinks = func() []string { return nil }
	open(t, o).shut()
	for _, name := range []string{CheckpointFile, spoolFile} {
		if err := os.Remove(filepath.Join(o.Directory, name)); err != nil {
			t.Fatal(err)
		}
	}
	l := open(t, o)
	defer l.shut()
	if d := l.Deliveries(); d.Begun("a") || d.Unsigned {
		t.Errorf("%+v", d)
	}
}

// Names of sinks stay in the log for good. Whoever writes lines that nobody signed must
// not have the gateway sign them in each segment.
func TestNamesThatNobodySignedAreNotKept(t *testing.T) {
	o := options(t)
	o.Sinks = func() []string { return []string{"a"} }
	l := open(t, o)
	replica, segment := l.replica, l.segment
	l.shut()
	var names []string
	for i := range 5_000 {
		names = append(names, fmt.Sprintf("sink-%d", i))
	}
	body, err := chain.AppendMembers(chain.AppendRecord(nil, replica, 0, chain.RecordSegment), chain.Header{Segment: segment + 1, Sinks: &names})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(o.Directory, SegmentFile(segment+1))
	line := chain.AppendSeal(bytes.Clone(body), chain.NewHasher().Line(chain.Hash{}, body))
	if err := os.WriteFile(path, line, 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, o)
	if len(l.sinks) != 1 {
		t.Errorf("%d names", len(l.sinks))
	}
	l.shut()

	line = append(line, "and a line that shows that somebody was here\n"...)
	if err := os.WriteFile(filepath.Join(o.Directory, SegmentFile(segment+3)), line, 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, o)
	defer l.shut()
	if d := l.Deliveries(); len(l.sinks) > mostNames+1 || !d.Begun("a") {
		t.Errorf("%d names, %v", len(l.sinks), d.Begun("a"))
	}
}
