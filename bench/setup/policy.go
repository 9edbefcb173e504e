package setup

import (
	"context"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/bench/issuer"
	"github.com/sallyport/sallyport/policies"
)

// roles let the bench's caller use the echo server, by the default rules.
const roles = `{"bench": {"clearance": "internal", "servers": {"echo": [{"tools": ["echo*", "stream"]}]}}}`

// policy is the gateway with a token to be verified and a policy to be asked for
// each call: the default bundle, with a role of the bench.
func (r *Rig) policy(ctx context.Context, s *Setup, server string) error {
	provider, err := issuer.Start()
	if err != nil {
		return err
	}
	r.stops = append(r.stops, provider.Close)
	token, err := provider.Token(map[string]any{"sub": "bench", "aud": "bench", "roles": []string{"bench"}})
	if err != nil {
		return err
	}
	bundle := filepath.Join(r.o.Dir, s.Name+".bundle")
	if err := os.CopyFS(bundle, policies.Default()); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(bundle, "org", "roles", "data.json"), []byte(roles), 0o600); err != nil {
		return err
	}
	ttl := ""
	if s.Name == Policy {
		ttl = ", decision_cache_ttl: 5m"
	}
	guards := only("identity", "policy") + "  identity: {public_url: \"http://127.0.0.1\", issuers: [{url: \"" + provider.URL + "\", audiences: [bench]}]}\n" +
		"  policy: {bundle: " + bundle + ", signatures: optional}\n"
	if err := r.governed(ctx, s, server, "  authentication: {method: JWT}\n  authorization: {policy_engine: OPA"+ttl+"}\n", guards); err != nil {
		return err
	}
	s.Headers = []string{"Authorization: Bearer " + token}
	return nil
}
