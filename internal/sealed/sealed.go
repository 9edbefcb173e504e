// Package sealed makes ids that only the caller can use for whom they were
// made: the upstream's id, encrypted and authenticated together with who that
// is, so that any replica with the same keys can tell, and nobody keeps a list.
//
// The construction is a deterministic AEAD, SIV (Rogaway and Shrimpton, 2006;
// RFC 5297 is the one with CMAC): HMAC-SHA-256 over kind, owner and id, cut to
// 128 bits, authenticates and is the initial vector of AES-256 in counter mode.
// It is deterministic on purpose: clients compare ids, and a server that says
// the same id twice must be heard to say the same id twice.
package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
	"sync"
)

const (
	minSecret = 32   // bytes of a secret that a key is derived from
	maxKeys   = 8    // an id that none opens is tried with every key of its number
	maxID     = 1024 // bytes of an upstream's id
	head      = 1    // the key's number
	tag       = 16   // the synthetic initial vector
)

var encoding = base64.RawURLEncoding.Strict()

// maxText is the length of the longest sealed id.
var maxText = encoding.EncodedLen(head + tag + maxID)

// Keys seal with the first of them and open with all. They are safe for
// concurrent use.
type Keys struct{ list []*key }

type key struct {
	number byte // which key an id was sealed with, most likely
	block  cipher.Block
	works  sync.Pool // of *work
}

// New derives keys from secrets. A secret is retired by leaving it out.
func New(secrets []string) (*Keys, error) {
	if len(secrets) == 0 || len(secrets) > maxKeys {
		return nil, fmt.Errorf("sealed: %d keys, and 1 to %d are possible", len(secrets), maxKeys)
	}
	k := &Keys{}
	seen := make(map[string]bool)
	for i, secret := range secrets {
		if len(secret) < minSecret {
			return nil, fmt.Errorf("sealed: key %d has %d characters, and at least %d are needed; make one with: openssl rand -base64 32", i, len(secret), minSecret)
		}
		if seen[secret] {
			return nil, fmt.Errorf("sealed: key %d is there twice", i)
		}
		seen[secret] = true
		one, err := derive(secret)
		if err != nil {
			return nil, fmt.Errorf("sealed: key %d: %w", i, err)
		}
		k.list = append(k.list, one)
	}
	return k, nil
}

// Len is how many keys there are.
func (k *Keys) Len() int { return len(k.list) }

func derive(secret string) (*key, error) {
	part := func(purpose string, size int) ([]byte, error) {
		return hkdf.Key(sha256.New, []byte(secret), nil, "sallyport sealed ids, 1: "+purpose, size)
	}
	mac, err := part("authentication", 32)
	if err != nil {
		return nil, err
	}
	enc, err := part("encryption", 32)
	if err != nil {
		return nil, err
	}
	number, err := part("number", 1)
	if err != nil {
		return nil, err
	}
	k := &key{number: number[0]}
	if k.block, err = aes.NewCipher(enc); err != nil {
		return nil, err
	}
	k.works.New = func() any { return &work{mac: hmac.New(sha256.New, mac)} }
	return k, nil
}

// Owner is whom an id is made for, digested.
type Owner [sha256.Size]byte

// Seal returns id as owner gets it: visible ASCII without quotes. ok is false
// for an id that is empty or longer than 1024 bytes.
func (k *Keys) Seal(kind byte, owner *Owner, id string) (text string, ok bool) {
	if id == "" || len(id) > maxID {
		return "", false
	}
	first := k.list[0]
	w := first.begin()
	defer first.works.Put(w)
	b := append(w.buf[:0], first.number)
	b = append(b, first.sum(w, kind, owner, id)...)
	b = append(b, id...)
	first.crypt(w, b[head:head+tag], b[head+tag:])
	w.buf = encoding.AppendEncode(b, b)
	return string(w.buf[len(b):]), true
}

// Open returns the id that text stands for, if it was made for owner with one
// of the keys. Whatever else it may be looks the same.
func (k *Keys) Open(kind byte, owner *Owner, text string) (id string, ok bool) {
	if len(text) > maxText || strings.ContainsAny(text, "\r\n") { // which the decoder would skip
		return "", false
	}
	w := k.list[0].begin()
	defer k.list[0].works.Put(w)
	w.text = append(w.text[:0], text...)
	b, err := encoding.AppendDecode(w.buf[:0], w.text)
	if w.buf = b[:0]; err != nil || len(b) <= head+tag {
		return "", false
	}
	for _, one := range k.list {
		if one.number == b[0] {
			if id, ok := one.open(kind, owner, b); ok {
				return id, true
			}
		}
	}
	return "", false
}

func (k *key) open(kind byte, owner *Owner, sealed []byte) (id string, ok bool) {
	w := k.begin()
	defer k.works.Put(w)
	w.buf = append(w.buf[:0], sealed[head+tag:]...)
	k.crypt(w, sealed[head:head+tag], w.buf)
	id = string(w.buf)
	if subtle.ConstantTimeCompare(k.sum(w, kind, owner, id), sealed[head:head+tag]) != 1 {
		return "", false
	}
	return id, true
}

// work is memory that is used again: an id costs its own text and little else.
type work struct {
	mac       hash.Hash
	buf, text []byte
	total     [sha256.Size]byte
	counter   [aes.BlockSize]byte
	stream    [aes.BlockSize]byte
}

func (k *key) begin() *work { return k.works.Get().(*work) }

// sum authenticates id with what it is and whose. All before the id has a fixed
// length, so that no two inputs read alike.
func (k *key) sum(w *work, kind byte, owner *Owner, id string) []byte {
	w.mac.Reset()
	w.text = append(append(append(w.text[:0], kind), owner[:]...), id...)
	_, _ = w.mac.Write(w.text)
	return w.mac.Sum(w.total[:0])[:tag]
}

// crypt is counter mode, as [cipher.NewCTR] has it, without its allocation.
func (k *key) crypt(w *work, iv, text []byte) {
	copy(w.counter[:], iv)
	for len(text) > 0 {
		k.block.Encrypt(w.stream[:], w.counter[:])
		text = text[subtle.XORBytes(text, text, w.stream[:]):]
		for i := len(w.counter) - 1; i >= 0; i-- {
			if w.counter[i]++; w.counter[i] != 0 {
				break
			}
		}
	}
}
