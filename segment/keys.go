package segment

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
)

// PublicKey is a key to verify with.
type PublicKey struct {
	ID        string
	Algorithm string // EdDSA or ES256, whatever a signature says
	Key       crypto.PublicKey
	Owner     string // whose it is, for whoever put the keys together
}

// maxKeys bounds a set of keys.
const maxKeys = 64

type jwk struct {
	Type      string   `json:"kty"`
	Curve     string   `json:"crv"`
	X         string   `json:"x"`
	Y         string   `json:"y,omitempty"`
	ID        string   `json:"kid,omitempty"`
	Algorithm string   `json:"alg,omitempty"`
	Use       string   `json:"use,omitempty"`
	Ops       []string `json:"key_ops,omitempty"`
	Private   string   `json:"d,omitempty"`
}

// ParseKeys reads public keys: a JWK set (RFC 7517) or PEM blocks of the type
// PUBLIC KEY. Keys without an id have their thumbprint (RFC 7638). Those of a
// JWK set that are for something else are left out; a private one is an error,
// because whoever can read it could sign.
func ParseKeys(text []byte) ([]PublicKey, error) {
	var out []PublicKey
	var err error
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] == '{' {
		out, err = parseSet(trimmed)
	} else {
		out, err = parsePEM(text)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("segment: keys: %w", err)
	case len(out) == 0:
		return nil, errors.New("segment: keys: there is none of Ed25519 or P-256")
	case len(out) > maxKeys:
		return nil, fmt.Errorf("segment: keys: there are more than %d", maxKeys)
	}
	return out, nil
}

func parseSet(text []byte) (out []PublicKey, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, err
	}
	for i, raw := range set.Keys {
		var j jwk
		if err := json.Unmarshal(raw, &j); err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		if j.Private != "" || j.Type == "oct" {
			return nil, fmt.Errorf("keys[%d]: it is no public key", i)
		}
		k, ok, err := j.public()
		if err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		if ok {
			out = append(out, k)
		}
	}
	return out, nil
}

// public returns the key, and false for one that is not for this.
func (j *jwk) public() (k PublicKey, ok bool, err error) {
	if j.Use != "" && j.Use != "sig" {
		return k, false, nil
	}
	x, errX := encoding.DecodeString(j.X)
	y, errY := encoding.DecodeString(j.Y)
	switch {
	case j.Type == "OKP" && j.Curve == "Ed25519":
		if errX != nil || len(x) != ed25519.PublicKeySize {
			return k, false, errors.New("x is no Ed25519 key")
		}
		k.Algorithm, k.Key = EdDSA, ed25519.PublicKey(x)
	case j.Type == "EC" && j.Curve == "P-256":
		if errX != nil || errY != nil || len(x) != 32 || len(y) != 32 {
			return k, false, errors.New("x or y is no coordinate on P-256")
		}
		point, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		if err != nil {
			return k, false, err
		}
		k.Algorithm, k.Key = ES256, point
	default:
		return k, false, nil
	}
	if j.Algorithm != "" && j.Algorithm != k.Algorithm && (k.Algorithm != EdDSA || j.Algorithm != "Ed25519") {
		return k, false, nil // the key's owner means it for something else
	}
	if k.ID = j.ID; k.ID == "" {
		k.ID, err = Thumbprint(k.Key)
	}
	return k, err == nil, err
}

func parsePEM(text []byte) (out []PublicKey, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return out, nil
		}
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("a PEM block of the type %q is no public key", block.Type)
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		k, err := Public(key)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
}

// Public returns key with its algorithm, and its thumbprint as its id.
func Public(key crypto.PublicKey) (PublicKey, error) {
	algorithm := algorithmOf(key)
	if algorithm == "" {
		return PublicKey{}, errors.New("segment: the key is neither Ed25519 nor ECDSA on P-256")
	}
	id, err := Thumbprint(key)
	return PublicKey{ID: id, Algorithm: algorithm, Key: key}, err
}

// ParsePrivateKey reads a PEM block with a private key of Ed25519 or P-256, in
// PKCS #8 or, of the latter, in SEC 1.
func ParsePrivateKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("segment: private key: is not PEM")
	}
	var key any
	var err error
	if block.Type == "EC PRIVATE KEY" {
		key, err = x509.ParseECPrivateKey(block.Bytes)
	} else {
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, errors.New("segment: private key: cannot be read") // what it holds is nobody's to see
	}
	signer, ok := key.(crypto.Signer)
	if !ok || algorithmOf(signer.Public()) == "" {
		return nil, errors.New("segment: private key: is neither Ed25519 nor ECDSA on P-256")
	}
	return signer, nil
}

// Thumbprint is the id of a key that has no other (RFC 7638).
func Thumbprint(key crypto.PublicKey) (string, error) {
	j, err := asJWK(key)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf(`{"crv":%q,"kty":%q,"x":%q}`, j.Curve, j.Type, j.X)
	if j.Type == "EC" {
		text = fmt.Sprintf(`{"crv":%q,"kty":%q,"x":%q,"y":%q}`, j.Curve, j.Type, j.X, j.Y)
	}
	sum := sha256.Sum256([]byte(text))
	return encoding.EncodeToString(sum[:]), nil
}

func asJWK(key crypto.PublicKey) (jwk, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
		if len(k) == ed25519.PublicKeySize {
			return jwk{Type: "OKP", Curve: "Ed25519", X: encoding.EncodeToString(k)}, nil
		}
	case *ecdsa.PublicKey:
		if point, err := k.Bytes(); err == nil && algorithmOf(k) == ES256 {
			return jwk{Type: "EC", Curve: "P-256", X: encoding.EncodeToString(point[1:33]), Y: encoding.EncodeToString(point[33:])}, nil
		}
	}
	return jwk{}, errors.New("segment: the key is neither Ed25519 nor ECDSA on P-256")
}

// MarshalKeys writes keys as a JWK set.
func MarshalKeys(keys ...PublicKey) ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, k := range keys {
		j, err := asJWK(k.Key)
		if err != nil {
			return nil, err
		}
		j.ID, j.Algorithm, j.Use = k.ID, k.Algorithm, "sig"
		set.Keys = append(set.Keys, j)
	}
	return json.MarshalIndent(set, "", "  ")
}
