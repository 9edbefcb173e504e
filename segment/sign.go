package segment

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// header is the protected header. A verifier accepts these members and no
// others: none of them can bring a key along or name another place to find one.
type header struct {
	Algorithm string   `json:"alg"`
	B64       bool     `json:"b64"`
	Critical  []string `json:"crit"`
	KeyID     string   `json:"kid"`
	Type      string   `json:"typ"`
}

const mediaType = "sallyport-segment"

// Signer signs for one server.
type Signer struct {
	Server   string        // the server's name in the gateway's registry
	Key      crypto.Signer // Ed25519, or ECDSA on P-256; a key in hardware does too
	KeyID    string        // as verifiers know it; empty: the key's thumbprint (RFC 7638)
	Lifetime time.Duration // of signatures; an hour when 0
	Now      func() time.Time
}

// Sign signs v, which becomes JSON as [encoding/json] has it: the result, the
// params or the block that About names. Nothing of it may change afterwards but
// its _meta.
func (s *Signer) Sign(a About, v any) (Envelope, error) {
	bad := func(err error) (Envelope, error) { return Envelope{}, fmt.Errorf("segment: sign: %w", err) }
	raw, err := marshal(v)
	if err != nil {
		return bad(err)
	}
	if a.Server == "" {
		a.Server = s.Server
	}
	algorithm := algorithmOf(s.public())
	if algorithm == "" {
		return bad(errors.New("the key is neither Ed25519 nor ECDSA on P-256"))
	}
	id := s.KeyID
	if id == "" {
		if id, err = Thumbprint(s.public()); err != nil {
			return bad(err)
		}
	}
	now, lifetime := time.Now(), s.Lifetime
	if s.Now != nil {
		now = s.Now()
	}
	if lifetime <= 0 {
		lifetime = time.Hour
	}
	e := Envelope{Issued: now.Unix(), Expires: now.Add(lifetime).Unix()}
	if a.Arguments != nil {
		if e.Arguments, err = ArgumentsDigest(a.Arguments); err != nil {
			return bad(err)
		}
	}
	text, err := payload(a, &e, raw)
	if err != nil {
		return bad(err)
	}
	head, err := json.Marshal(header{algorithm, false, []string{"b64"}, id, mediaType})
	if err != nil {
		return bad(err)
	}
	protected := encoding.EncodeToString(head)
	signature, err := s.sign(algorithm, append([]byte(protected+"."), text...))
	if err != nil {
		return bad(err)
	}
	e.JWS = protected + ".." + encoding.EncodeToString(signature)
	return e, nil
}

func (s *Signer) public() crypto.PublicKey {
	if s.Key == nil {
		return nil
	}
	return s.Key.Public()
}

func marshal(v any) (json.RawMessage, error) {
	if raw, ok := v.(json.RawMessage); ok {
		return raw, nil
	}
	return json.Marshal(v)
}

// sign makes the signature as RFC 7518, 3.4, and RFC 8037, 3.1, have it.
func (s *Signer) sign(algorithm string, text []byte) ([]byte, error) {
	if algorithm == EdDSA {
		return s.Key.Sign(rand.Reader, text, crypto.Hash(0))
	}
	sum := sha256.Sum256(text)
	der, err := s.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var point struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &point); err != nil || len(rest) > 0 {
		return nil, errors.New("the key made no ECDSA signature")
	}
	if point.R.Sign() < 0 || point.S.Sign() < 0 || point.R.BitLen() > 256 || point.S.BitLen() > 256 {
		return nil, errors.New("the key made no signature on P-256")
	}
	out := make([]byte, 64)
	point.R.FillBytes(out[:32])
	point.S.FillBytes(out[32:])
	return out, nil
}

// The algorithms.
const (
	EdDSA = "EdDSA" // with Ed25519
	ES256 = "ES256"
)

// algorithmOf is the one algorithm of a key: a signature never chooses.
func algorithmOf(key crypto.PublicKey) string {
	switch k := key.(type) {
	case ed25519.PublicKey:
		if len(k) == ed25519.PublicKeySize {
			return EdDSA
		}
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return ES256
		}
	}
	return ""
}
