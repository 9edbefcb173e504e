// Package constraint lets an MCP server check what the gateway allowed a call
// to do. The gateway signs it, together with the body that it forwards, into
// the [Header] of the request (a JWS in compact form, RFC 7515, with Ed25519),
// so that nobody between the two can change one without the other.
//
// A server needs the gateway's public key and its own name in the gateway's
// registry:
//
//	v := constraint.Verifier{Server: "crm", Keys: map[string]ed25519.PublicKey{"2026-11": key}}
//	claims, err := v.Verify(r.Header.Get(constraint.Header), body)
//	// err == nil: claims.Constraints holds what the policy says, such as {"max_rows": 100}
//
// The package imports the standard library only.
package constraint

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Header is the request header that carries the signature.
const Header = "x-sallyport-constraint"

const mediaType = "sallyport-constraint+jwt"

// Claims is what the gateway says about one request.
type Claims struct {
	Issuer      string          `json:"iss"`                // always "sallyport"
	Server      string          `json:"aud"`                // the server that the request is for
	ID          string          `json:"jti"`                // exchange in the gateway's receipts
	Subject     string          `json:"sub,omitempty"`      // who is calling
	Tenant      string          `json:"tenant,omitempty"`   // whose data it is about
	Method      string          `json:"method"`             // MCP method
	Name        string          `json:"name,omitempty"`     // tool, prompt or resource
	Policy      string          `json:"policy,omitempty"`   // revision that decided
	IssuedAt    int64           `json:"iat"`                // seconds since 1970
	Expires     int64           `json:"exp"`                // seconds since 1970
	Body        string          `json:"body_sha256"`        // base64url of SHA-256 of the body
	Constraints json.RawMessage `json:"constraints"`        // object: what the policy says
	TokenID     string          `json:"token_id,omitempty"` // of the caller's token
}

type header struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
	KeyID     string `json:"kid,omitempty"`
}

// Verifier checks signatures. Its zero value refuses everything.
type Verifier struct {
	Server string                       // the server's own name
	Keys   map[string]ed25519.PublicKey // by key id
	Skew   time.Duration                // how far the gateway's clock may be off
	Now    func() time.Time             // nil: time.Now
}

// ErrInvalid is wrapped by every error of Verify.
var ErrInvalid = errors.New("constraint: not valid for this request")

// Verify returns the claims of token if one of the keys signed them for this
// server and this very body, and they have not expired. An empty token is an
// error: whoever can reach the server around the gateway sends none.
func (v *Verifier) Verify(token string, body []byte) (*Claims, error) {
	bad := func(why string) (*Claims, error) { return nil, fmt.Errorf("%w: %s", ErrInvalid, why) }
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > 64<<10 {
		return bad("no signature")
	}
	var h header
	if err := decode(parts[0], &h); err != nil || h.Algorithm != "EdDSA" || h.Type != mediaType {
		return bad("not a constraint of the gateway")
	}
	key, ok := v.Keys[h.KeyID]
	if !ok || len(key) != ed25519.PublicKeySize {
		return bad("unknown key")
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || !ed25519.Verify(key, []byte(parts[0]+"."+parts[1]), signature) {
		return bad("wrong signature")
	}
	var c Claims
	if err := decode(parts[1], &c); err != nil {
		return bad("unreadable claims")
	}
	now := time.Now()
	if v.Now != nil {
		now = v.Now()
	}
	switch {
	case v.Server == "" || c.Server != v.Server:
		return bad("made for another server")
	case now.After(time.Unix(c.Expires, 0).Add(v.Skew)):
		return bad("expired")
	case now.Add(v.Skew).Before(time.Unix(c.IssuedAt, 0)):
		return bad("from the future")
	case c.Body != digest(body):
		return bad("made for another body")
	}
	return &c, nil
}

// Sign returns the header's value for claims about a request with this body.
func Sign(key ed25519.PrivateKey, keyID string, c Claims, body []byte) (string, error) {
	c.Body = digest(body)
	head, err := json.Marshal(header{"EdDSA", mediaType, keyID})
	if err != nil {
		return "", fmt.Errorf("constraint: sign: %w", err)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("constraint: sign: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text))), nil
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func decode(part string, into any) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}
