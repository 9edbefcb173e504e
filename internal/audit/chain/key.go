package chain

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
)

// Keys are public keys by their id.
type Keys map[string]ed25519.PublicKey

// With returns the keys and one more.
func (k Keys) With(pub ed25519.PublicKey) Keys {
	all := Keys{KeyID(pub): pub}
	maps.Copy(all, k)
	return all
}

// GenerateKey returns a new key pair as PEM: PKCS #8, and PKIX, as openssl
// writes and reads them.
func GenerateKey() (private, public []byte, id string, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, "", fmt.Errorf("chain: generate key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, "", fmt.Errorf("chain: generate key: %w", err)
	}
	pubDER, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, nil, "", fmt.Errorf("chain: generate key: %w", err)
	}
	private = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	public = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pubDER})
	return private, public, KeyID(pub), nil
}

// ParsePrivateKey reads an Ed25519 key in PKCS #8 PEM. Its errors do not repeat
// the text.
func ParsePrivateKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("chain: signing key: is no PEM block PRIVATE KEY; `sallyport audit keygen` makes one")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("chain: signing key: is not PKCS #8")
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("chain: signing key: is not an Ed25519 key")
	}
	return ed, nil
}

// Add reads public keys in PKIX PEM, one or several.
func (k Keys) Add(text []byte) error {
	n := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "PUBLIC KEY" {
			return fmt.Errorf("chain: public key: a PEM block is %q and must be PUBLIC KEY", block.Type)
		}
		pub, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return errors.New("chain: public key: is not PKIX")
		}
		ed, ok := pub.(ed25519.PublicKey)
		if !ok {
			return errors.New("chain: public key: is not an Ed25519 key")
		}
		k[KeyID(ed)] = ed
		n++
	}
	if n == 0 {
		return errors.New("chain: public key: no PEM block PUBLIC KEY")
	}
	return nil
}
