package deliver

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	regular "github.com/sallyport/sallyport/internal/audit/folder"
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
	Steered  time.Time  `json:"steered,omitzero"`   // when the last command was done

	Distrusted *Distrust `json:"distrusted,omitempty"` // the last thing that was not as the gateway had left it

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
	f, err := regular.Open(filepath.Join(dir, ledger.SegmentFile(m.Segment)))
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
func firstLine(dir string, writes func() uint64) (*Mark, []byte, error) {
	r := reader{dir: dir, last: writes}
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

var (
	errElsewhere = errors.New("the line before its place is another one than was delivered: the log was put back, or changed. It begins anew with the oldest receipt")
	errCut       = errors.New("the segment ends before its place: the end of the log was cut, or the machine lost power. The segment comes again")
	errGone      = errors.New("the log ends before the segment of its place: the end of the log was cut, or the log was put back. It begins anew with the oldest receipt")
)

// verify reports whether the place is one between two lines of the log, and the line
// before it the one that was read: a log that was put back from a copy may have gone
// on otherwise, and what it has before the place was never delivered. last is the
// last segment of the log.
func (c *Cursor) verify(dir string, last uint64) error {
	if c.At.Segment > last {
		return errGone
	}
	if c.At.Offset < 0 {
		return errElsewhere
	}
	if c.At.Segment == 0 || c.At.Offset == 0 {
		return nil
	}
	f, err := regular.Open(filepath.Join(dir, ledger.SegmentFile(c.At.Segment)))
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
	f, err := regular.Open(filepath.Join(dir, ledger.CheckpointFile))
	if err != nil {
		return false
	}
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], at-1)
	return err == nil && b[0] == '\n'
}
