package redis

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/budget"
	"github.com/sallyport/sallyport/guard/budget/budgettest"
	"github.com/sallyport/sallyport/guard/quota"
	"github.com/sallyport/sallyport/guard/quota/quotatest"
	"github.com/sallyport/sallyport/integration/testenv"
)

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

// cluster runs two nodes and returns the address of one.
func cluster(t *testing.T) string {
	t.Helper()
	node := func() (*testenv.Redis, string) {
		bus := freePort(t)
		return testenv.StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "5000"), bus
	}
	one, _ := node()
	two, bus := node()
	command(t, one, "cluster", "addslotsrange", 0, 8191)
	command(t, two, "cluster", "addslotsrange", 8192, 16383)
	command(t, one, "cluster", "meet", "127.0.0.1", two.Port(), bus)
	o := Options{Addresses: []string{one.Address}, Cluster: true, Prefix: "warm"}
	l := replica(t, o)
	limit := quotatest.Limit("x", true, quota.Window{Count: 1000, Per: time.Hour})
	testenv.Eventually(t, 30*time.Second, "the cluster is formed", func() bool {
		ok := l.open() == nil
		for i := range 8 { // keys of both nodes
			a, err := quotatest.Take(t.Context(), l, []quota.Charge{quotatest.Charge(limit, fmt.Sprint(i))})
			ok = ok && err == nil && a.Outcome == quota.Admitted
		}
		return ok
	})
	return one.Address
}

func TestRedisClusterIsALimiterAndALedger(t *testing.T) {
	address := cluster(t)
	quotatest.Run(t, func(t *testing.T) quota.Limiter {
		return replica(t, Options{Addresses: []string{address}, Cluster: true})
	})
	budgettest.Run(t, func(t *testing.T) budget.Ledger {
		return ledger(t, Options{Addresses: []string{address}, Cluster: true})
	})
}

func TestSentinelsLeadToTheNewServer(t *testing.T) {
	master := testenv.StartRedis(t)
	second := testenv.StartRedis(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(master.Port()), "--repl-diskless-sync-delay", "0")
	sentinel := testenv.StartRedis(t, "--sentinel", fmt.Sprintf(
		"sentinel monitor main 127.0.0.1 %d 1\nsentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n", master.Port()))
	l := replica(t, Options{Addresses: []string{sentinel.Address}, Master: "main", Timeout: time.Second, Prefix: "x"})
	limit := quotatest.Limit("x", true, quota.Window{Count: 5, Per: time.Hour})
	take := func() quota.Answer {
		a, _ := quotatest.Take(t.Context(), l, []quota.Charge{quotatest.Charge(limit, "a")})
		return a
	}
	n := 0
	testenv.Eventually(t, 20*time.Second, "three calls", func() bool {
		if take().Outcome == quota.Admitted {
			n++
		}
		return n == 3
	})
	copied := connect(Options{Addresses: []string{second.Address}, Timeout: 5 * time.Second})
	defer copied.Close()
	testenv.Eventually(t, 20*time.Second, "the second server has them", func() bool {
		size, err := copied.DBSize(t.Context()).Result()
		return err == nil && size >= 2 // the counter and the replicas
	})
	command(t, master, "wait", 1, 3000)
	testenv.Eventually(t, 30*time.Second, "the sentinel knows the second server", func() bool {
		c := connect(Options{Addresses: []string{sentinel.Address}, Timeout: 5 * time.Second})
		defer c.Close()
		found, err := c.Do(t.Context(), "sentinel", "replicas", "main").Slice()
		return err == nil && len(found) == 1
	})
	master.Stop()
	testenv.Eventually(t, 60*time.Second, "the second server counts on", func() bool {
		a := take()
		if a.Outcome == quota.Admitted {
			n++
		}
		return a.Outcome == quota.Exceeded
	})
	if n > 5 || n < 3 { // a call whose answer was lost counts, and was not admitted
		t.Errorf("%d of 5 admitted over a failover", n)
	}
}
