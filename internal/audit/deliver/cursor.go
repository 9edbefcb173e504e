package deliver

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
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
	Through  time.Time  `json:"through,omitzero"` // when the last receipt before it was made
	Paused   bool       `json:"paused,omitempty"`
	Since    time.Time  `json:"since,omitzero"` // paused
	Saved    time.Time  `json:"saved"`
	Replayed *time.Time `json:"replayed,omitempty"` // the last replay began here

	// Totals over all starts.
	Delivered uint64 `json:"delivered"`
	Filtered  uint64 `json:"filtered"`
	Dead      uint64 `json:"dead_letters"`
	Missed    uint64 `json:"missed"` // receipts that were gone before they could be delivered
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
