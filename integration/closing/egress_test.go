package closing

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

func TestEgressExperiment(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					var n int
					if _, err := fmt.Sscanf(line, "send %d", &n); err == nil {
						_, _ = c.Write(bytes.Repeat([]byte("x"), n))
					}
					if line == "bye\n" {
						return
					}
					if line == "reset\n" {
						_ = c.(*net.TCPConn).SetLinger(0)
						return
					}
				}
			}()
		}
	}()
	site := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(append(b, b...))
	}), ReadHeaderTimeout: time.Second}
	hl, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = site.Serve(hl) }()
	defer site.Close()
	hport := hl.Addr().(*net.TCPAddr).Port
	dead, _ := net.Listen("tcp", "127.0.0.2:0")
	dport := dead.Addr().(*net.TCPAddr).Port
	dead.Close()
	g := testenv.Start(t, "  - {name: one, url: "+server(t)+"/}\n", fmt.Sprintf(`egress:
  listeners: [{address: "127.0.0.1:0", workload: sandbox}, {address: "127.0.0.1:0", workload: counted}]
  workloads:
    - name: sandbox
      max_time: 3s
      idle_time: 1s
      allow: [{host: 127.0.0.2, ports: [%[1]d, %[2]d, %[3]d], schemes: [https, http], addresses: [127.0.0.2]}]
    - name: counted
      max_response: 10KiB
      allow: [{host: 127.0.0.2, ports: [%[1]d, %[2]d], schemes: [https, http], addresses: [127.0.0.2]}]
`, port, hport, dport))
	dig := func(proxy string, port int, send string, read int, how string) {
		c, err := net.Dial("tcp", proxy)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(c, "CONNECT 127.0.0.2:%d HTTP/1.1\r\nHost: x\r\n\r\n", port)
		r := bufio.NewReader(c)
		resp, err := http.ReadResponse(r, &http.Request{Method: "CONNECT"})
		if err != nil {
			t.Log(err)
			return
		}
		_, _ = io.WriteString(c, send)
		n, _ := io.CopyN(io.Discard, r, int64(read))
		switch how {
		case "half":
			_ = c.(*net.TCPConn).CloseWrite()
			m, err := io.Copy(io.Discard, r)
			t.Log("after half close", m, err)
		case "wait":
			m, err := io.Copy(io.Discard, r)
			t.Log("waited", m, err)
		case "reset":
			_ = c.(*net.TCPConn).SetLinger(0)
		}
		c.Close()
		t.Log(how, resp.StatusCode, n)
		time.Sleep(400 * time.Millisecond)
		all := kept(t, g)
		for _, x := range all[len(all)-2:] {
			t.Logf("   %+v %+v", x, x.Egress)
		}
	}
	dig(g.Egress[0], port, "send 5000\n", 5000, "close")
	dig(g.Egress[0], port, "send 5000\n", 5000, "reset")
	dig(g.Egress[0], port, "send 5000\n", 5000, "half")
	dig(g.Egress[0], port, "bye\n", 0, "wait")
	dig(g.Egress[0], port, "reset\n", 0, "wait")
	dig(g.Egress[0], port, "idle\n", 0, "wait")
	dig(g.Egress[0], dport, "", 0, "wait")
	dig(g.Egress[1], port, "send 50000\n", 0, "wait")
	dig(g.Egress[1], port, "send 5000\n", 5000, "close")
	c, _ := net.Dial("tcp", g.Egress[0])
	fmt.Fprintf(c, "POST http://127.0.0.2:%d/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1234\r\nConnection: close\r\n\r\n%s", hport, bytes.Repeat([]byte("y"), 1234))
	n, _ := io.Copy(io.Discard, c)
	t.Log("plain", n)
	time.Sleep(400 * time.Millisecond)
	all := kept(t, g)
	for _, x := range all[len(all)-2:] {
		t.Logf("   %+v %+v", x, x.Egress)
	}
}
