package segment

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/sallyport/sallyport/mcp"
)

// Verifier checks signatures. Its zero value knows no key and refuses all.
type Verifier struct {
	// Keys returns those that an id stands for, of whoever may sign what a names.
	// There may be several of one id, and there may be none.
	Keys func(a About, id string) []PublicKey

	Lifetime time.Duration // longest from issue to expiry; 0: any
	Skew     time.Duration // how far the signer's clock may be off
	Now      func() time.Time
}

// maxEnvelope is the longest envelope, in bytes: who it is from is not known
// before it was read.
const maxEnvelope = 4 << 10

// Verify returns the key that signed raw (the result, the params or the block as
// it stands in a message) for what a says. a.Arguments are those of the request;
// envelope is the value of _meta's [Key].
func (v *Verifier) Verify(a About, raw, envelope json.RawMessage) (*PublicKey, error) {
	e, err := readEnvelope(envelope)
	if err != nil {
		return nil, err
	}
	protected, rest, _ := strings.Cut(e.JWS, ".")
	h, err := readHeader(protected)
	if err != nil {
		return nil, err
	}
	signature, err := encoding.DecodeString(strings.TrimPrefix(rest, "."))
	if err != nil || !strings.HasPrefix(rest, ".") || len(signature) != 64 {
		return nil, fmt.Errorf("%w: it is no detached JWS", ErrMalformed)
	}
	var keys []PublicKey
	if v.Keys != nil {
		keys = v.Keys(a, h.KeyID)
	}
	if len(keys) == 0 {
		return nil, ErrUnknownKey
	}
	if err := v.timely(e); err != nil {
		return nil, err
	}
	if e.Arguments != "" {
		if got, err := ArgumentsDigest(a.Arguments); err != nil || got != e.Arguments {
			return nil, fmt.Errorf("%w: it is for other arguments", ErrSignature)
		}
	}
	text, err := payload(a, e, raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	text = append([]byte(protected+"."), text...)
	for i := range keys {
		if k := &keys[i]; k.Algorithm == h.Algorithm && k.verifies(text, signature) {
			return k, nil
		}
	}
	return nil, ErrSignature
}

func (v *Verifier) timely(e *Envelope) error {
	now := time.Now()
	if v.Now != nil {
		now = v.Now()
	}
	switch skew := int64(v.Skew / time.Second); {
	case e.Expires <= now.Unix()-skew, e.Issued > now.Unix()+skew:
		return ErrExpired
	case e.Expires <= e.Issued, v.Lifetime > 0 && e.Expires-e.Issued > int64(v.Lifetime/time.Second):
		return fmt.Errorf("%w: its lifetime is longer than allowed", ErrExpired)
	}
	return nil
}

// verifies leaves no choice to the signature: the key has one algorithm.
func (k *PublicKey) verifies(text, signature []byte) bool {
	switch key := k.Key.(type) {
	case ed25519.PublicKey:
		return k.Algorithm == EdDSA && len(key) == ed25519.PublicKeySize && ed25519.Verify(key, text, signature)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(text)
		return k.Algorithm == ES256 && algorithmOf(key) == ES256 &&
			ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}
	return false
}

// readEnvelope takes the members that it knows, each once, and no others: what
// is not signed says nothing.
func readEnvelope(raw json.RawMessage) (*Envelope, error) {
	e := new(Envelope)
	err := exactly(raw, maxEnvelope, map[string]any{"issued": &e.Issued, "expires": &e.Expires, "arguments": &e.Arguments, "jws": &e.JWS})
	if err == nil && (e.JWS == "" || e.Issued < 0 || e.Expires < 0 || e.Issued > maxTime || e.Expires > maxTime) {
		err = fmt.Errorf("%w: there is no JWS, or a time is none", ErrMalformed)
	}
	return e, err
}

const maxTime = 1 << 40 // seconds

func readHeader(protected string) (*header, error) {
	text, err := encoding.DecodeString(protected)
	if err != nil {
		return nil, fmt.Errorf("%w: the header is not base64url", ErrMalformed)
	}
	h := &header{B64: true}
	if err := exactly(text, maxEnvelope, map[string]any{"alg": &h.Algorithm, "b64": &h.B64, "crit": &h.Critical, "kid": &h.KeyID, "typ": &h.Type}); err != nil {
		return nil, err
	}
	switch {
	case h.Algorithm != EdDSA && h.Algorithm != ES256:
		return nil, fmt.Errorf("%w: the algorithm is neither EdDSA nor ES256", ErrMalformed)
	case h.B64 || len(h.Critical) != 1 || h.Critical[0] != "b64" || h.Type != mediaType || h.KeyID == "":
		return nil, fmt.Errorf("%w: it is no signature of a segment", ErrMalformed)
	}
	return h, nil
}

// exactly reads an object whose names are all known and there once, compared
// exactly, which encoding/json does not insist on.
func exactly(raw []byte, most int, into map[string]any) error {
	if len(raw) > most || !json.Valid(raw) || raw[skip(raw)] != '{' {
		return fmt.Errorf("%w: it is no JSON object, or too long", ErrMalformed)
	}
	seen := make(map[string]bool, len(into))
	for name, value := range mcp.Members(raw) {
		to, known := into[name]
		if !known || seen[name] {
			return fmt.Errorf("%w: a member is unknown or there twice", ErrMalformed)
		}
		seen[name] = true
		if err := json.Unmarshal(value, to); err != nil || string(value) == "null" {
			return fmt.Errorf("%w: a member has the wrong type", ErrMalformed)
		}
	}
	return nil
}
