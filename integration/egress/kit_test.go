// Package egress sends traffic out through the egress listeners of a real Envoy, with
// a real DNS server. Tests may talk to this machine only, so that 127.0.0.2 stands for
// the public network, and 127.0.0.1 for what must never be reached.
package egress

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sallyport/sallyport/integration/testenv"
)

// zone is a DNS server that says what the test tells it to.
type zone struct {
	address string

	mu      sync.Mutex
	answers map[string][]string // by name: one for each question, the last for all that follow; empty answers fail
	asked   map[question]int
}

type question struct {
	name string
	kind uint16
}

func startZone(t testing.TB) *zone {
	t.Helper()
	z := &zone{answers: make(map[string][]string), asked: make(map[question]int)}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z.address = pc.LocalAddr().String()
	s := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(z.serve)}
	go func() { _ = s.ActivateAndServe() }()
	t.Cleanup(func() { _ = s.Shutdown() })
	return z
}

func (z *zone) set(name string, answers ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.answers[name] = answers
	delete(z.asked, question{name, dns.TypeA})
	delete(z.asked, question{name, dns.TypeAAAA})
}

func (z *zone) serve(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	q := r.Question[0]
	name := strings.TrimSuffix(q.Name, ".")
	z.mu.Lock()
	answers, known := z.answers[name]
	n := z.asked[question{name, q.Qtype}]
	z.asked[question{name, q.Qtype}]++
	z.mu.Unlock()
	switch {
	case !known:
		m.Rcode = dns.RcodeNameError
	case len(answers) == 0:
		m.Rcode = dns.RcodeServerFailure
	default:
		for _, a := range strings.Fields(answers[min(n, len(answers)-1)]) {
			kind := "A"
			if strings.Contains(a, ":") {
				kind = "AAAA"
			}
			rr, err := dns.NewRR(fmt.Sprintf("%s 0 IN %s %s", q.Name, kind, a))
			if err == nil && rr.Header().Rrtype == q.Qtype {
				m.Answer = append(m.Answer, rr)
			}
		}
	}
	_ = w.WriteMsg(m)
}

// site is an HTTP server at an address of its own.
type site struct {
	port int
	hits atomic.Int64
	last atomic.Pointer[http.Request]
}

func startSite(t testing.TB, address string, h http.Handler) *site {
	t.Helper()
	s := new(site)
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s.port = ln.Addr().(*net.TCPAddr).Port
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.hits.Add(1)
		s.last.Store(r)
		h.ServeHTTP(w, r)
	}), ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	return s
}

// raw sends bytes to an address and returns what comes back: a head within a minute,
// and as much of a body as comes within 2 s of it.
func raw(t testing.TB, address, send string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, send); err != nil {
		return err.Error()
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	b, _ := io.ReadAll(resp.Body) // as far as it came
	return fmt.Sprintf("%d %s %s", resp.StatusCode, resp.Header.Get("x-sallyport-reason"), b)
}

// receipts returns the receipts of egress listeners once one of them holds want.
func receipts(t testing.TB, g *testenv.Gateway, want string) string {
	t.Helper()
	var out string
	testenv.Eventually(t, time.Minute, "a receipt with "+want, func() bool {
		out = ""
		for line := range strings.Lines(g.Receipts(t)) {
			if strings.Contains(line, `"egress":{`) {
				out += line
			}
		}
		return strings.Contains(out, want)
	})
	return out
}

// start runs a gateway with egress settings.
func start(t testing.TB, servers, egress string) *testenv.Gateway {
	t.Helper()
	return testenv.Start(t, servers, egress)
}

func write(t testing.TB, g *testenv.Gateway, change func(string) string) {
	t.Helper()
	b, err := os.ReadFile(g.Config)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Write(t, filepath.Clean(g.Config), change(string(b)))
}

var exchangeID = regexp.MustCompile(`"exchange":"([0-9a-f]+)"`)

// exchangeOf returns the exchange of the call that had a trace.
func exchangeOf(t testing.TB, g *testenv.Gateway, trace string) string {
	t.Helper()
	var id string
	testenv.Eventually(t, time.Minute, "the receipt of the call", func() bool {
		for line := range strings.Lines(g.Receipts(t)) {
			if strings.Contains(line, `"method":"tools/call"`) && strings.Contains(line, trace) {
				id = exchangeID.FindStringSubmatch(line)[1]
			}
		}
		return id != ""
	})
	return id
}
