package file

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/audit/deliver"
)

func lines(texts ...string) (out []*deliver.Item) {
	for _, t := range texts {
		out = append(out, &deliver.Item{Body: []byte(t)})
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHalfALineIsCutOffAndWrittenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	if err := os.WriteFile(path, []byte("{\"a\":1}\n{\"b\""), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{Path: path, Size: 1 << 20, Keep: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Deliver(context.Background(), lines(`{"b":2}`, `{"c":3}`)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n" {
		t.Errorf("%q", got)
	}
}

func TestFilesAreRotatedAndKeptAsManyAsSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	s, err := Open(Options{Path: path, Size: 20, Keep: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, text := range []string{"aaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbb", "ccccccccccccccc", "ddddddddddddddd"} {
		if _, err := s.Deliver(context.Background(), lines(text)); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, path)[:1] + read(t, path+".1")[:1] + read(t, path+".2")[:1]; got != "dcb" {
		t.Errorf("%q", got)
	}
	if _, err := os.Stat(path + ".3"); !errors.Is(err, os.ErrNotExist) {
		t.Error("a fourth file", err)
	}
}

func TestADeviceIsNoFile(t *testing.T) {
	if _, err := Open(Options{Path: os.DevNull, Size: 1, Keep: 1}); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Error(err)
	}
}

func TestStreams(t *testing.T) {
	var b bytes.Buffer
	s, err := Open(Options{Stream: &b})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Deliver(context.Background(), lines("a", "b")); err != nil || b.String() != "a\nb\n" {
		t.Error(b.String(), err)
	}
}
