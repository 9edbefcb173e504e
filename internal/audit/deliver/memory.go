package deliver

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/audit/chain"
)

// CursorFile is the file of what a sink remembers.
const CursorFile = "cursor.json"

const (
	memoryContext = "sallyport sink state v1\n"
	maxMemory     = 4 << 20
)

// Memory is what a sink remembers on disk. It is signed with the key that signs
// checkpoints, as a whole, with the names of sink and directory: no part of it can be
// made up, and none of another sink or replica passes for its own.
type Memory struct {
	Version int    `json:"v"`
	Sink    string `json:"sink"`
	Cursor
	Letters Pile   `json:"letters,omitzero"`       // of DeadFile
	Older   Pile   `json:"older_letters,omitzero"` // of DeadFile.1
	MaskKey string `json:"mask_key,omitempty"`     // SHA-256 of blindFile
	Key     string `json:"key"`                    // see chain.KeyID

	text, signature []byte
}

// sign returns the memory as a line, with its line end.
func (m Memory) sign(key ed25519.PrivateKey) ([]byte, error) {
	m.Version, m.Key = 1, chain.KeyID(key.Public().(ed25519.PublicKey))
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("deliver: cursor: %w", err)
	}
	return chain.SignObject(memoryContext, text, key), nil
}

// ReadMemory reads what a sink of a directory remembers; it is not believed yet.
func ReadMemory(directory, sink string) (*Memory, error) {
	f, err := findFolder(directory, sink)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.memory()
}

// Ahead returns why the place is none in the directory; nil where it is one. What it says of
// the directory is as true as the memory.
func (m *Memory) Ahead(directory string) error {
	last, err := lastSegment(directory)
	if err != nil {
		return err
	}
	return m.Cursor.verify(directory, last)
}

// LettersKept reports whether the dead letters are there that were written.
func (m *Memory) LettersKept(directory string) (bool, error) { return m.kept(directory, maxDead) }

func (m *Memory) kept(directory string, full int64) (bool, error) {
	f, err := findFolder(directory, m.Sink)
	if err != nil {
		return false, err
	}
	defer f.Close()
	now, err := f.start(DeadFile, m.Letters.Bytes)
	if err != nil {
		return false, err
	}
	older, err := f.heap(DeadFile + ".1")
	if err != nil {
		return false, err
	}
	return now.is(m.Letters) && older.is(m.Older) || m.Letters.Bytes > full && older.is(m.Letters), nil
}

func (f folder) memory() (*Memory, error) {
	text, err := f.read(CursorFile, maxMemory)
	if err != nil {
		return nil, err
	}
	return parseMemory(text)
}

func parseMemory(text []byte) (*Memory, error) {
	m := &Memory{}
	text = bytes.TrimSuffix(text, []byte("\n"))
	if signed, signature, ok := chain.CutSignature(text); ok {
		m.text, m.signature = signed, signature
	}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, errors.New("deliver: what it remembers cannot be read")
	}
	return m, nil
}

// Signed reports whether there is a signature at all: older gateways made none.
func (m *Memory) Signed() bool { return m.signature != nil }

// SignedWith reports whether a key signed it.
func (m *Memory) SignedWith(pub ed25519.PublicKey) bool {
	return m.Signed() && ed25519.Verify(pub, append([]byte(memoryContext), m.text...), m.signature)
}

// Check returns why it is not what a gateway left of this sink in this directory.
func (m *Memory) Check(sink, replica string, keys chain.Keys) error {
	if !m.Signed() {
		return errUnsigned
	}
	pub, known := keys[m.Key]
	switch {
	case !known:
		return fmt.Errorf("it is signed with the key %.16q, which is not known here", m.Key)
	case !m.SignedWith(pub):
		return errors.New("its signature is not one of the key that it names")
	case m.Version != 1:
		return fmt.Errorf("it is of version %d, which is not known here", m.Version)
	case m.Sink != sink:
		return fmt.Errorf("it is of the sink %q", m.Sink)
	case m.Replica != replica:
		return fmt.Errorf("it is of the receipt directory of replica %.16s", m.Replica)
	}
	return nil
}

var errUnsigned = errors.New("it is not signed")
