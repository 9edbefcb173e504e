// Package chain is the format of a receipt directory: lines that are chained by
// hash, Merkle trees over them as RFC 6962 builds them, and signed checkpoints.
// It reads and writes bytes, and knows no file.
package chain

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
)

// Hash is a SHA-256 hash. The zero Hash comes before the first line.
type Hash [sha256.Size]byte

// String returns the hash in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes the hash in hex.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

var errHash = errors.New("chain: a hash is 64 characters of lower-case hex")

// UnmarshalText reads a hash in lower-case hex.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) {
		return errHash
	}
	for _, c := range text {
		if c >= 'A' && c <= 'F' {
			return errHash // one hash, one text
		}
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return errHash
	}
	return nil
}

// Hasher computes hashes without allocating. It is used by one goroutine.
type Hasher struct {
	h   hash.Hash
	sum Hash
	pre [1]byte
}

// NewHasher returns a Hasher.
func NewHasher() *Hasher { return &Hasher{h: sha256.New()} }

// Line returns the hash of a line: over the hash of the line before it and its
// own text.
func (s *Hasher) Line(prev Hash, text []byte) Hash {
	s.h.Reset()
	s.sum = prev // what escapes is the hasher's own memory
	s.h.Write(s.sum[:])
	s.h.Write(text)
	s.h.Sum(s.sum[:0])
	return s.sum
}

// leaf and node keep the two kinds apart by their first byte (RFC 6962, 2.1).
func (s *Hasher) leaf(line Hash) Hash { return s.prefixed(0, line, nil) }

func (s *Hasher) node(left, right Hash) Hash { return s.prefixed(1, left, &right) }

func (s *Hasher) prefixed(prefix byte, a Hash, b *Hash) Hash {
	s.h.Reset()
	s.pre[0] = prefix
	s.h.Write(s.pre[:])
	s.sum = a
	s.h.Write(s.sum[:])
	if b != nil {
		s.sum = *b
		s.h.Write(s.sum[:])
	}
	s.h.Sum(s.sum[:0])
	return s.sum
}
