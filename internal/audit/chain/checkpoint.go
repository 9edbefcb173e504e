package chain

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Checkpoint is a signed statement about one segment: this many lines, with
// this Merkle root. Each names the one before it, whatever segment that is of.
type Checkpoint struct {
	Version    int       `json:"v"`
	Replica    string    `json:"replica"`
	Number     uint64    `json:"checkpoint"` // 1 for the replica's first
	Time       time.Time `json:"time"`
	Segment    uint64    `json:"segment"`
	Lines      uint64    `json:"lines"`               // of the segment so far, records included
	Seq        uint64    `json:"seq"`                 // last receipt
	Root       Hash      `json:"root"`                // over the hashes of the lines
	Head       Hash      `json:"head"`                // hash of the last line
	Final      bool      `json:"final,omitempty"`     // no line follows in the segment
	Recovered  bool      `json:"recovered,omitempty"` // made at the start after the segment broke off
	Previous   Hash      `json:"previous"`            // SHA-256 of the checkpoint before, zero for the first
	Key        string    `json:"key"`                 // see KeyID
	Signature  []byte    `json:"-"`
	signedText []byte
}

const context = "sallyport receipts checkpoint v1\n"

// MaxCheckpoint is the most bytes that a checkpoint's line has.
const MaxCheckpoint = 1024

// KeyID names a public key: the first 8 bytes of its SHA-256, in hex.
func KeyID(pub ed25519.PublicKey) string {
	sum := sha256.Sum256(pub)
	return fmt.Sprintf("%x", sum[:8])
}

// Sign returns the checkpoint as a line, with its line end.
func (c Checkpoint) Sign(key ed25519.PrivateKey) ([]byte, error) {
	c.Version, c.Time = 1, c.Time.UTC()
	c.Key = KeyID(key.Public().(ed25519.PublicKey))
	text, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("chain: sign checkpoint: %w", err)
	}
	return SignObject(context, text, key), nil
}

var errCheckpoint = errors.New("is not a checkpoint")

// ParseCheckpoint reads a line without its line end. There is one way to write
// a checkpoint, so that no two lines say the same. The signature is not checked.
func ParseCheckpoint(line []byte) (*Checkpoint, error) {
	text, sig, ok := CutSignature(line)
	if !ok || len(line) > MaxCheckpoint {
		return nil, errCheckpoint
	}
	c := &Checkpoint{Signature: sig, signedText: append([]byte(context), text...)}
	if err := json.Unmarshal(append(bytes.Clone(text), '}'), c); err != nil {
		return nil, errCheckpoint
	}
	again, err := json.Marshal(c)
	if err != nil || c.Version != 1 || !isName(c.Replica) || !isName(c.Key) || !bytes.Equal(again[:len(again)-1], text) {
		return nil, errCheckpoint
	}
	return c, nil
}

// isName reports whether s can be the name of a replica or of a key.
func isName(s string) bool { return len(s) == ReplicaLen && isHex([]byte(s)) }

// Signed reports whether pub signed the checkpoint.
func (c *Checkpoint) Signed(pub ed25519.PublicKey) bool {
	return ed25519.Verify(pub, c.signedText, c.Signature)
}

// LineHash is what the next checkpoint calls previous; line is without its end.
func LineHash(line []byte) Hash { return sha256.Sum256(line) }
