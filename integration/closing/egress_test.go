package closing

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// site takes connections and does what each line says.
func site(t testing.TB) (port int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go obey(c.(*net.TCPConn))
		}
	}()
	return ln.Addr().(*net.TCPAddr).Port
}

func obey(c *net.TCPConn) {
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		var n int
		switch _, err := fmt.Sscanf(line, "send %d", &n); {
		case err == nil:
			_, _ = c.Write(bytes.Repeat([]byte("x"), n))
		case line == "bye\n":
			return
		case line == "break\n":
			_ = c.SetLinger(0)
			return
		}
	}
}

// tunnel opens one, says something, reads so many bytes and, if it is to wait, until
// the other end closes. Then it closes.
func tunnel(t testing.TB, proxy string, port int, say string, read int64, wait bool) {
	t.Helper()
	c, err := net.Dial("tcp", proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, _ = fmt.Fprintf(c, "CONNECT 127.0.0.2:%d HTTP/1.1\r\nHost: x\r\n\r\n", port)
	r := bufio.NewReader(c)
	if _, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect}); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, say)
	if _, err := io.CopyN(io.Discard, r, read); err != nil {
		t.Error(err)
	}
	if wait {
		_, _ = io.Copy(io.Discard, r)
	}
}

func TestATunnelsBytesAndEndAreOnRecord(t *testing.T) {
	web := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(append(b, b...))
	})}
	ln, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = web.Serve(ln) }()
	t.Cleanup(func() { _ = web.Close() })
	port, plain, nobody := site(t), ln.Addr().(*net.TCPAddr).Port, testenv.FreePort(t)
	g := testenv.Start(t, "  - {name: one, url: "+server(t).url+"/}\n", fmt.Sprintf(`egress:
  listeners: [{address: "127.0.0.1:0", workload: sandbox}, {address: "127.0.0.1:0", workload: counted}, {address: "127.0.0.1:0", workload: hasty}]
  workloads:
    - {name: sandbox, allow: [{host: 127.0.0.2, ports: [%[1]d, %[2]d, %[3]d], schemes: [https, http], addresses: [127.0.0.2]}]}
    - {name: counted, max_response: 10KiB, allow: [{host: 127.0.0.2, ports: [%[1]d], addresses: [127.0.0.2]}]}
    - {name: hasty, idle_time: 1500ms, allow: [{host: 127.0.0.2, ports: [%[1]d], addresses: [127.0.0.2]}]}
`, port, plain, nobody))
	post := func() {
		c, err := net.Dial("tcp", g.Egress[0])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = fmt.Fprintf(c, "POST http://127.0.0.2:%d/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1234\r\nConnection: close\r\n\r\n%s", plain, strings.Repeat("y", 1234))
		_, _ = io.Copy(io.Discard, c)
	}
	for i, tt := range []struct {
		name     string
		goes     func()
		closed   string
		reason   string
		in, out  int64 // -1: as it comes
		workload string
		port     int
	}{
		{"the client hangs up", func() { tunnel(t, g.Egress[0], port, "send 123456\n", 123456, false) }, "client_left", "", 12, 123456, "sandbox", port},
		{"the site hangs up", func() { tunnel(t, g.Egress[0], port, "send 777\nbye\n", 777, true) }, "server_closed", "", 13, 777, "sandbox", port},
		{"the site breaks off", func() { tunnel(t, g.Egress[0], port, "break\n", 0, true) }, "server_failed", "", 6, 0, "sandbox", port},
		{"nobody is there", func() { tunnel(t, g.Egress[0], nobody, "", 0, true) }, "server_failed", "", 0, -1, "sandbox", nobody},
		{"a plain request", post, "answered", "", 1234, 2468, "sandbox", plain},
		{"as much as a counted workload may have", func() { tunnel(t, g.Egress[1], port, "send 5000\n", 5000, false) }, "client_left", "", 10, 5000, "counted", port},
		{"more than that", func() { tunnel(t, g.Egress[1], port, "send 50000\n", 0, true) }, "refused", "message_too_large", 11, -1, "counted", port},
		{"silence", func() { tunnel(t, g.Egress[2], port, "hush\n", 0, true) }, "timed_out", "", 5, 0, "hasty", port},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.goes()
			var ends, lets []receipt
			testenv.Eventually(t, time.Minute, "the closing receipt", func() bool {
				ends, lets = nil, nil
				for _, r := range kept(t, g) {
					if r.Closed != "" {
						ends = append(ends, r)
					} else if r.Egress != nil {
						lets = append(lets, r)
					}
				}
				return len(ends) > i
			})
			end, let := ends[i], lets[i]
			if end.Closed != tt.closed || end.Reason != tt.reason || end.BytesIn != tt.in || tt.out >= 0 && end.BytesOut != tt.out || end.Lasted <= 0 {
				t.Errorf("got %+v", end)
			}
			if e := end.Egress; end.Exchange != let.Exchange || e == nil || *e != *let.Egress || e.Workload != tt.workload || e.Port != tt.port || e.Host != "127.0.0.2" {
				t.Errorf("%+v is the end of %+v", end, let)
			}
		})
	}
	t.Run("what is refused has no end", func(t *testing.T) {
		tunnel(t, g.Egress[0], 1, "", 0, true)
		tunnel(t, g.Egress[0], port, "bye\n", 0, true) // whose end comes later
		ends := 0
		testenv.Eventually(t, time.Minute, "the last closing receipt", func() bool {
			ends = 0
			for _, r := range kept(t, g) {
				if r.Closed != "" {
					ends++
				}
			}
			return ends >= 9
		})
		if ends != 9 {
			t.Errorf("%d ends", ends)
		}
	})
	if m := g.Get(t, "/metrics"); !strings.Contains(m, "\nmcp_gateway_egress_sent_total{workload=\"hasty\"} 5\n") || !strings.Contains(m, "\nmcp_gateway_egress_received_total{workload=\"hasty\"} 0\n") {
		t.Errorf("metrics: %s", m)
	}
}
