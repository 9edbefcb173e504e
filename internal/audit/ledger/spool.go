package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
	"syscall"

	"github.com/sallyport/sallyport/internal/audit/folder"
)

// Spool is the queue between those who decide and the one who writes. It lies
// in a file that is mapped into memory: putting a receipt in costs one copy and
// no system call, and what is in outlives the process, however it ends. Only a
// machine that loses power can lose it.
//
// Put may be called from any goroutine, everything else from one.
type Spool struct {
	mem  []byte // the whole file: a header, then the ring
	ring []byte
	wake chan struct{}

	mu   sync.Mutex
	head uint64 // offset of the oldest entry; offsets only grow
	tail uint64 // where the next one goes
	next uint64 // its number
	full bool   // something did not fit, and there was no room made since
	gone bool   // closed: the memory is not there any more

	read uint64 // how far the writer has read
	buf  []byte // the writer's
}

// The file: 8 bytes of magic, 8 bytes of head, 8 bytes of how many receipts were lost and
// not said to be, and from spoolHead on the ring.
// An entry: length, CRC, number, receipt; padded to 8 bytes.
const (
	spoolMagic = "slypool1"
	spoolHead  = 4096
	entryHead  = 16
)

var (
	crcTable = crc32.MakeTable(crc32.Castagnoli)

	// ErrFull means that there is no room at the moment.
	ErrFull  = errors.New("ledger: the receipt spool is full")
	errBig   = errors.New("ledger: a receipt is larger than the spool takes")
	errGone  = errors.New("ledger: the gateway is stopping, and keeps no receipts any more")
	errSpool = errors.New("ledger: the spool was changed by somebody else; restart the gateway")
)

// createSpool makes an empty spool; the first receipt put in gets the number
// next. All its blocks are written, because a mapped file without one would
// kill the process when the disk is full.
func createSpool(path string, size int, next uint64) (*Spool, error) {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("ledger: spool: %w", err)
	}
	defer f.Close()
	size = (size + spoolHead - 1) &^ (spoolHead - 1)
	if _, err := f.Write(make([]byte, spoolHead+size)); err != nil {
		_ = os.Remove(tmp)
		return nil, fmt.Errorf("ledger: spool: %w", err)
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, spoolHead+size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("ledger: spool: map %s: %w", tmp, err)
	}
	copy(mem, spoolMagic)
	if err := os.Rename(tmp, path); err != nil {
		_ = syscall.Munmap(mem)
		return nil, fmt.Errorf("ledger: spool: %w", err)
	}
	return &Spool{mem: mem, ring: mem[spoolHead:], wake: make(chan struct{}, 1), next: next}, nil
}

func (s *Spool) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	return syscall.Munmap(s.mem)
}

// Put appends a receipt, or returns ErrFull.
func (s *Spool) Put(receipt []byte) error {
	n := padded(len(receipt))
	if n > uint64(len(s.ring)/2) {
		return errBig
	}
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return errGone
	}
	if s.tail+n-s.head > uint64(len(s.ring)) {
		s.full = true
		s.mu.Unlock()
		return ErrFull
	}
	var h [entryHead]byte
	binary.LittleEndian.PutUint32(h[:], uint32(len(receipt)))
	binary.LittleEndian.PutUint64(h[8:], s.next)
	binary.LittleEndian.PutUint32(h[4:], sum(s.tail, h[:], receipt))
	s.copyIn(s.tail+entryHead, receipt)
	s.copyIn(s.tail, h[:])
	s.tail += n
	s.next++
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // it knows
	}
	return nil
}

func padded(n int) uint64 { return (entryHead + uint64(n) + 7) &^ 7 }

// sum covers the offset too, so that what an earlier lap left is no entry.
func sum(offset uint64, h, receipt []byte) uint32 {
	var at [8]byte
	binary.LittleEndian.PutUint64(at[:], offset)
	c := crc32.Update(crc32.Update(0, crcTable, at[:]), crcTable, h[:4])
	return crc32.Update(crc32.Update(c, crcTable, h[8:]), crcTable, receipt)
}

func (s *Spool) copyIn(offset uint64, b []byte) {
	at := offset % uint64(len(s.ring))
	n := copy(s.ring[at:], b)
	copy(s.ring, b[n:])
}

func copyOut(ring []byte, offset uint64, b []byte) {
	at := offset % uint64(len(ring))
	n := copy(b, ring[at:])
	copy(b[n:], ring)
}

// Lose notes a receipt that is not kept, so that it is said even if the process dies
// before it could.
func (s *Spool) Lose() { s.lost(func(have uint64) uint64 { return have + 1 }) }

// said takes back what the log says by now.
func (s *Spool) said(n uint64) {
	if n > 0 {
		s.lost(func(have uint64) uint64 { return have - min(have, n) })
	}
}

func (s *Spool) lost(change func(have uint64) uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone {
		at := s.mem[16:]
		binary.LittleEndian.PutUint64(at, change(binary.LittleEndian.Uint64(at)))
	}
}

// Wake tells that something was put in.
func (s *Spool) Wake() <-chan struct{} { return s.wake }

// Full reports whether receipts do not fit at the moment.
func (s *Spool) Full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full
}

// roomy reports whether little waits.
func (s *Spool) roomy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tail-s.head < uint64(len(s.ring)/4)
}

// each reads what was put in and not read before, until f has had enough. The
// receipt is f's until it returns. An error is for good.
func (s *Spool) each(f func(receipt []byte) (more bool)) error {
	s.mu.Lock()
	tail := s.tail
	s.mu.Unlock()
	for s.read < tail {
		_, receipt, n, ok := entry(s.ring, s.read, s.buf)
		if !ok {
			return errSpool
		}
		s.buf, s.read = receipt, s.read+n
		if !f(receipt) {
			return nil
		}
	}
	return nil
}

// release gives the room of what was read back.
func (s *Spool) release() {
	s.mu.Lock()
	if s.head != s.read {
		s.full = false
	}
	s.head = s.read
	binary.LittleEndian.PutUint64(s.mem[8:], s.head)
	s.mu.Unlock()
}

// entry reads the entry at offset into buf; ok is false when there is none.
func entry(ring []byte, offset uint64, buf []byte) (seq uint64, receipt []byte, n uint64, ok bool) {
	var h [entryHead]byte
	copyOut(ring, offset, h[:])
	size := uint64(binary.LittleEndian.Uint32(h[:]))
	if n = padded(int(size)); size == 0 || n > uint64(len(ring)) {
		return 0, buf, 0, false
	}
	if uint64(cap(buf)) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	copyOut(ring, offset+entryHead, buf)
	if binary.LittleEndian.Uint32(h[4:]) != sum(offset, h[:], buf) {
		return 0, buf, 0, false
	}
	return binary.LittleEndian.Uint64(h[8:]), buf, n, true
}

// leftover is a receipt that a process before this one did not write.
type leftover struct {
	seq     uint64
	receipt []byte
}

// salvage reads what a spool still holds, beginning after receipt seq, and how many
// receipts were lost that the log does not say were. A file that is no spool holds
// nothing.
func salvage(path string, seq uint64) (left []leftover, lost uint64, err error) {
	b, err := folder.Read(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, 0, nil
	case err != nil:
		return nil, 0, fmt.Errorf("ledger: spool: %w", err)
	}
	if len(b) > spoolHead && string(b[:8]) == spoolMagic {
		lost = binary.LittleEndian.Uint64(b[16:])
	}
	return leftovers(b, seq), lost, nil
}

func leftovers(b []byte, seq uint64) []leftover {
	if len(b) <= spoolHead || string(b[:8]) != spoolMagic {
		return nil
	}
	ring, at := b[spoolHead:], binary.LittleEndian.Uint64(b[8:])
	var out []leftover
	for last, end := uint64(0), at+uint64(len(ring)); at < end; {
		got, receipt, n, ok := entry(ring, at, nil)
		if !ok || last != 0 && got != last+1 {
			break
		}
		if last = got; got > seq {
			out = append(out, leftover{got, receipt})
		}
		at += n
	}
	return out
}
