package app

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"

	"github.com/sallyport/sallyport/guard/dlp"
	"github.com/sallyport/sallyport/internal/sealed"
)

// tokens makes the sealer of dlp's tokens from its key.
func tokens(key []byte) (dlp.Sealer, error) {
	secret, err := hkdf.Key(sha256.New, key, nil, "sallyport dlp tokens, 1", 32)
	if err != nil {
		return nil, err
	}
	keys, err := sealed.New([]string{hex.EncodeToString(secret)})
	if err != nil {
		return nil, err
	}
	return tokenSealer{keys}, nil
}

// tokenSealer implements dlp's port. Its ids are of a kind that no others are.
type tokenSealer struct{ keys *sealed.Keys }

const tokenKind = 'd'

func (s tokenSealer) Seal(owner [32]byte, value string) (string, bool) {
	o := sealed.Owner(owner)
	return s.keys.Seal(tokenKind, &o, value)
}

func (s tokenSealer) Open(owner [32]byte, token string) (string, bool) {
	o := sealed.Owner(owner)
	return s.keys.Open(tokenKind, &o, token)
}
