package xds

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/registry"
)

// load calls url from several clients until it is stopped, and counts.
type load struct {
	sent   atomic.Int64
	mu     sync.Mutex
	got    map[string]int
	failed map[string]int
	stop   func()
}

// startLoad accepts replies whose body is one of want; anything else is a lost
// request.
func startLoad(t testing.TB, url string, want ...string) *load {
	t.Helper()
	l := &load{got: map[string]int{}, failed: map[string]int{}}
	ok := map[string]bool{}
	for _, w := range want {
		ok[w] = true
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				code, body := callOnce(url)
				l.sent.Add(1)
				l.mu.Lock()
				if code == http.StatusOK && ok[body] {
					l.got[body]++
				} else {
					l.failed[fmt.Sprintf("%d %s", code, body)]++
				}
				l.mu.Unlock()
			}
		})
	}
	var once sync.Once
	l.stop = func() { once.Do(func() { close(done); wg.Wait() }) }
	t.Cleanup(l.stop)
	return l
}

func callOnce(url string) (int, string) {
	resp, err := http.Post(url, "application/json", strings.NewReader("{}"))
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b := make([]byte, 512)
	n := 0
	for n < len(b) {
		m, err := resp.Body.Read(b[n:])
		n += m
		if err != nil {
			break
		}
	}
	return resp.StatusCode, string(b[:n])
}

func (l *load) count(body string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got[body]
}

func (l *load) check(t testing.TB) {
	t.Helper()
	l.stop()
	if len(l.failed) > 0 {
		t.Errorf("of %d requests were lost: %v", l.sent.Load(), l.failed)
	}
	t.Logf("%d requests", l.sent.Load())
}

// The neighbours of a server that comes, changes and goes notice nothing, and
// neither does a server that changes.
func TestChangesLoseNoRequest(t *testing.T) {
	a, b, c, slow := upstream(t, "a"), upstream(t, "b"), upstream(t, "c"), upstream(t, "slow")
	proc := startProc(t)
	set := testSettings()
	set.NoExtProc, set.ExtProc = false, proc.address
	o := quick
	o.Grace = 10 * time.Second // a busy machine may keep a request between its route and its cluster
	p := startPlane(t, "127.0.0.1:0", o)
	e := adsEnvoy(t, p, "envoy-1")
	apply := func(servers ...registry.Server) {
		t.Helper()
		r := build(t, servers, func(s *Settings) { *s = set })
		if err := p.Push(r); err != nil {
			t.Fatal(err)
		}
		settle(t, p, r)
	}
	stays := server(t, "stays", a.URL)
	at := func(up string) registry.Server { return server(t, "changes", up) }
	apply(stays, at(b.URL))
	base := "http://" + e.listener(t)
	neighbour := startLoad(t, base+"/mcp/stays", "a /mcp")
	changing := startLoad(t, base+"/mcp/changes", "b /mcp", "c /mcp", "slow /mcp")

	for i := range 5 {
		extra := server(t, fmt.Sprintf("extra-%d", i), slow.URL)
		apply(stays, at(b.URL), extra)
		apply(stays, at(c.URL), extra) // another address
		apply(stays, at(c.URL))        // a server goes
		apply(stays, at(b.URL))
	}
	// A new version takes over, which Envoy has to look up and check first.
	two := at(b.URL)
	two.Versions[0].Name, two.Versions[0].Weight = "v1", 0
	v2 := two.Versions[0]
	v2.Name, v2.Weight, v2.Endpoints = "v2", 1, []registry.Endpoint{{Host: "localhost", Port: endpoint(t, slow.URL).Port}}
	v2.Health = registry.HealthCheck{Path: "/slow-health", Timeout: 2 * time.Second}
	two.Versions = append(two.Versions, v2)
	apply(stays, two)
	eventually(t, "the new version to be used", func() bool { return changing.count("slow /mcp") > 50 })
	changing.check(t)
	neighbour.check(t)
}

// A request that was routed before its server went still finds the cluster
// after ext_proc has decided.
func TestRequestsUnderWayOutliveTheirServer(t *testing.T) {
	up := upstream(t, "a")
	proc := startProc(t)
	proc.delay.Store(int64(200 * time.Millisecond))
	set := testSettings()
	set.NoExtProc, set.ExtProc = false, proc.address
	o := quick
	o.Grace = 1500 * time.Millisecond // far longer than the delay, on a busy machine too
	base, _, p := serveBy(t, o, set, server(t, "a", up.URL))
	for range 2 {
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 5 * time.Millisecond)
				if code, body := callOnce(base + "/mcp/a"); code != 200 && code != 404 {
					t.Errorf("got %d %q", code, body)
				}
			})
		}
		time.Sleep(50 * time.Millisecond)
		push(t, p, set)
		wg.Wait()
		eventually(t, "the cluster to go", func() bool { return p.Status().Resources["clusters"] == 1 })
		if code, body := callOnce(base + "/mcp/a"); code != 404 {
			t.Errorf("after removal: %d %q", code, body)
		}
		r := build(t, []registry.Server{server(t, "a", up.URL)}, func(s *Settings) { *s = set })
		if err := p.Push(r); err != nil {
			t.Fatal(err)
		}
		settle(t, p, r)
	}
}
