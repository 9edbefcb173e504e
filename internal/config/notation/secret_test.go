package notation_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/config/notation"
)

func TestAPastedSecretIsRefusedAndNotRepeated(t *testing.T) {
	const pasted = "sk-live-0123456789abcdef"
	for _, text := range []string{pasted, "token:" + pasted, "env:" + pasted, "vault:" + pasted, "file:" + pasted} {
		err := new(notation.SecretRef).UnmarshalText([]byte(text))
		if err == nil || strings.Contains(err.Error(), pasted) {
			t.Errorf("%q gives the error %v, want one that does not repeat it", text, err)
		}
	}
}

func TestAReferenceResolves(t *testing.T) {
	t.Setenv("SALLYPORT_TEST_SECRET", "s3cret")
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"env:SALLYPORT_TEST_SECRET", "file:" + path} {
		var ref notation.SecretRef
		if err := ref.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if s, err := ref.Resolve(); err != nil || s.Reveal() != "s3cret" {
			t.Errorf("%s resolves to %q (%v)", text, s.Reveal(), err)
		}
	}
}

func TestAReferenceToNothingIsAnError(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []notation.SecretRef{{}, {"env", "SALLYPORT_TEST_UNSET"}, {"file", "/nonexistent"}, {"file", empty}, {"file", t.TempDir()}} {
		if _, err := ref.Resolve(); err == nil {
			t.Errorf("%q resolves", ref)
		}
	}
}

func TestASecretShowsItselfNowhere(t *testing.T) {
	t.Setenv("SALLYPORT_TEST_SECRET", "s3cret")
	s, err := notation.SecretRef{Kind: "env", Name: "SALLYPORT_TEST_SECRET"}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "inside", struct{ S notation.Secret }{s})
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "inside", struct{ S notation.Secret }{s})
	asJSON, err := json.Marshal(struct{ S notation.Secret }{s})
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{log.String(), string(asJSON), s.String(), fmt.Sprintf("%v %+v %#v %s %q %x %d", s, s, s, s, s, s, s), fmt.Sprintf("%+v", struct{ S notation.Secret }{s})} {
		if strings.Contains(out, "s3cret") || strings.Contains(out, "733363726574") {
			t.Errorf("the secret shows in %q", out)
		}
	}
}
