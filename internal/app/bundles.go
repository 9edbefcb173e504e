package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/cedar"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/memo"
	"github.com/sallyport/sallyport/internal/opa"
	"github.com/sallyport/sallyport/internal/release"
	"github.com/sallyport/sallyport/policies"
)

// terms are what bundles are taken on: the guard's configuration, and what the
// guide's blocks demand of a release.
type terms struct {
	policy.Config
	Engine string // OPA or Cedar
	Semver bool   // the version is a semantic one
	Commit bool   // the manifest names the commit that the release was built from
	Tested bool   // the bundle's own tests pass, or its signed manifest says that they did
}

func termsOf(cfg *config.Config, c policy.Config) terms {
	f, store := cfg.PolicyMeta, cfg.Identity.PolicyStorage
	return terms{
		Config: c, Engine: cfg.Gateway.Authorization.PolicyEngine,
		Semver: f.Versioning != "", Commit: f.Storage != "" || f.Deployment != "" || store != "", Tested: f.Validation != "",
	}
}

// signed reports whether the guide's blocks demand signed releases, and which setting does.
func signed(cfg *config.Config) (setting string, demanded bool) {
	switch {
	case cfg.PolicyMeta.Deployment == "GitOps with signed releases":
		return "policy_framework.deployment", true
	case cfg.Identity.PolicyStorage == "Git with signed releases":
		return "identity_framework.policy_storage", true
	}
	return "", false
}

// checkFramework refuses a configuration that contradicts what its own guide
// blocks say about policies.
func checkFramework(cfg *config.Config, c policy.Config, mode string) error {
	f, id, engine := cfg.PolicyMeta, cfg.Identity, cfg.Gateway.Authorization.PolicyEngine
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if engine == "none" {
		for _, s := range [...]struct{ key, value string }{
			{"policy_framework.storage", f.Storage}, {"policy_framework.language", f.Language}, {"policy_framework.versioning", f.Versioning},
			{"policy_framework.deployment", f.Deployment}, {"policy_framework.validation", f.Validation}, {"policy_framework.enforcement", f.Enforcement},
			{"identity_framework.access_control", id.AccessControl}, {"identity_framework.policy_storage", id.PolicyStorage},
		} {
			if s.value != "" {
				bad("%s: %q: no policy decides (gateway.authorization.policy_engine: none)", s.key, s.value)
			}
		}
		return errors.Join(errs...)
	}
	if want := map[string]string{"OPA Rego": "OPA", "Cedar": "Cedar"}[f.Language]; want != "" && want != engine {
		bad("policy_framework.language: %q, but gateway.authorization.policy_engine is %q", f.Language, engine)
	}
	for _, s := range [...]struct{ key, value string }{
		{"policy_framework.storage", f.Storage}, {"policy_framework.deployment", f.Deployment}, {"identity_framework.policy_storage", id.PolicyStorage},
	} {
		if s.value != "" && c.Bundle == "" {
			bad("%s: %q: guards.policy.bundle must name a release; the policy of this build is none of yours", s.key, s.value)
		}
	}
	if key, demanded := signed(cfg); demanded && (c.Signatures != policy.SignaturesRequired || len(c.Keys) == 0) {
		bad("%s: demands signed releases: guards.policy needs keys, and signatures: required", key)
	}
	if f.Enforcement != "" && mode != "enforce" {
		bad("policy_framework.enforcement: %q: guards.policy must be in mode enforce, and is in %s", f.Enforcement, mode)
	}
	return errors.Join(errs...)
}

// builtIn offers the policy of this build.
func (t terms) builtIn() release.Source {
	if t.Engine == "Cedar" {
		return &release.Embedded{FS: policies.Cedar()}
	}
	return &release.Embedded{FS: policies.Default()}
}

// offered is a bundle of either language.
type offered interface {
	release.Bundle
	decider(ttl, deadline time.Duration, counts *memo.Counts) (policy.Decider, error)
	about() opa.About
	test(ctx context.Context) (passed, failed int, err error)
}

type rego struct{ *opa.Bundle }

func (r rego) decider(ttl, deadline time.Duration, counts *memo.Counts) (policy.Decider, error) {
	p, err := opa.New(r.Bundle, opa.Settings{CacheTTL: ttl, Deadline: deadline, Counts: counts})
	if err != nil {
		return nil, err // not a Decider that holds nil
	}
	return p, nil
}

func (r rego) about() opa.About { return opa.AboutOf(&r.Manifest) }

func (r rego) test(ctx context.Context) (passed, failed int, err error) {
	rep, err := opa.Test(ctx, r.Bundle)
	if err != nil {
		return 0, 0, err
	}
	return rep.Passed, len(rep.Failed), nil
}

type cedarBundle struct {
	*cedar.Bundle
	says opa.About
}

func (c cedarBundle) decider(ttl, deadline time.Duration, counts *memo.Counts) (policy.Decider, error) {
	p, err := cedar.New(c.Bundle, cedar.Settings{CacheTTL: ttl, Deadline: deadline, Counts: counts})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (c cedarBundle) about() opa.About { return c.says }

func (c cedarBundle) test(ctx context.Context) (passed, failed int, err error) {
	rep, err := cedar.Test(ctx, c.Bundle)
	if err != nil {
		return 0, 0, err
	}
	return rep.Passed, len(rep.Failed), nil
}

// open verifies a bundle, and compiles it: one that does not compile is as bad
// as one that cannot be read, and so is one that does not keep the terms.
func (t terms) open(archive []byte, name string, keys *opa.Keys) (release.Bundle, error) {
	var b offered
	if t.Engine == "Cedar" {
		a, err := opa.ReadArchive(archive, name, keys)
		if err != nil {
			return nil, err
		}
		b = cedarBundle{cedar.FromFiles(a.Version, a.Files), a.About}
	} else {
		r, err := opa.Read(bytes.NewReader(archive), name, keys)
		if err != nil {
			return nil, err
		}
		b = rego{r}
	}
	if _, err := b.decider(0, time.Second, nil); err != nil {
		return nil, err
	}
	if err := t.accept(b); err != nil {
		return nil, fmt.Errorf("bundle %s: %w", b.Revision(), err)
	}
	return b, nil
}

// testTime bounds the tests of a bundle that is offered.
const testTime = time.Minute

// accept refuses a bundle that the guide's blocks do not let in.
func (t terms) accept(b offered) error {
	about := b.about()
	if t.Semver && !opa.IsVersion(about.Version) {
		return fmt.Errorf("policy_framework.versioning: its version %q is no semantic one, such as 1.4.0", about.Version)
	}
	if t.Commit && about.Commit == "" {
		return errors.New("its manifest names no commit (metadata.sallyport.commit; sallyport policy build --commit), so nobody knows what in Git it was built from")
	}
	if !t.Tested {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	defer cancel()
	passed, failed, err := b.test(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("policy_framework.validation: %w", err)
	case failed > 0:
		return fmt.Errorf("policy_framework.validation: %d of its %d tests fail", failed, passed+failed)
	case passed > 0, about.Tests.Passed > 0 && about.Tests.Failed == 0 && t.Signatures == policy.SignaturesRequired && t.Bundle != "":
		return nil
	case about.Tests.Passed > 0:
		return errors.New("policy_framework.validation: it brings no tests, and nobody signed its word that they passed (guards.policy.signatures: required)")
	}
	return errors.New("policy_framework.validation: it brings no tests, and its manifest does not say that they passed (sallyport policy build does)")
}
