package guard

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/mcp"
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
// cannot be built and every spec that breaks a rule, not just the first; names
// and reasons must be unique. Guards that are off are left out, unbuilt.
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
		if err := spec.Validate(); err != nil {
			errs = append(errs, err)
			continue
		}
		for _, r := range spec.Reasons {
			if owner, taken := owners[r.Reason]; taken {
				errs = append(errs, fmt.Errorf("guard: assemble: reason %q of %s belongs to %s", r.Reason, spec.Name, owner))
			}
			owners[r.Reason] = spec.Name
		}
		s := setting(spec.Name)
		if spec.Required && (s.Mode != Enforce || s.OnError == Allow) {
			errs = append(errs, fmt.Errorf("guards.%s: mode must be enforce and on_error deny: every other guard relies on this one", spec.Name))
			continue
		}
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
		if g == nil {
			continue
		}
		if w, ok := g.(Wanter); ok {
			spec.Wants = w.Wants()
		}
		m := Member{Spec: spec, Guard: g, Mode: s.Mode, OnError: s.OnError, Timeout: s.Timeout}
		if err := m.validate(); err != nil {
			errs = append(errs, fmt.Errorf("guards.%s: %w", spec.Name, err))
			continue
		}
		members = append(members, m)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return members, nil
}

// Validate reports what is wrong with a spec, whatever its configuration. Only
// a programmer can repair it.
func (s Spec) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("guard: spec %q: "+format, append([]any{s.Name}, args...)...))
	}
	if !isWord(s.Name) {
		bad("the name is not in snake_case")
	}
	if s.Build == nil {
		bad("there is no Build")
	}
	for _, r := range s.Reasons {
		switch {
		case !isWord(string(r.Reason)):
			bad("reason %q is not in snake_case", r.Reason)
		case r.Status != 200 && (r.Status < 400 || r.Status > 599):
			bad("reason %q: HTTP status %d does not refuse", r.Reason, r.Status)
		case !isOwnCode(r.Code):
			bad("reason %q: code %d is reserved by JSON-RPC and MCP", r.Reason, r.Code)
		case r.Text == "" || r.When == "":
			bad("reason %q lacks a text for the client or for the documentation", r.Reason)
		}
	}
	for _, w := range s.Wants {
		if i := strings.IndexByte(w.Method, '*'); w.Method == "" || i >= 0 && i != len(w.Method)-1 {
			bad("want %q is neither a method nor a prefix that ends in *", w.Method)
		}
	}
	return errors.Join(errs...)
}

// isOwnCode accepts what lies outside the range that JSON-RPC and MCP reserve,
// and the two codes of JSON-RPC by which a guard may hide a target or a method.
func isOwnCode(code int) bool {
	return code != 0 && (code < -32768 || code > -32000) || code == mcp.CodeMethodNotFound || code == mcp.CodeInvalidParams
}

func isWord(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}
