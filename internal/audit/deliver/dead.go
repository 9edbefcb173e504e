package deliver

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math"
	"os"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/audit/chain"
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

// Pile is a file of dead letters as a sink remembers it.
type Pile struct {
	Bytes  int64      `json:"bytes"`
	SHA256 chain.Hash `json:"sha256"` // of so many bytes
	From   Position   `json:"from"`   // no letter in it is of a receipt before
}

// pile is the one that is written.
type pile struct {
	Pile
	hash hash.Hash
}

func (p *pile) add(text []byte) {
	p.hash.Write(text)
	p.Bytes += int64(len(text))
	p.hash.Sum(p.SHA256[:0])
}

// start returns the beginning of a file of letters that goes on after it.
func (f folder) start(name string, bytes int64) (*pile, error) {
	p := &pile{hash: sha256.New()}
	file, err := f.open(name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	defer file.Close()
	n, err := io.Copy(p.hash, io.LimitReader(file, bytes))
	if err != nil {
		return p, fmt.Errorf("deliver: %w", err)
	}
	if p.Bytes = n; n > 0 {
		p.hash.Sum(p.SHA256[:0])
	}
	return p, nil
}

// heap returns a file of letters as it is.
func (f folder) heap(name string) (Pile, error) {
	p, err := f.start(name, math.MaxInt64)
	return p.Pile, err
}

// is reports whether both are the same bytes.
func (p Pile) is(o Pile) bool { return p.Bytes == o.Bytes && p.SHA256 == o.SHA256 }

// openLetters finds the dead letters as they were left. Where some are gone, or others, the
// sink begins again with the oldest of them: it is refused again, and written down again.
func (w *worker) openLetters() error {
	length := w.letters.Bytes
	if w.unknown {
		length = math.MaxInt64
	}
	have, err := w.folder.start(DeadFile, length)
	if err != nil {
		return err
	}
	aside, err := w.folder.heap(DeadFile + ".1")
	if err != nil {
		return err
	}
	switch {
	case w.unknown:
		w.letters, w.older = *have, aside
		return nil
	case have.is(w.letters.Pile) && aside.is(w.older):
		have.From = w.letters.From
		w.letters = *have // what comes after it is written over: those receipts come again
		return nil
	case w.letters.Bytes > w.full && aside.is(w.letters.Pile): // it was just put aside
		w.older, w.letters = w.letters.Pile, pile{hash: sha256.New()}
		return nil
	}
	return w.lettersChanged()
}

// lettersChanged goes on with the files as they are.
func (w *worker) lettersChanged() error {
	from := w.letters.From
	if w.older.Bytes > 0 && w.older.From.before(from) {
		from = w.older.From
	}
	now, err := w.folder.start(DeadFile, math.MaxInt64)
	if err != nil {
		return err
	}
	if w.older, err = w.folder.heap(DeadFile + ".1"); err != nil {
		return err
	}
	w.mu.Lock()
	now.From, w.older.From = from, from
	w.letters = *now
	w.again(from)
	w.mu.Unlock()
	w.distrust("dead letters are gone, or others than were written, so that it begins again with the oldest of them")
	return nil
}

// again has the sink go on from an earlier place; w.mu is held.
func (w *worker) again(from Position) {
	from.Checkpoints = w.cursor.At.Checkpoints
	if !from.before(w.cursor.At) {
		return
	}
	w.cursor.rewind(from)
	w.cursor.At, w.cursor.Line, w.cursor.Through, w.dirty = from, "", time.Time{}, true
	w.jump = &from
}

// write writes dead letters, all or none.
func (w *worker) write(letters []letter) error {
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
	if err := w.turnLetters(); err != nil {
		return err
	}
	f, err := w.folder.open(DeadFile, os.O_CREATE|os.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.Size() < w.letters.Bytes {
		err = w.lettersChanged()
	}
	if err == nil {
		err = f.Truncate(w.letters.Bytes) // a killed process or a full disk left what comes after
	}
	if err == nil {
		_, err = f.WriteAt(text, w.letters.Bytes)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return fmt.Errorf("deliver: dead letter: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	from := w.cursor.At // the batch at hand begins there
	if a := w.cursor.Aside; a != nil && a.At.before(from) {
		from = a.At
	}
	if w.letters.Bytes == 0 || from.before(w.letters.From) { // what comes again may be refused as well
		w.letters.From = from
	}
	w.letters.add(text)
	w.dirty = true
	return nil
}

// turnLetters puts a file of dead letters that is full aside. What it holds is remembered
// first, all of it: whoever starts after a killed process finds either the file or, in the
// place of the one before it, the same bytes.
func (w *worker) turnLetters() error {
	if w.letters.Bytes <= w.full {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.saveLocked(true); w.unsaved != nil {
		return w.unsaved
	}
	if err := w.folder.Rename(DeadFile, DeadFile+".1"); err != nil {
		return fmt.Errorf("deliver: dead letter: %w", err)
	}
	w.older, w.letters, w.dirty = w.letters.Pile, pile{hash: sha256.New()}, true
	return nil
}
