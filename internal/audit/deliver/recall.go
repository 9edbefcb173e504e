package deliver

import (
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
)

// Distrust says that something which the gateway had left was not as it had left it.
type Distrust struct {
	At  time.Time `json:"at"`
	Why string    `json:"why"`
}

// keys are those with which what sinks remember may be signed.
func (o *Options) keys() chain.Keys { return o.Trust.With(o.Key.Public().(ed25519.PublicKey)) }

// recall reads what the sink remembers; known is false where it begins. What nobody
// has signed is not believed: the sink begins with the oldest receipt, so that some come
// twice rather than never. begun says that the sink ran since the start.
func (w *worker) recall(o *Options, begun bool) (known bool) {
	m, err := w.folder.memory()
	w.unknown = true
	switch {
	case errors.Is(err, fs.ErrNotExist) && !begun && !o.Before.Begun(w.Name):
		return false
	case errors.Is(err, fs.ErrNotExist):
		err = errors.New("it is not there, and the sink had begun")
	case err == nil:
		err = m.Check(w.Name, o.Before.Replica, o.keys())
	}
	if err != nil {
		w.distrust("what it remembers is not what the gateway left, so that it begins anew with the oldest receipt: " + err.Error())
		return true
	}
	w.cursor, w.older, w.maskKey = m.Cursor, m.Older, m.MaskKey
	w.letters, w.unknown = pile{Pile: m.Letters}, false
	return true
}

// distrust notes it for good, and says it.
func (w *worker) distrust(why string) {
	w.log.Error("the receipt directory was changed by somebody else", "sink", w.Name, "what", why)
	w.mu.Lock()
	w.cursor.Distrusted = &Distrust{w.now().UTC(), why}
	w.dirty = true
	w.mu.Unlock()
	if w.tell != nil {
		w.tell(w.Name, why)
	}
}

// Adopt signs what sinks remember from before it was signed, once: the log is from then
// too, as a line says that is under a checkpoint, and the next line says otherwise. It is
// called before that line is written, so that a start that is killed half-way is followed
// by another one that does it. It returns the sinks that remember something.
func Adopt(o *Options) (names []string) {
	if !o.Before.Unsigned {
		return nil
	}
	folders, err := os.ReadDir(filepath.Join(o.Directory, "sinks"))
	if err != nil {
		return nil // there is nothing
	}
	for _, e := range folders {
		switch begun, err := adoptOne(o, e.Name()); {
		case err != nil:
			o.Log.Error("what a sink remembers cannot be taken over; it will begin anew with the oldest receipt", "sink", e.Name(), "err", err)
		case begun:
			names = append(names, e.Name())
		}
	}
	return names
}

func adoptOne(o *Options, sink string) (begun bool, err error) {
	f, err := findFolder(o.Directory, sink)
	if err != nil {
		return false, err
	}
	defer f.Close()
	m, err := f.memory()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if m.Signed() {
		return true, nil
	}
	m.Sink = sink
	if m.Replica == "" {
		m.Replica = o.Before.Replica
	}
	m.Steered = o.Now().UTC()
	if m.Letters, err = f.heap(DeadFile); err != nil {
		return false, err
	}
	if m.Older, err = f.heap(DeadFile + ".1"); err != nil {
		return false, err
	}
	if key, err := f.read(blindFile, maxBlind); err == nil {
		m.MaskKey = digest(key)
	}
	text, err := m.sign(o.Key)
	if err != nil {
		return false, err
	}
	if err := f.replace(CursorFile, text); err != nil {
		return false, err
	}
	o.Log.Warn("what a sink remembers was not signed, as gateways before this one left it; it is taken over as it is, this once", "sink", sink, "seq", m.At.Seq)
	return true, nil
}
