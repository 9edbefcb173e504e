// Package client is an MCP client for load tests: one connection, one call at a
// time, built from bytes prepared beforehand, and every reply checked.
//
// It speaks the session era of streamable HTTP (initialize and initialized once
// per connection, then Mcp-Session-Id and MCP-Protocol-Version on each request)
// and the stateless era (version, method and name in headers, _meta in params).
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/bench/h1"
)

// Config says where to and how.
type Config struct {
	URL      string   // http or https
	Revision string   // protocol revision: "2025-03-26" to "2026-07-28"
	Headers  []string // more header lines, as "Name: value"
	TLS      *tls.Config
	Timeout  time.Duration // for one call, and between two events of a stream; must be positive
}

// Modern is the first revision of the stateless era.
const Modern = "2026-07-28"

// Error is a call that failed. Kinds are a small set, made for counting:
// "dial", "timeout", "closed", "malformed_http", "bad_reply", "wrong_id",
// "wrong_content", "tool_error", "http_503", "rpc_-32602", "http_429_rpc_-31429".
type Error struct {
	Kind string
	Lost bool // the connection, or its session, is of no use any more
	Err  error
}

func (e *Error) Error() string { return e.Kind + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Kind returns the kind of a call's error, "failed" for one that is no [Error].
func Kind(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return "failed"
}

// Lost reports whether a call's error leaves nothing to make another one with.
func Lost(err error) bool {
	var e *Error
	return !errors.As(err, &e) || e.Lost
}

// Conn is one client. It is not safe for concurrent use, except for Abort.
type Conn struct {
	cfg  Config
	at   *url.URL
	dial net.Dialer
	call *prepared

	conn   net.Conn
	reader *h1.Conn
	stop   func() bool
	ctx    context.Context
	guard  time.Time // the deadline that is set

	head    h1.Head
	visit   func(name, value []byte)
	events  bool   // the reply is an event stream
	session string // Mcp-Session-Id
	id      int64
	out, in []byte
	whole   eventReader // of replies that are read at once
	keep    func(data []byte, first int64) error
	last    []byte
}

// Dial connects, begins a session if the revision has them, and prepares call.
// When ctx ends, calls in progress fail.
func Dial(ctx context.Context, cfg Config, call Call) (*Conn, error) {
	at, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("client: url: %w", err)
	}
	if at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return nil, fmt.Errorf("client: url %q: must be http://host/path or https://host/path", cfg.URL)
	}
	c := &Conn{cfg: cfg, at: at, ctx: ctx}
	c.visit = c.header
	c.keep = func(data []byte, _ int64) error { c.last = data; return nil }
	if err := c.connect(); err != nil {
		return nil, err
	}
	if cfg.Revision < Modern {
		if err := c.initialize(); err != nil {
			c.drop()
			return nil, err
		}
	}
	c.call = c.prepare(call)
	return c, nil
}

func (c *Conn) connect() error {
	address := c.at.Host
	if c.at.Port() == "" {
		address = net.JoinHostPort(c.at.Hostname(), map[string]string{"http": "80", "https": "443"}[c.at.Scheme])
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.Timeout)
	defer cancel()
	conn, err := c.dial.DialContext(ctx, "tcp", address)
	if err != nil {
		return &Error{"dial", true, err}
	}
	if c.at.Scheme == "https" {
		conf := c.cfg.TLS.Clone()
		if conf == nil {
			conf = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if conf.ServerName == "" {
			conf.ServerName = c.at.Hostname()
		}
		conf.NextProtos = []string{"http/1.1"}
		secure := tls.Client(conn, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return &Error{"dial", true, err}
		}
		conn = secure
	}
	c.conn, c.reader, c.guard = conn, h1.NewConn(conn), time.Time{}
	c.stop = context.AfterFunc(c.ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return nil
}

// drop closes the connection without a word.
func (c *Conn) drop() {
	if c.conn != nil {
		c.stop()
		_ = c.conn.Close()
		c.conn = nil
	}
}

// Close ends the session, if there is one, and the connection.
func (c *Conn) Close() {
	if c.conn != nil && c.session != "" && c.ctx.Err() == nil {
		b := append(c.out[:0], "DELETE "...)
		b = c.commonHead(b, c.cfg.Revision)
		_ = c.conn.SetDeadline(time.Now().Add(min(time.Second, c.cfg.Timeout)))
		if _, err := c.conn.Write(append(b, "\r\n"...)); err == nil {
			_ = c.reader.ReadResponse(&c.head, nil) // being polite; nothing depends on it
		}
	}
	c.drop()
}

func (c *Conn) header(name, value []byte) {
	switch {
	case h1.Is(name, "content-type"):
		c.events = bytes.HasPrefix(value, []byte("text/event-stream"))
	case h1.Is(name, "mcp-session-id"):
		if string(value) != c.session {
			c.session = string(value)
		}
	}
}

// watch sets the connection's deadline anew once a quarter of the timeout has
// passed, because setting it for every call would cost as much as writing one.
func (c *Conn) watch() {
	now := time.Now()
	if c.guard.Sub(now) > c.cfg.Timeout {
		return
	}
	c.guard = now.Add(c.cfg.Timeout + c.cfg.Timeout/4)
	_ = c.conn.SetDeadline(c.guard)
	if c.ctx.Err() != nil { // it ended before, and this would have undone its deadline
		_ = c.conn.SetDeadline(time.Unix(1, 0))
	}
}

// send writes a request whose head is complete but for its length.
func (c *Conn) send(head, body []byte) error {
	b := append(append(c.out[:0], head...), "content-length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(append(b, "\r\n\r\n"...), body...)
	c.out = b
	return c.write(b)
}

func (c *Conn) write(b []byte) error {
	if c.conn == nil { // the server closed the last one in good order
		if err := c.connect(); err != nil {
			return err
		}
	}
	c.watch()
	if _, err := c.conn.Write(b); err != nil {
		return c.broken(err)
	}
	return nil
}

// receive reads a whole response into c.in.
func (c *Conn) receive() error {
	c.events = false
	if err := c.reader.ReadResponse(&c.head, c.visit); err != nil {
		return c.broken(err)
	}
	var err error
	if c.in, err = c.reader.ReadBody(c.in[:0]); err != nil {
		return c.broken(err)
	}
	if c.head.Close {
		c.drop()
	}
	return nil
}

// broken says what became of a connection, and closes it.
func (c *Conn) broken(err error) error {
	c.drop()
	kind := "closed"
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		kind = "timeout"
	case errors.Is(err, h1.ErrMalformed), errors.Is(err, h1.ErrTooLarge):
		kind = "malformed_http"
	}
	return &Error{kind, true, err}
}
