package deliver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/ledger"
)

// Position is a place between two lines of a receipt directory.
type Position struct {
	Segment     uint64 `json:"segment"`     // 0: before everything
	Offset      int64  `json:"offset"`      // in the segment
	Seq         uint64 `json:"seq"`         // of the last receipt before it
	Checkpoints int64  `json:"checkpoints"` // offset in the file of checkpoints
}

// Cursor is what a sink remembers on disk.
type Cursor struct {
	Replica  string     `json:"replica,omitempty"` // whose directory it is a place in
	At       Position   `json:"at"`
	Line     string     `json:"line,omitempty"`   // hash of the line before it, if one was read
	Through  time.Time  `json:"through,omitzero"` // when the last receipt before it was made
	Paused   bool       `json:"paused,omitempty"`
	Since    time.Time  `json:"since,omitzero"` // paused
	Saved    time.Time  `json:"saved"`
	Replayed *time.Time `json:"replayed,omitempty"` // the last replay began here
	Good     *Mark      `json:"good,omitempty"`     // the end of a line that the system took
	Aside    *Aside     `json:"aside,omitempty"`    // what is tried apart from the rest; nil for nothing

	// Totals over all starts.
	Delivered uint64 `json:"delivered"`
	Filtered  uint64 `json:"filtered"`
	Dead      uint64 `json:"dead_letters"`
	Missed    uint64 `json:"missed"` // receipts that were gone before they could be delivered
}

// before reports whether p is before another place.
func (p Position) before(o Position) bool {
	return p.Segment < o.Segment || p.Segment == o.Segment && p.Offset < o.Offset
}

// Mark is the end of a line.
type Mark struct {
	Segment uint64 `json:"segment"`
	End     int64  `json:"end"`
}

// line reads the line.
func (m *Mark) line(dir string) ([]byte, error) {
	f, err := os.Open(filepath.Join(dir, ledger.SegmentFile(m.Segment)))
	if err != nil {
		return nil, fmt.Errorf("deliver: %w", err)
	}
	defer f.Close()
	if m.End <= 0 {
		return nil, errElsewhere
	}
	return lineBefore(f, m.End)
}

// firstLine reads the oldest line that is still there, which the ledger wrote of itself.
func firstLine(dir string) (*Mark, []byte, error) {
	r := reader{dir: dir}
	defer r.close()
	lines, err := r.lines(1, 1)
	if err != nil {
		return nil, nil, err
	}
	if len(lines) == 0 {
		return nil, nil, errElsewhere
	}
	return &Mark{r.at.Segment, lines[0].end}, lines[0].text, nil
}

const cursorFile = "cursor.json"

// loadCursor reads a cursor; ok is false when there is none, and an error says
// that there is one that cannot be read.
func loadCursor(dir string) (c Cursor, ok bool, err error) {
	b, err := os.ReadFile(filepath.Join(dir, cursorFile))
	if errors.Is(err, os.ErrNotExist) {
		return c, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("deliver: cursor: %w", err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return Cursor{}, false, fmt.Errorf("deliver: cursor %s: %w", dir, err)
	}
	return c, true, nil
}

var (
	errElsewhere = errors.New("the line before it is another one, so that it begins anew with the oldest receipt")
	errCut       = errors.New("the segment ends before it, so that the segment comes again")
)

// verify reports whether the place is one between two lines of the log, and the line
// before it the one that was read: a log that was put back from a copy may have gone
// on otherwise, and what it has before the place was never delivered.
func (c *Cursor) verify(dir string) error {
	if c.At.Offset < 0 {
		return errElsewhere
	}
	if c.At.Segment == 0 || c.At.Offset == 0 {
		return nil
	}
	f, err := os.Open(filepath.Join(dir, ledger.SegmentFile(c.At.Segment)))
	if errors.Is(err, os.ErrNotExist) {
		return nil // it need be kept no longer
	}
	if err != nil {
		return fmt.Errorf("deliver: cursor: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("deliver: cursor: %w", err)
	}
	if info.Size() < c.At.Offset {
		return errCut // a machine that went down may lose lines that were read already
	}
	text, err := lineBefore(f, c.At.Offset)
	if err != nil {
		return err
	}
	l, err := chain.Parse(text)
	switch {
	case err != nil && c.Line == unreadable:
		return nil
	case err != nil, c.Line != "" && c.Line != l.Hash.String():
		return errElsewhere
	}
	c.At.Seq = l.Seq
	return nil
}

// unreadable stands for the hash of a line that has none.
const unreadable = "unreadable"

// lineBefore returns the line that ends at an offset.
func lineBefore(f *os.File, end int64) ([]byte, error) {
	for n := int64(64 << 10); ; n *= 4 {
		b := make([]byte, min(n, end))
		if _, err := f.ReadAt(b, end-int64(len(b))); err != nil {
			return nil, fmt.Errorf("deliver: cursor: %w", err)
		}
		if b[len(b)-1] != '\n' {
			return nil, errElsewhere
		}
		b = b[:len(b)-1]
		if at := bytes.LastIndexByte(b, '\n'); at >= 0 || int64(len(b))+1 == end {
			return b[at+1:], nil
		}
		if n > maxLine {
			return nil, errElsewhere
		}
	}
}

// checkpointEnd reports whether a line of the checkpoints ends at an offset.
func checkpointEnd(dir string, at int64) bool {
	if at <= 0 {
		return at == 0
	}
	f, err := os.Open(filepath.Join(dir, ledger.CheckpointFile))
	if err != nil {
		return false
	}
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], at-1)
	return err == nil && b[0] == '\n'
}

// save replaces the cursor as a whole, so that a killed process leaves the old
// one or the new one.
func (c *Cursor) save(dir string, now time.Time) error {
	c.Saved = now.UTC()
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("deliver: cursor: %w", err)
	}
	tmp := filepath.Join(dir, cursorFile+".new")
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("deliver: cursor: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, filepath.Join(dir, cursorFile))
	}
	if err != nil {
		return fmt.Errorf("deliver: cursor: %w", err)
	}
	return nil
}
