package app

import (
	"fmt"
	"sync"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"

	"github.com/sallyport/sallyport/guard/identity"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/gate"
	verify "github.com/sallyport/sallyport/internal/identity"
	"github.com/sallyport/sallyport/internal/memo"
	"github.com/sallyport/sallyport/internal/publickeys"
	"github.com/sallyport/sallyport/internal/redis"
	"github.com/sallyport/sallyport/internal/revocation"
	"github.com/sallyport/sallyport/internal/spiffe"
	"github.com/sallyport/sallyport/internal/tasks"
)

// lasting is what outlives a configuration, so that a reload forgets nothing.
type lasting struct {
	keys     verify.Pool // of token issuers
	releases releases    // of policies
	dir      string      // where relative paths of guards begin
	limits   limits      // counters of calls
	surges   surges      // how much servers bear
	conduct  conduct     // how callers behave
	books    books       // definitions of servers
	logs     decisionLogs
	signers  publickeys.Rings // keys of signed segments
	made     struct {         // which calls made tasks
		once sync.Once
		*tasks.Origins
	}
	id      string      // of this process, among replicas
	decided memo.Counts // decisions of policies

	shared  *redis.Shared    // nil without Redis
	revoked *revocation.List // nil where nobody is served
	budgets budgets          // accounts of what calls use
	leaving outbounds        // how workloads go out
	flows   flows            // labels that callers carry

	workloads *spiffe.Source // keys of JWT-SVIDs; nil where there are none
}

// needsToken reports whether callers must show a token.
func needsToken(a config.Authentication) bool { return a.Method == "JWT" || a.Method == "mTLS + JWT" }

// needsCertificate reports whether callers must show a client certificate.
func needsCertificate(a config.Authentication) bool {
	return a.Method == "mTLS" || a.Method == "mTLS + JWT"
}

// trustDomains are those whose workloads are believed; none where workloads have
// no SPIFFE ids.
func trustDomains(cfg *config.Config) []string {
	if !cfg.UsesSPIFFE() {
		return nil
	}
	out := make([]string, len(cfg.SPIFFE.TrustDomains))
	for i, d := range cfg.SPIFFE.TrustDomains {
		out[i] = string(d)
	}
	return out
}

// identityPort makes the guard's port as the guide's blocks demand.
func (l *lasting) identityPort(cfg *config.Config, s *gate.Snapshot) identity.Port {
	p := identity.Port{Source: l.identitySource(cfg, s)}
	switch cfg.Identity.ContinuousReauth {
	case "sensitive_actions":
		p.Fresh = identity.Sensitive
	case "all_actions":
		p.Fresh = identity.Always
	}
	return p
}

// checkReauth refuses to ask for what no caller could show.
func checkReauth(cfg *config.Config) error {
	switch r := cfg.Identity.ContinuousReauth; {
	case r == "" || r == "none" || needsToken(cfg.Gateway.Authentication):
		return nil
	default:
		return fmt.Errorf("identity_framework.continuous_reauth: %s needs tokens, which say when a person authenticated, and gateway.authentication.method is %s", r, cfg.Gateway.Authentication.Method)
	}
}

// identitySource makes the guard's port as gateway.authentication demands, and
// has s tell clients where to get tokens.
func (l *lasting) identitySource(cfg *config.Config, s *gate.Snapshot) identity.Source {
	method := cfg.Gateway.Authentication
	if !asks(method) {
		return nil
	}
	return func(c identity.Config) (identity.Authenticator, error) {
		o := verify.Options{
			Config: c, Token: needsToken(method), Certificate: needsCertificate(method),
			TrustDomains: trustDomains(cfg), Workloads: l.svids(cfg), Lifetime: cfg.Identity.TokenLifetime.Max, Keys: &l.keys,
		}
		if l.revoked != nil {
			o.Revoked = l.whyRevoked
		}
		if l.shared != nil {
			o.Once = l.shared.First
		}
		o.Secret = secret
		a, err := verify.New(o)
		if err != nil {
			return nil, err
		}
		s.Metadata, s.Challenge = a.Metadata, a.Challenge
		return a, nil
	}
}

// svids says how JWT-SVIDs are accepted, if they are. A gateway that does not
// serve, such as one that explains a decision, has nobody's keys.
func (l *lasting) svids(cfg *config.Config) *verify.Workloads {
	c := cfg.SPIFFE.JWTSVIDs
	if !c.Accept {
		return nil
	}
	return &verify.Workloads{Audiences: c.Audiences, Algorithms: c.Algorithms, Tenant: c.Tenant, Keys: func() *jwtbundle.Set {
		if l.workloads == nil {
			return nil
		}
		return l.workloads.Keys()
	}}
}
