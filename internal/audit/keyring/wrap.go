package keyring

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Wrapper is a key-encryption key, wherever it lies. A ring asks it once for each
// key that it opens or makes, never on behalf of a single receipt, so it may be a
// service on the network. It is called concurrently.
type Wrapper interface {
	// ID names the key. What it wrapped is found again by it.
	ID() string
	// Wrap encrypts a data key together with whose it is, and binds both to about.
	Wrap(ctx context.Context, plain, about []byte) ([]byte, error)
	// Unwrap undoes Wrap, and fails for anything that Wrap did not make.
	Unwrap(ctx context.Context, wrapped, about []byte) ([]byte, error)
}

// local is a wrapper whose key is in this process's memory.
type local struct {
	id   string
	aead cipher.AEAD
}

// NewLocal returns a wrapper with a key that is given as text: 32 bytes in base64
// or hex. Errors do not repeat it.
func NewLocal(text string) (Wrapper, error) {
	text = strings.TrimSpace(text)
	key, err := base64.StdEncoding.DecodeString(text)
	if len(text) == 64 {
		key, err = hex.DecodeString(text)
	}
	if err != nil || len(key) != 32 {
		return nil, errors.New("keyring: a wrapping key is 32 bytes in base64 or hex, such as `openssl rand -base64 32` writes")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("keyring: wrapping key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("keyring: wrapping key: %w", err)
	}
	sum := sha256.Sum256(append([]byte("sallyport wrapping key v1\n"), key...))
	return &local{hex.EncodeToString(sum[:8]), aead}, nil
}

func (l *local) ID() string { return l.id }

func (l *local) Wrap(_ context.Context, plain, about []byte) ([]byte, error) {
	nonce := make([]byte, l.aead.NonceSize(), l.aead.NonceSize()+len(plain)+l.aead.Overhead())
	if _, err := rand.Read(nonce); err != nil { // a key wraps far fewer than the 2^32 that random nonces allow
		return nil, fmt.Errorf("keyring: wrap: %w", err)
	}
	return l.aead.Seal(nonce, nonce, plain, about), nil
}

func (l *local) Unwrap(_ context.Context, wrapped, about []byte) ([]byte, error) {
	n := l.aead.NonceSize()
	if len(wrapped) < n {
		return nil, errors.New("keyring: unwrap: too short")
	}
	plain, err := l.aead.Open(nil, wrapped[:n], wrapped[n:], about)
	if err != nil {
		return nil, errors.New("keyring: unwrap: this is not what the key wrapped")
	}
	return plain, nil
}
