package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// Source is where a bundle is offered. One goroutine uses it.
type Source interface {
	// Fetch returns the archive (.tar.gz) that is offered, or nil if it is the
	// one that mark is of. It may wait for a change for up to wait, and says
	// whether it can.
	Fetch(ctx context.Context, mark string, wait time.Duration) (Offer, error)
}

// Offer is what a source offers.
type Offer struct {
	Archive []byte // nil: nothing new
	Mark    string // of what is offered
	Waits   bool   // the source waits for changes, so that nobody needs to pause between two questions
}

// Limits of a bundle.
const (
	MaxArchive  = 64 << 20  // bytes of an archive
	maxUnpacked = 128 << 20 // of all that is in it
)

// Local is a source on this machine: a directory, or an archive.
type Local struct{ Path string }

// Fetch implements Source.
func (l Local) Fetch(_ context.Context, mark string, _ time.Duration) (Offer, error) {
	info, err := os.Stat(l.Path)
	if err != nil {
		return Offer{}, fmt.Errorf("release: %w", err)
	}
	var data []byte
	if info.IsDir() {
		data, err = pack(os.DirFS(l.Path))
	} else {
		data, err = readArchive(l.Path)
	}
	if err != nil {
		return Offer{}, fmt.Errorf("release: %s: %w", l.Path, err)
	}
	o := Offer{Mark: sum(data)}
	if o.Mark != mark {
		o.Archive = data
	}
	return o, nil
}

func readArchive(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxArchive+1))
	if err == nil && len(data) > MaxArchive {
		err = errTooLarge
	}
	return data, err
}

// Embedded is a source that is part of this build, and cannot change.
type Embedded struct {
	FS   fs.FS
	mark string // once it was read
}

// Fetch implements Source.
func (e *Embedded) Fetch(_ context.Context, mark string, _ time.Duration) (Offer, error) {
	if e.mark != "" && e.mark == mark {
		return Offer{Mark: mark}, nil
	}
	data, err := pack(e.FS)
	if err != nil {
		return Offer{}, fmt.Errorf("release: %w", err)
	}
	e.mark = sum(data)
	return Offer{Archive: data, Mark: e.mark}, nil
}

var errTooLarge = fmt.Errorf("larger than the %d bytes that a bundle may have", MaxArchive)

// pack writes a directory as an archive, without folders whose names begin with
// a dot. The same files make the same archive.
func pack(dir fs.FS) ([]byte, error) {
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	to, total := tar.NewWriter(zip), int64(0)
	err = fs.WalkDir(dir, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		}
		info, err := fs.Stat(dir, path) // through links: that is how Kubernetes mounts files
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		if total += info.Size(); total > maxUnpacked {
			return errTooLarge
		}
		data, err := fs.ReadFile(dir, path)
		if err != nil {
			return err
		}
		if err := to.WriteHeader(&tar.Header{Name: "/" + path, Mode: 0o600, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		_, err = to.Write(data)
		return err
	})
	if err := errors.Join(err, to.Close(), zip.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Check refuses an archive that would unpack to more than a bundle may hold,
// before anybody reads it.
func Check(archive []byte) error { return check(archive, maxUnpacked) }

func check(archive []byte, most int64) error {
	if len(archive) > MaxArchive {
		return errTooLarge
	}
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return fmt.Errorf("is no archive (.tar.gz): %w", err)
	}
	n, err := io.Copy(io.Discard, io.LimitReader(z, most+1))
	switch {
	case err != nil:
		return fmt.Errorf("is no whole archive: %w", err)
	case n > most:
		return fmt.Errorf("unpacks to more than %d bytes", most)
	}
	return nil
}

// sum names an archive by its content.
func sum(archive []byte) string {
	sum := sha256.Sum256(archive)
	return hex.EncodeToString(sum[:])
}
