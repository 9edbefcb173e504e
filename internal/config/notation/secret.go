package notation

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// SecretRef says where a secret is; configuration never holds one itself.
type SecretRef struct {
	Kind string // "env" or "file"
	Name string // variable or absolute path
}

const secretPattern = `env:[A-Za-z_][A-Za-z0-9_]{0,254}|file:/[^\n\r]+`

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,254}$`)

// Notation describes references.
func (SecretRef) Notation() Notation {
	return Notation{
		Name:     "reference to a secret",
		Pattern:  `^(` + secretPattern + `)$`,
		Allowed:  `env:NAME for an environment variable or file:/path for a file`,
		Examples: []string{"env:API_TOKEN", "file:/run/secrets/token"},
	}
}

// UnmarshalText reads "env:NAME" or "file:/path". Its error does not repeat the
// text, which may be a secret that somebody pasted.
func (r *SecretRef) UnmarshalText(text []byte) error {
	kind, name, _ := strings.Cut(string(text), ":")
	switch {
	case kind == "vault":
		return errors.New("vault: references are not available in this build; write " + r.Notation().Allowed)
	case kind == "env" && envName.MatchString(name):
	case kind == "file" && strings.HasPrefix(name, "/") && len(name) > 1 && len(name) <= 4096 && !strings.ContainsAny(name, "\x00\n\r"):
		name = filepath.Clean(name)
	case kind == "file" && name != "" && !strings.HasPrefix(name, "/"):
		return errors.New("is a file by a relative path; a reference has an absolute one, such as file:/run/secrets/token")
	default:
		return errors.New("is not a reference to a secret, and secrets do not belong into configuration; write " + r.Notation().Allowed)
	}
	*r = SecretRef{kind, name}
	return nil
}

// MarshalText writes the reference, which is not secret.
func (r SecretRef) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String returns the reference, or "" when it is not set.
func (r SecretRef) String() string {
	if r.Kind == "" {
		return ""
	}
	return r.Kind + ":" + r.Name
}

// LogValue logs the reference and never what it refers to.
func (r SecretRef) LogValue() slog.Value { return slog.StringValue(r.String()) }

const maxSecret = 64 << 10

// Resolve reads the secret. One newline at the end of a file does not belong
// to it. An empty secret is an error: it would look like a wrong password.
func (r SecretRef) Resolve() (Secret, error) {
	var value string
	switch r.Kind {
	case "env":
		value = os.Getenv(r.Name)
	case "file":
		info, err := os.Stat(r.Name)
		if err != nil {
			return Secret{}, fmt.Errorf("notation: resolve %s: %w", r, err)
		}
		if !info.Mode().IsRegular() || info.Size() > maxSecret {
			return Secret{}, fmt.Errorf("notation: resolve %s: not a regular file of at most 64 KiB", r)
		}
		b, err := os.ReadFile(r.Name)
		if err != nil {
			return Secret{}, fmt.Errorf("notation: resolve %s: %w", r, err)
		}
		value = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	default:
		return Secret{}, errors.New("notation: resolve: no reference is set")
	}
	if value == "" {
		return Secret{}, fmt.Errorf("notation: resolve %s: is empty or not set", r)
	}
	return Secret{value}, nil
}

const hidden = "[hidden]"

// Secret is a resolved secret. It shows itself only to Reveal.
type Secret struct{ value string }

// Reveal returns the secret.
func (s Secret) Reveal() string { return s.value }

// String hides the secret.
func (Secret) String() string { return hidden }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return hidden }

// Format hides the secret from every verb, %x included.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue hides the secret from logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the secret from JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
