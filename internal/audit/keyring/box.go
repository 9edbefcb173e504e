package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Place is where a box stands. It is bound to it: in another receipt, of another
// tenant or as another part it does not open.
type Place struct {
	Exchange, Time, Direction string // of the receipt
	Tenant                    string
	What                      string // which part of the receipt it is
}

const (
	saltLen = 16
	purpose = "sallyport sealed v1"
)

// bytes writes the place so that no two places are written alike.
func (p *Place) bytes(keys []*Key) []byte {
	b := append(make([]byte, 0, 256), purpose...)
	for _, s := range [...]string{p.Exchange, p.Time, p.Direction, p.Tenant, p.What} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	for _, k := range keys {
		b = append(b, k.ID...)
	}
	return b
}

// cipherFor makes a key and a nonce for one box out of all keys, in their order. A
// box has a salt of its own, so no two are sealed alike, however many there are.
func cipherFor(keys []*Key, salt []byte) (cipher.AEAD, []byte, error) {
	if len(keys) == 0 {
		return nil, nil, errors.New("keyring: nothing is sealed without a key")
	}
	secret := make([]byte, 0, 64)
	for _, k := range keys {
		secret = append(secret, k.secret[:]...)
	}
	derived, err := hkdf.Key(sha256.New, secret, salt, purpose, 32+12)
	clear(secret)
	if err != nil {
		return nil, nil, fmt.Errorf("keyring: derive: %w", err)
	}
	block, err := aes.NewCipher(derived[:32])
	if err != nil {
		return nil, nil, fmt.Errorf("keyring: derive: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil, fmt.Errorf("keyring: derive: %w", err)
	}
	return aead, derived[32:], nil
}

// Seal encrypts plain so that it takes every one of keys to open it.
func Seal(keys []*Key, at Place, plain []byte) ([]byte, error) {
	box := make([]byte, saltLen, saltLen+len(plain)+16)
	if _, err := rand.Read(box); err != nil {
		return nil, fmt.Errorf("keyring: seal: %w", err)
	}
	aead, nonce, err := cipherFor(keys, box)
	if err != nil {
		return nil, err
	}
	return aead.Seal(box, nonce, plain, at.bytes(keys)), nil
}

// ErrBox means that a box was changed, stands in another place than it was made
// for, or was made with other keys.
var ErrBox = errors.New("keyring: the box is not what was sealed here")

// Unseal undoes Seal.
func Unseal(keys []*Key, at Place, box []byte) ([]byte, error) {
	if len(box) < saltLen {
		return nil, ErrBox
	}
	aead, nonce, err := cipherFor(keys, box[:saltLen])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nonce, box[saltLen:], at.bytes(keys))
	if err != nil {
		return nil, ErrBox
	}
	return plain, nil
}
