package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/sallyport/sallyport/internal/audit/chain"
)

// checkpoints is the file of signed statements, and its copy elsewhere.
type checkpoints struct {
	file     *os.File
	off      int64
	number   uint64     // of the last one
	previous chain.Hash // hash of its line
	last     *chain.Checkpoint

	publish     string
	unpublished []byte // lines that the copy lacks
	torn        bool   // the copy may end with half a line
}

// openCheckpoints reads what is there, and returns what is wrong with it. Half
// a line at the end, which a killed process leaves, is cut off.
func openCheckpoints(path, publish string) (c *checkpoints, trouble string, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, "", fmt.Errorf("ledger: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	all, err := os.ReadFile(path)
	if err != nil {
		return nil, "", fmt.Errorf("ledger: %w", err)
	}
	whole := all[:bytes.LastIndexByte(all, '\n')+1]
	c = &checkpoints{file: f, off: int64(len(whole)), publish: publish}
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
			c.number, c.last = p.Number, p
		default:
			c.number, c.last = p.Number, p
		}
		c.previous = chain.LineHash(line)
	}
	if publish != "" {
		if why := c.compare(whole); why != "" {
			trouble = why
		}
	}
	return c, trouble, nil
}

// compare finds what the copy lacks. It returns what the copy has and the
// directory does not.
func (c *checkpoints) compare(own []byte) (trouble string) {
	copied, err := os.ReadFile(c.publish)
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
	c.number, c.last, c.previous = p.Number, &p, chain.LineHash(line[:len(line)-1])
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
	f, err := os.OpenFile(c.publish, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("ledger: publish checkpoints: %w", err)
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
