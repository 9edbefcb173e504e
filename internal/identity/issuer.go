package identity

import (
	"context"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	own "github.com/sallyport/sallyport/guard/identity"
)

// issuer is one that may vouch for callers.
type issuer struct {
	settings   own.Issuer
	algorithms []jose.SignatureAlgorithm
	keys       *keySet
	verifier   *oidc.IDTokenVerifier

	introspection *introspection // nil: it is not asked about tokens
}

func newIssuer(settings own.Issuer, k *keySet, now func() time.Time) *issuer {
	i := &issuer{settings: settings, keys: k}
	for _, a := range settings.Algorithms {
		i.algorithms = append(i.algorithms, jose.SignatureAlgorithm(a))
	}
	i.verifier = oidc.NewVerifier(settings.URL, i, &oidc.Config{
		SupportedSigningAlgs: settings.Algorithms,
		SkipClientIDCheck:    true, // the audience is the server's, and checked for each request
		SkipExpiryCheck:      true, // checkTimes is stricter
		Now:                  now,
	})
	return i
}

// VerifySignature implements oidc.KeySet with the keys that are known.
func (i *issuer) VerifySignature(_ context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, i.algorithms)
	if err != nil {
		return nil, errSignature
	}
	header := jws.Signatures[0].Header
	for _, key := range i.keys.current().find(header.KeyID) {
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue // a key is for one algorithm; another one is an attempt to confuse
		}
		if payload, err := jws.Verify(key.Key); err == nil {
			return payload, nil
		}
	}
	return nil, errSignature
}
