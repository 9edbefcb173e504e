package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// SegmentFile returns the name of a segment's file.
func SegmentFile(n uint64) string { return fmt.Sprintf("%s%08d%s", segmentPrefix, n, segmentSuffix) }

// Segments returns the numbers of the segments in a directory, in order.
func Segments(dir string) ([]uint64, error) {
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	var out []uint64
	for _, e := range all {
		text, ok := strings.CutPrefix(e.Name(), segmentPrefix)
		if !ok {
			continue
		}
		text, _ = strings.CutSuffix(text, segmentSuffix)
		if n, err := strconv.ParseUint(text, 10, 63); err == nil && n > 0 && SegmentFile(n) == e.Name() {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// lock makes sure that one process at a time writes a directory. It ends with
// the process, however that ends.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("ledger: %s is in use by another gateway; each needs a directory of its own", dir)
		}
		return nil, fmt.Errorf("ledger: lock %s: %w", dir, err)
	}
	return f, nil
}

// syncDir makes a new file's name outlive a loss of power.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("ledger: sync %s: %w", dir, err)
	}
	return nil
}
