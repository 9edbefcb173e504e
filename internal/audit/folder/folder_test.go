package folder_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/internal/audit/folder"
)

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		plant func(path string) error
		open  error // nil if it opens
		named error
	}{
		"a file":                       {func(p string) error { return os.WriteFile(p, []byte("x"), 0o600) }, nil, nil},
		"a pipe that nobody writes to": {func(p string) error { return syscall.Mkfifo(p, 0o600) }, folder.ErrIrregular, folder.ErrIrregular},
		"a directory":                  {func(p string) error { return os.Mkdir(p, 0o700) }, folder.ErrIrregular, folder.ErrIrregular},
		"a link to a file":             {func(p string) error { return os.Symlink(outside, p) }, folder.ErrIrregular, nil},
		"a link to a device":           {func(p string) error { return os.Symlink("/dev/zero", p) }, folder.ErrIrregular, folder.ErrIrregular},
		"a link to itself":             {func(p string) error { return os.Symlink(p, p) }, folder.ErrIrregular, folder.ErrIrregular},
		"a socket": {func(p string) error {
			l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", p)
			if err == nil {
				t.Cleanup(func() { _ = l.Close() })
			}
			return err
		}, folder.ErrIrregular, folder.ErrIrregular},
		"nothing": {func(string) error { return nil }, fs.ErrNotExist, fs.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			if err := tt.plant(path); err != nil {
				t.Fatal(err)
			}
			for how, one := range map[string]struct {
				read func(string) ([]byte, error)
				want error
			}{"in a directory": {folder.Read, tt.open}, "named": {folder.ReadNamed, tt.named}} {
				text, err := one.read(path)
				if !errors.Is(err, one.want) || one.want == nil && string(text) != "x" {
					t.Errorf("%s: %q, %v; want %v", how, text, err, one.want)
				}
			}
		})
	}
}
