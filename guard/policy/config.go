package policy

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Config is the user's "guards.policy" section: the details of what
// gateway.authorization demands.
type Config struct {
	Hide        bool          `yaml:"hide" doc:"Answer for a target or server that the caller may not use as for one that does not exist"`
	Bundle      string        `yaml:"bundle" doc:"OPA bundle to decide by: a directory or an archive (.tar.gz), relative to this file; the default bundle of this build when absent"`
	Signatures  string        `yaml:"signatures" oneof:"required|optional" doc:"Whether the bundle must be signed by one of keys; optional is for development, and still refuses a wrong signature where keys are given"`
	Keys        []Key         `yaml:"keys" doc:"Public keys that bundles may be signed with"`
	Poll        time.Duration `yaml:"poll" min:"100ms" max:"1h" doc:"How often the bundle is looked at for a new release"`
	Deadline    time.Duration `yaml:"deadline" min:"1ms" max:"10s" doc:"How long one evaluation may take; what takes longer is refused"`
	Constraints Signing       `yaml:"constraints" doc:"How the constraints that a policy puts on a call are signed for the server"`
}

// Key is a public key for bundles.
type Key struct {
	ID        string `yaml:"id" required:"true" doc:"Key id that signatures name"`
	Algorithm string `yaml:"algorithm" oneof:"RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA" required:"true" doc:"Signature algorithm"`
	Key       string `yaml:"key" required:"true" doc:"Reference to the PEM public key: env:NAME or file:/path"`
}

// Signing says how constraints are signed.
type Signing struct {
	ID       string        `yaml:"id" doc:"Key id that the signature names"`
	Key      string        `yaml:"key" doc:"Reference to the PEM private key (Ed25519): env:NAME or file:/path; without it a call with constraints is refused"`
	Lifetime time.Duration `yaml:"lifetime" min:"1s" max:"5m" doc:"How long a signature is good"`
}

// Values of Signatures.
const (
	SignaturesRequired = "required"
	SignaturesOptional = "optional"
)

// DefaultConfig returns what holds where a configuration says nothing.
func DefaultConfig() Config {
	return Config{
		Hide: true, Signatures: SignaturesRequired, Poll: 5 * time.Second, Deadline: 500 * time.Millisecond,
		Constraints: Signing{Lifetime: 30 * time.Second},
	}
}

// Validate reports every setting that is wrong by itself.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Bundle != "" && c.Signatures == SignaturesRequired && len(c.Keys) == 0 {
		bad("bundle: needs keys to verify it with; for development, signatures: optional does without")
	}
	if strings.Contains(c.Bundle, "://") {
		bad("bundle: %q: bundles are read from a directory or a file in this build", c.Bundle)
	}
	seen := make(map[string]bool)
	for i, k := range c.Keys {
		if seen[k.ID] {
			bad("keys[%d]: id: %q is listed twice", i, k.ID)
		}
		seen[k.ID] = true
	}
	if c.Constraints.ID != "" && c.Constraints.Key == "" {
		bad("constraints: id: has no key")
	}
	return errors.Join(errs...)
}
