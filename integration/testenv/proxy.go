package testenv

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a TCP proxy that makes trouble.
type Proxy struct {
	Address string

	to string
	ln net.Listener

	mu     sync.Mutex
	delay  time.Duration
	silent bool // takes everything and passes nothing on
	reset  bool // resets connections
	conns  map[net.Conn]bool
}

// StartProxy passes connections on to an address. It ends with t.
func StartProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Address: ln.Addr().String(), to: to, ln: ln, conns: make(map[net.Conn]bool)}
	go p.accept()
	t.Cleanup(func() {
		_ = ln.Close()
		p.Reset(true)
	})
	return p
}

// Delay holds back what goes to the server.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Silence passes nothing on, in neither direction, and breaks nothing.
func (p *Proxy) Silence(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = on
}

// Reset resets all connections, and new ones too while it is on.
func (p *Proxy) Reset(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reset = on
	for c := range p.conns {
		abort(c)
	}
	clear(p.conns)
}

func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func (p *Proxy) accept() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", p.to)
		p.mu.Lock()
		if p.reset || err != nil {
			abort(c)
			if err == nil {
				abort(up)
			}
			p.mu.Unlock()
			continue
		}
		p.conns[c], p.conns[up] = true, true
		p.mu.Unlock()
		go p.pass(up, c, true)
		go p.pass(c, up, false)
	}
}

func (p *Proxy) pass(to io.WriteCloser, from io.ReadCloser, hold bool) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		p.mu.Lock()
		delay, silent := p.delay, p.silent
		p.mu.Unlock()
		if silent {
			continue
		}
		if hold && delay > 0 {
			time.Sleep(delay)
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}
