package deliver

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"
)

// DeadFile is the file of a sink's dead letters: what its system refused for
// good, and why. When it is larger than maxDead it becomes DeadFile.1, and what
// that held is gone; the receipts themselves are in the log.
const DeadFile = "dead-letters.jsonl"

const maxDead = 64 << 20

// letter is one line of the file.
type letter struct {
	Time    time.Time       `json:"time"`
	Sink    string          `json:"sink"`
	ID      string          `json:"id"`
	Seq     uint64          `json:"seq"`
	Segment uint64          `json:"segment"`
	Why     string          `json:"why"`
	JSON    json.RawMessage `json:"body,omitempty"`
	Text    string          `json:"text,omitempty"` // a body that is no JSON

	of []byte // the body as it was to be sent: masked
}

// bury writes dead letters, all or none.
func bury(dir string, letters []letter) error {
	path := filepath.Join(dir, DeadFile)
	var text []byte
	for i := range letters {
		l := &letters[i]
		switch {
		case json.Valid(l.of):
			l.JSON = l.of
		case utf8.Valid(l.of):
			l.Text = string(l.of)
		}
		line, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("deliver: dead letter: %w", err)
		}
		text = append(append(text, line...), '\n')
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxDead {
		if err := os.Rename(path, path+".1"); err != nil {
			return fmt.Errorf("deliver: dead letter: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("deliver: dead letter: %w", err)
	}
	end, err := wholeLines(f)
	if err == nil {
		_, err = f.WriteAt(text, end)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("deliver: dead letter: %w", err)
	}
	return nil
}

// wholeLines returns where the last whole line of a file ends; what a killed
// process or a full disk left after it is written over.
func wholeLines(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	end := info.Size()
	b := make([]byte, 4096)
	for end > 0 {
		n := min(int64(len(b)), end)
		if _, err := f.ReadAt(b[:n], end-n); err != nil {
			return 0, err
		}
		for i := n - 1; i >= 0; i-- {
			if b[i] == '\n' {
				end = end - n + i + 1
				return end, f.Truncate(end)
			}
		}
		end -= n
	}
	return 0, f.Truncate(0)
}
