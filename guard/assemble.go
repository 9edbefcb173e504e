package guard

import (
	"errors"
	"fmt"
	"time"
)

// Setting is what configuration says about one guard beside its own section.
type Setting struct {
	Mode    Mode
	OnError Action        // Deny or Allow
	Timeout time.Duration // limit of a pending verdict; 0 means DefaultTimeout
	Decode  func(config any) error
}

// DefaultTimeout is how long a pending verdict may take unless configured.
const DefaultTimeout = time.Second

// Assemble builds the guards of specs in order. It reports every guard that
// cannot be built, not just the first; names and reasons must be unique.
func Assemble(specs []Spec, setting func(name string) Setting) ([]Member, error) {
	var (
		members []Member
		errs    []error
		names   = make(map[string]bool)
		owners  = make(map[Reason]string)
	)
	for _, r := range CoreReasons() {
		owners[r.Reason] = "the core"
	}
	for _, spec := range specs {
		if names[spec.Name] {
			errs = append(errs, fmt.Errorf("guard: assemble: two guards are called %q", spec.Name))
		}
		names[spec.Name] = true
		for _, r := range spec.Reasons {
			if owner, taken := owners[r.Reason]; taken {
				errs = append(errs, fmt.Errorf("guard: assemble: reason %q of %s belongs to %s", r.Reason, spec.Name, owner))
			}
			owners[r.Reason] = spec.Name
		}
		s := setting(spec.Name)
		if s.Mode == Off {
			continue
		}
		if s.Timeout <= 0 {
			s.Timeout = DefaultTimeout
		}
		g, err := spec.Build(s.Decode)
		if err != nil {
			errs = append(errs, fmt.Errorf("guards.%s: %w", spec.Name, err))
			continue
		}
		members = append(members, Member{Spec: spec, Guard: g, Mode: s.Mode, OnError: s.OnError, Timeout: s.Timeout})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return members, nil
}
