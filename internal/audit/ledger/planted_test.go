package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/internal/audit/folder"
)

// Whoever can write the directory must not keep the gateway from starting, nor have
// it cut a file that he cannot write himself.
func TestNothingThatIsPlantedInTheDirectoryIsWaitedForOrWrittenThrough(t *testing.T) {
	victim := filepath.Join(t.TempDir(), "victim")
	const text = "whole line\nno line end"
	for what, plant := range map[string]func(string) error{
		"a pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a link": func(path string) error { return os.Symlink(victim, path) },
	} {
		for _, name := range []string{SegmentFile(1), CheckpointFile, spoolFile} {
			o := options(t)
			if err := errors.Join(os.MkdirAll(o.Directory, 0o700), os.WriteFile(victim, []byte(text), 0o600), plant(filepath.Join(o.Directory, name))); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(o); !errors.Is(err, folder.ErrIrregular) && !errors.Is(err, syscall.ELOOP) {
				t.Errorf("%s in the place of %s: %v", what, name, err)
			}
			if got, err := os.ReadFile(victim); err != nil || string(got) != text {
				t.Errorf("%s in the place of %s: what it leads to is now %q, %v", what, name, got, err)
			}
		}
	}
}

// Nobody reads the pipe, so that whoever opens it to write waits.
func TestAPipeInThePlaceOfPublishedCheckpointsHoldsNothingUp(t *testing.T) {
	o := options(t)
	o.Publish = filepath.Join(t.TempDir(), "published")
	if err := syscall.Mkfifo(o.Publish, 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, o)
	if l.private == nil {
		t.Error("checkpoints pass for published")
	}
	l.shut()
	r, err := os.OpenFile(o.Publish, os.O_RDONLY|syscall.O_NONBLOCK, 0) // and now somebody does
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if l = open(t, o); !errors.Is(l.private, folder.ErrIrregular) {
		t.Errorf("%v", l.private)
	}
	l.shut()
}
