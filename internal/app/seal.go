package app

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/constraint"
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
)

// sealer signs the constraints of policies.
type sealer struct {
	key      ed25519.PrivateKey
	id       string
	lifetime time.Duration
	revision func(*guard.Principal) string // of the policy that a caller meets
}

func newSealer(c policy.Signing, revision func(*guard.Principal) string) (*sealer, error) {
	text, err := secret(c.Key)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("is not a PKCS #8 private key")
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("is not an Ed25519 key")
	}
	return &sealer{key, c.ID, c.Lifetime, revision}, nil
}

// seal signs claims together with the message as it goes upstream.
func (s *sealer) seal(x *guard.Exchange, m *mcp.Message, claims []string) (header, value string, err error) {
	merged := make(map[string]json.RawMessage)
	for _, text := range claims {
		var one map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			return "", "", fmt.Errorf("app: seal: %w", err)
		}
		for k, v := range one {
			if _, twice := merged[k]; twice {
				return "", "", fmt.Errorf("app: seal: constraint %s is given twice", k)
			}
			merged[k] = v
		}
	}
	all, err := json.Marshal(merged)
	if err != nil {
		return "", "", fmt.Errorf("app: seal: %w", err)
	}
	now := time.Now()
	value, err = constraint.Sign(s.key, s.id, constraint.Claims{
		Issuer: "sallyport", Server: x.Server.Name, ID: x.ID, Subject: x.Principal.Subject, Tenant: x.Principal.Tenant,
		Method: m.Method, Name: m.Name, Policy: s.revision(&x.Principal), TokenID: x.Principal.TokenID,
		IssuedAt: now.Unix(), Expires: now.Add(s.lifetime).Unix(), Constraints: all,
	}, m.Raw)
	return constraint.Header, value, err
}
