package ledger

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"sort"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/folder"
)

// checkpoints is the file of signed statements, and its copy elsewhere.
type checkpoints struct {
	file     *os.File
	off      int64
	number   uint64     // of the last one
	previous chain.Hash // hash of its line
	last     *chain.Checkpoint
	begun    []beginning // of the segments that they are about, in order
	keys     chain.Keys  // that are believed

	publish     string
	unpublished []byte // lines that the copy lacks
	torn        bool   // the copy may end with half a line
}

// beginning is the first checkpoint about a segment. All segments before it were
// written by then.
type beginning struct {
	segment uint64
	at      time.Time
	seq     uint64 // the last receipt that the checkpoint before it was about
}

// believes reports whether a checkpoint was signed with a key that is known.
func (c *checkpoints) believes(p *chain.Checkpoint) bool {
	pub, known := c.keys[p.Key]
	return known && p.Signed(pub)
}

// follow makes p the last checkpoint. When a segment was begun it tells only if believed
// says yes: whoever can write the file can sign with a key of his own, and make young
// segments old.
func (c *checkpoints) follow(p *chain.Checkpoint, believed func(*chain.Checkpoint) bool) {
	if n := len(c.begun); (n == 0 || c.begun[n-1].segment < p.Segment) && believed(p) {
		b := beginning{segment: p.Segment, at: p.Time}
		if c.last != nil {
			b.seq = c.last.Seq
		}
		c.begun = append(c.begun, b)
	}
	c.number, c.last = p.Number, p
}

// written returns by when a segment was written to its end, and its last receipt. Only
// what is signed, or chained to what is, tells: the lines themselves somebody can have
// made older than they are.
func (c *checkpoints) written(segment uint64) (at time.Time, seq uint64, ok bool) {
	i := sort.Search(len(c.begun), func(i int) bool { return c.begun[i].segment > segment })
	if i == len(c.begun) {
		return at, 0, false
	}
	return c.begun[i].at, c.begun[i].seq, true
}

// openCheckpoints reads what is there, and returns what is wrong with it. Half
// a line at the end, which a killed process leaves, is cut off.
func openCheckpoints(path string, o *Options) (c *checkpoints, trouble string, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600) // what a link leads to is not ours to cut
	if err != nil {
		return nil, "", fmt.Errorf("ledger: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	all, err := folder.Read(path)
	if err != nil {
		return nil, "", fmt.Errorf("ledger: %w", err)
	}
	whole := all[:bytes.LastIndexByte(all, '\n')+1]
	c = &checkpoints{file: f, off: int64(len(whole)), publish: o.Publish, keys: o.Trust.With(o.Key.Public().(ed25519.PublicKey))}
	if err := f.Truncate(c.off); err != nil {
		return nil, "", fmt.Errorf("ledger: %w", err)
	}
	for line := range bytes.Lines(whole) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		p, err := chain.ParseCheckpoint(line)
		switch {
		case err != nil:
			trouble = fmt.Sprintf("checkpoint %d cannot be read", c.number+1)
			c.number++
		case p.Number != c.number+1 || p.Previous != c.previous:
			trouble = fmt.Sprintf("checkpoint %d does not follow the one before it", p.Number)
			c.follow(p, c.believes)
		default:
			c.follow(p, c.believes)
		}
		c.previous = chain.LineHash(line)
	}
	if p := c.last; p != nil && c.keys[p.Key] != nil && !c.believes(p) { // and with it all that are before it
		trouble = fmt.Sprintf("checkpoint %d was not signed with the key that it names", p.Number)
	}
	if c.publish != "" {
		if why := c.compare(whole); why != "" {
			trouble = why
		}
	}
	return c, trouble, nil
}

// compare finds what the copy lacks. It returns what the copy has and the
// directory does not.
func (c *checkpoints) compare(own []byte) (trouble string) {
	copied, err := folder.ReadNamed(c.publish)
	if err != nil {
		c.unpublished = own // publishing tells what is wrong with the place
		return ""
	}
	c.torn = len(copied) > 0 && copied[len(copied)-1] != '\n'
	for line := range bytes.Lines(copied) {
		switch {
		case bytes.HasPrefix(own, line) && line[len(line)-1] == '\n':
			own = own[len(line):]
		case bytes.HasPrefix(own, bytes.TrimSuffix(line, []byte("\n"))): // half of one, that a failed write left
		default:
			return "a published checkpoint is not in the directory"
		}
	}
	c.unpublished = own
	return ""
}

// add signs and writes the next checkpoint.
func (c *checkpoints) add(p chain.Checkpoint, o *Options) error {
	p.Number, p.Previous = c.number+1, c.previous
	line, err := p.Sign(o.Key)
	if err != nil {
		return err
	}
	if _, err := c.file.WriteAt(line, c.off); err != nil {
		return fmt.Errorf("ledger: checkpoint: %w", err)
	}
	if err := c.file.Sync(); err != nil {
		return fmt.Errorf("ledger: checkpoint: %w", err)
	}
	c.off += int64(len(line))
	c.follow(&p, func(*chain.Checkpoint) bool { return true }) // it was just signed
	c.previous = chain.LineHash(line[:len(line)-1])
	if c.publish != "" {
		c.unpublished = append(c.unpublished, line...)
	}
	return nil
}

// copy brings the second copy up to date. It is opened anew each time, so that
// a place that was gone is found again, and only ever appended to.
func (c *checkpoints) copy() error {
	if len(c.unpublished) == 0 {
		return nil
	}
	f, err := os.OpenFile(c.publish, os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NONBLOCK, 0o600) // nobody waits for a pipe
	if err != nil {
		return fmt.Errorf("ledger: publish checkpoints: %w", err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return fmt.Errorf("ledger: publish checkpoints: %s: %w", c.publish, folder.ErrIrregular)
	}
	text := c.unpublished
	if c.torn {
		text = append([]byte("\n"), text...)
	}
	n, err := f.Write(text)
	if n > 0 {
		c.torn = err != nil
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("ledger: publish checkpoints: %w", err)
	}
	c.unpublished = nil
	return nil
}
