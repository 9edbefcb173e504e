// Package echo is an MCP server that does next to nothing per call, so that a
// load test measures what stands in front of it. It speaks the session era
// (2025-03-26 to 2025-11-25) and the stateless one (2026-07-28) over streamable
// HTTP/1.1, on any path.
//
// Tools: echo answers with its text, cut or repeated to answer_bytes, as JSON or
// as an event stream; stream sends progress notifications that carry the time
// they were sent at.
//
// It keeps no sessions and checks no headers. It is for the bench only.
package echo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/sallyport/sallyport/bench/h1"
)

// Server serves connections until its context ends.
type Server struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

// Serve accepts connections from ln until ctx ends, then closes all of them. It
// closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.conns = map[net.Conn]struct{}{}
	stop := context.AfterFunc(ctx, func() {
		_ = ln.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			_ = c.Close()
		}
	})
	defer stop()
	defer s.wg.Wait()
	for {
		c, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = c.Close()
			}
			return nil
		}
		if err != nil {
			_ = ln.Close()
			return fmt.Errorf("echo: accept: %w", err)
		}
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			s.serve(ctx, c)
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
			_ = c.Close()
		}()
	}
}

// exchange is what one connection reuses from call to call.
type exchange struct {
	ctx     context.Context
	conn    net.Conn
	modern  bool // the request is of the stateless era
	closing bool
	in, out []byte
	payload []byte
}

func (s *Server) serve(ctx context.Context, c net.Conn) {
	x := &exchange{ctx: ctx, conn: c}
	r := h1.NewConn(c)
	var h h1.Head
	visit := func(name, value []byte) {
		if h1.Is(name, "mcp-protocol-version") {
			x.modern = string(value) >= modern
		}
	}
	for {
		x.modern = false
		if err := r.ReadRequest(&h, visit); err != nil {
			return // the client is gone, or speaks something else
		}
		x.closing = h.Close
		verb := string(h.Method) // its bytes do not survive reading the body
		var err error
		if x.in, err = r.ReadBody(x.in[:0]); err != nil {
			return
		}
		switch verb {
		case "POST":
			err = x.post()
		case "DELETE":
			err = x.reply(200, "", nil)
		default:
			err = x.reply(405, "allow: POST, DELETE\r\n", nil)
		}
		if err != nil || x.closing {
			return
		}
	}
}

const modern = "2026-07-28"

// errGone ends the connection in the middle of a reply.
var errGone = errors.New("echo: the server is stopping")

func (x *exchange) sleep(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-x.ctx.Done():
		return errGone
	}
}
