package h1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Next returns the next piece of the current body as soon as any of it is
// there, without waiting for more. The piece is valid until the next read. At
// the end of the body the error is [io.EOF].
func (c *Conn) Next() ([]byte, error) {
	if c.body.done {
		return nil, io.EOF
	}
	if c.body.chunked && c.body.remaining == 0 {
		if err := c.nextChunk(); err != nil {
			return nil, err
		}
		if c.body.done {
			return nil, io.EOF
		}
	}
	if c.a == c.b {
		if err := c.fill(); err != nil {
			if c.body.untilEOF && errors.Is(err, io.EOF) {
				c.body.done = true
				return nil, io.EOF
			}
			return nil, unexpected(err)
		}
	}
	n := c.b - c.a
	if !c.body.untilEOF {
		n = int(min(int64(n), c.body.remaining))
		c.body.remaining -= int64(n)
		c.body.done = !c.body.chunked && c.body.remaining == 0
	}
	piece := c.buf[c.a : c.a+n]
	c.a += n
	return piece, nil
}

// ReadBody appends the rest of the current body to dst.
func (c *Conn) ReadBody(dst []byte) ([]byte, error) {
	for {
		piece, err := c.Next()
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
		if len(dst)+len(piece) > maxBody {
			return dst, fmt.Errorf("%w: body of more than %d bytes", ErrTooLarge, maxBody)
		}
		dst = append(dst, piece...)
	}
}

// nextChunk reads a chunk's size, and the trailers after the last one.
func (c *Conn) nextChunk() error {
	if !c.body.first {
		if line, err := c.line(); err != nil {
			return err
		} else if len(line) != 0 {
			return fmt.Errorf("%w: chunk is longer than its size", ErrMalformed)
		}
	}
	c.body.first = false
	line, err := c.line()
	if err != nil {
		return err
	}
	if i := bytes.IndexByte(line, ';'); i >= 0 {
		line = line[:i]
	}
	size, ok := hex(bytes.Trim(line, " \t"))
	if !ok || size > maxBody {
		return fmt.Errorf("%w: chunk size %q", ErrMalformed, cut(line))
	}
	if size > 0 {
		c.body.remaining = size
		return nil
	}
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			c.body.done = true
			return nil
		}
	}
}

// line consumes one line and returns it without its end.
func (c *Conn) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(c.buf[c.a:c.b], '\n'); i >= 0 {
			line := c.buf[c.a : c.a+i]
			c.a += i + 1
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		if c.b-c.a > 4096 {
			return nil, fmt.Errorf("%w: chunk line of more than 4096 bytes", ErrMalformed)
		}
		if err := c.fill(); err != nil {
			return nil, unexpected(err)
		}
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func hex(s []byte) (int64, bool) {
	if len(s) == 0 || len(s) > 8 {
		return 0, false
	}
	var n int64
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | int64(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | int64(c-'a'+10)
		case c >= 'A' && c <= 'F':
			n = n<<4 | int64(c-'A'+10)
		default:
			return 0, false
		}
	}
	return n, true
}
