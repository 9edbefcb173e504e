// Package h1 is a small HTTP/1.1 reader for both ends of a connection.
//
// The load generator shares its machine with what it measures, so that what it
// costs itself is taken from the result. net/http spends two goroutines, a dozen
// allocations and some 20 µs per call on generality that a load test does not
// use. This package reads messages from one buffer without allocating. It is for
// the bench only: it trusts its peer more than a server on the internet may.
package h1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Errors that callers tell apart.
var (
	ErrMalformed = errors.New("h1: malformed message")
	ErrTooLarge  = errors.New("h1: message too large")
)

const (
	minBuffer = 16 << 10
	maxHead   = 64 << 10 // start line and headers together
	maxBody   = 64 << 20
)

// Conn reads the messages of one connection, one after the other: a head, then
// its body to the end.
type Conn struct {
	r    io.Reader
	buf  []byte
	a, b int // buf[a:b] is read but not consumed
	body body
}

// body is how far the current body has come.
type body struct {
	chunked   bool
	untilEOF  bool
	remaining int64 // of the body, or of the current chunk
	first     bool  // no chunk has begun yet
	done      bool
}

// NewConn returns a reader of r.
func NewConn(r io.Reader) *Conn {
	return &Conn{r: r, buf: make([]byte, minBuffer), body: body{done: true}}
}

// Head is the start line of a message, and what its headers say about framing.
// Its slices are valid until the next read.
type Head struct {
	Method, Path []byte // of a request
	Status       int    // of a response
	Close        bool   // the sender closes the connection after this message
}

// ReadRequest reads the head of the next request. Header is called for each
// header, with a name in the case it came in and a value without outer space.
func (c *Conn) ReadRequest(h *Head, header func(name, value []byte)) error {
	line, rest, err := c.head()
	if err != nil {
		return err
	}
	first, second := bytes.IndexByte(line, ' '), bytes.LastIndexByte(line, ' ')
	if first <= 0 || second <= first+1 || !bytes.HasPrefix(line[second+1:], []byte("HTTP/1.")) {
		return fmt.Errorf("%w: request line %q", ErrMalformed, cut(line))
	}
	*h = Head{Method: line[:first], Path: line[first+1 : second], Close: line[len(line)-1] == '0'}
	c.body = body{}
	if err := c.headers(rest, h, header); err != nil {
		return err
	}
	if !c.body.chunked && c.body.remaining < 0 {
		c.body.remaining = 0 // a request without framing has no body
	}
	c.body.done = !c.body.chunked && c.body.remaining == 0
	return nil
}

// ReadResponse reads the head of the next response that is not interim. It
// assumes that the request was not a HEAD.
func (c *Conn) ReadResponse(h *Head, header func(name, value []byte)) error {
	for {
		line, rest, err := c.head()
		if err != nil {
			return err
		}
		if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
			return fmt.Errorf("%w: status line %q", ErrMalformed, cut(line))
		}
		status, ok := number(line[9:12])
		if !ok {
			return fmt.Errorf("%w: status line %q", ErrMalformed, cut(line))
		}
		*h = Head{Status: int(status), Close: line[7] == '0'}
		c.body = body{}
		if err := c.headers(rest, h, header); err != nil {
			return err
		}
		switch {
		case status < 200:
			c.body = body{done: true}
			continue
		case status == 204 || status == 304:
			c.body = body{done: true}
		case !c.body.chunked && c.body.remaining < 0:
			c.body = body{untilEOF: true}
			h.Close = true
		default:
			c.body.done = !c.body.chunked && c.body.remaining == 0
		}
		return nil
	}
}

// head returns the start line and the header lines of the next message, and
// consumes them.
func (c *Conn) head() (line, rest []byte, err error) {
	if !c.body.done {
		return nil, nil, errors.New("h1: the previous body was not read to its end")
	}
	searched := 0
	for {
		// Bodies are framed, so an empty line in front can only be slack.
		for c.a < c.b && searched == 0 && (c.buf[c.a] == '\r' || c.buf[c.a] == '\n') {
			c.a++
		}
		if i := bytes.Index(c.buf[c.a+searched:c.b], []byte("\r\n\r\n")); i >= 0 {
			whole := c.buf[c.a : c.a+searched+i+2]
			c.a += searched + i + 4
			end := bytes.IndexByte(whole, '\r')
			return whole[:end], whole[end+2:], nil
		}
		searched = max(0, c.b-c.a-3)
		if c.b-c.a >= maxHead {
			return nil, nil, fmt.Errorf("%w: head of more than %d bytes", ErrTooLarge, maxHead)
		}
		clean := c.a == c.b
		if err := c.fill(); err != nil {
			if errors.Is(err, io.EOF) && !clean {
				err = io.ErrUnexpectedEOF
			}
			return nil, nil, err
		}
	}
}

// headers visits the header lines and keeps what they say about framing.
func (c *Conn) headers(lines []byte, h *Head, visit func(name, value []byte)) error {
	c.body.remaining = -1
	for len(lines) > 0 {
		end := bytes.IndexByte(lines, '\n')
		line := bytes.TrimSuffix(lines[:end], []byte("\r"))
		lines = lines[end+1:]
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 {
			return fmt.Errorf("%w: header line %q", ErrMalformed, cut(line))
		}
		name, value := line[:colon], bytes.Trim(line[colon+1:], " \t")
		switch {
		case Is(name, "content-length"):
			n, ok := number(value)
			if !ok || n > maxBody {
				return fmt.Errorf("%w: content-length %q", ErrMalformed, cut(value))
			}
			c.body.remaining = n
		case Is(name, "transfer-encoding"):
			if !Is(value, "chunked") {
				return fmt.Errorf("%w: transfer-encoding %q", ErrMalformed, cut(value))
			}
			c.body.chunked, c.body.first = true, true
		case Is(name, "connection"):
			h.Close = Is(value, "close") || h.Close && !Is(value, "keep-alive")
		}
		if visit != nil {
			visit(name, value)
		}
	}
	if c.body.chunked {
		c.body.remaining = 0
	}
	return nil
}

// fill reads more into the buffer.
func (c *Conn) fill() error {
	switch {
	case c.a == c.b:
		c.a, c.b = 0, 0
	case c.b == len(c.buf) && c.a > 0:
		c.b = copy(c.buf, c.buf[c.a:c.b])
		c.a = 0
	}
	if c.b == len(c.buf) {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	n, err := c.r.Read(c.buf[c.b:])
	c.b += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// Is reports whether name equals lower, which must be in lower case, without
// regard to case.
func Is(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func number(s []byte) (int64, bool) {
	if len(s) == 0 || len(s) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}

// cut keeps error texts short.
func cut(b []byte) []byte { return b[:min(len(b), 80)] }
