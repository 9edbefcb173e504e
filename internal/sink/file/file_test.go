package file

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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

// An operator's logrotate, or an attacker who can move or empty the file, must not
// make what is delivered afterwards vanish with the old file.
func TestAFileThatSomebodyMovesRemovesOrCutsIsBegunAnew(t *testing.T) {
	for name, do := range map[string]func(path string) error{
		"moved":   func(path string) error { return os.Rename(path, path+".elsewhere") },
		"removed": os.Remove,
		"cut":     func(path string) error { return os.Truncate(path, 0) },
		"replaced": func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.WriteFile(path, nil, 0o600)
		},
	} {
		path := filepath.Join(t.TempDir(), "out.jsonl")
		s, err := Open(Options{Path: path, Size: 1000, Keep: 2})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{`{"a":1}`, `{"b":2}`} {
			if _, err := s.Deliver(context.Background(), lines(text)); err != nil {
				t.Fatal(err)
			}
			if text == `{"a":1}` {
				if err := do(path); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := read(t, path); got != "{\"b\":2}\n" {
			t.Errorf("%s: %q", name, got)
		}
		_ = s.Close()
	}
}

// A process without free file descriptors puts its file aside and cannot begin a new
// one. Each further try must not push what was put aside out of its end.
func TestARotationThatCannotGoOnPushesNothingOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	s, err := Open(Options{Path: path, Size: 20, Keep: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, text := range []string{"aaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbb", "ccccccccccccccc"} {
		if _, err := s.Deliver(context.Background(), lines(text)); err != nil {
			t.Fatal(err)
		}
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	var broken error
	for range 5 {
		_, broken = s.Deliver(context.Background(), lines("ddddddddddddddd"))
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if broken == nil {
		t.Fatal("a file was opened without descriptors")
	}
	if _, err := s.Deliver(context.Background(), lines("ddddddddddddddd")); err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, name := range []string{".3", ".2", ".1", ""} {
		if b, err := os.ReadFile(path + name); err == nil {
			got += string(b[0])
		}
	}
	if got != "abcd" {
		t.Errorf("left of abcd: %q", got)
	}
}
