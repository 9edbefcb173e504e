package redis

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/budget"
	"github.com/sallyport/sallyport/guard/budget/budgettest"
	"github.com/sallyport/sallyport/guard/quota"
	"github.com/sallyport/sallyport/guard/quota/quotatest"
	"github.com/sallyport/sallyport/integration/testenv"
)

// cluster runs two nodes and returns the address of one.
func cluster(t *testing.T) string {
	t.Helper()
	node := func() (*testenv.Redis, string) {
		bus := strconv.Itoa(testenv.FreePort(t))
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
	testenv.Eventually(t, time.Minute, "the cluster is formed", func() bool {
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
	t.Parallel() // it waits more than it computes, with servers of its own
	address := cluster(t)
	quotatest.Run(t, func(t *testing.T) quota.Limiter {
		return replica(t, Options{Addresses: []string{address}, Cluster: true})
	})
	budgettest.Run(t, func(t *testing.T) budget.Ledger {
		return ledger(t, Options{Addresses: []string{address}, Cluster: true})
	})
}

// watched starts a server, a copy of it, and a sentinel that watches both.
func watched(t *testing.T) (master *testenv.Redis, o Options) {
	t.Helper()
	master = testenv.StartRedis(t)
	testenv.StartRedis(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(master.Port()), "--repl-diskless-sync-delay", "0")
	sentinel := testenv.StartRedis(t, "--sentinel", fmt.Sprintf(
		"sentinel monitor main 127.0.0.1 %d 1\nsentinel down-after-milliseconds main 1500\nsentinel failover-timeout main 3000\n", master.Port()))
	testenv.Eventually(t, time.Minute, "the sentinel knows the second server", func() bool {
		c := connect(Options{Addresses: []string{sentinel.Address}, Timeout: 5 * time.Second})
		defer c.Close()
		found, err := c.Do(t.Context(), "sentinel", "replicas", "main").Slice()
		return err == nil && len(found) == 1
	})
	testenv.Eventually(t, time.Minute, "the second server copies", func() bool {
		c := connect(Options{Addresses: []string{master.Address}, Timeout: 5 * time.Second})
		defer c.Close()
		said, err := c.Info(t.Context(), "replication").Result()
		return err == nil && strings.Contains(said, "state=online")
	})
	return master, Options{Addresses: []string{sentinel.Address}, Master: "main", Timeout: time.Second, Prefix: "x"}
}

// Four replicas take at random, one of them is killed, and Redis fails over in
// between. More than the limit is admitted only by what the old server had not
// copied: what was admitted in the second before it ended.
func TestReplicasKeepTheBoundOverAFailover(t *testing.T) {
	t.Parallel() // it waits more than it computes, with servers of its own
	const count, replicas = 20_000, 4
	master, o := watched(t)
	limit := quotatest.Limit("x", false, quota.Window{Count: count, Per: time.Hour})
	limit.Lease.Time = 200 * time.Millisecond
	flight := quotatest.InFlight("y", false, 5)
	o.HoldTime = 3 * time.Second
	var admitted, in atomic.Int64
	var broken atomic.Bool
	var kills []func()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for n := range replicas {
		l, _, kill := started(t, o)
		kills = append(kills, kill)
		for w := range 3 {
			random := rand.New(rand.NewPCG(uint64(n), uint64(w)))
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					charges := []quota.Charge{quotatest.Charge(limit, "a"), quotatest.Charge(flight, "a")}
					a, err := quotatest.Take(t.Context(), l, charges)
					if err == nil && a.Outcome == quota.Admitted {
						if now := in.Add(1); now > 5 && !broken.Load() {
							t.Errorf("%d in flight before anything broke", now)
						}
						admitted.Add(1)
						time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
						in.Add(-1)
						l.Return(charges[1:])
					} else {
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
	}
	testenv.Eventually(t, time.Minute, "calls are made", func() bool { return admitted.Load() > 300 })
	before := admitted.Load()
	time.Sleep(time.Second)
	uncopied := admitted.Load() - before
	broken.Store(true)
	master.Stop()
	at := admitted.Load()
	testenv.Eventually(t, time.Minute, "counting goes on", func() bool { return admitted.Load() > at+500 })
	close(stop)
	wg.Wait()
	kills[0]()
	// What is left can be taken to the last call, and no more.
	last, _, _ := started(t, o)
	big := quotatest.Limit("x", true, limit.Windows[0])
	left := 0
	testenv.Eventually(t, time.Minute, "the limit is reached", func() bool {
		for range 1000 {
			a, err := quotatest.Take(t.Context(), last, []quota.Charge{quotatest.Charge(big, "a")})
			switch {
			case err == nil && a.Outcome == quota.Admitted:
				left++
			case a.Outcome == quota.Exceeded:
				return true
			}
		}
		return false
	})
	sum := int(admitted.Load()) + left
	bound := count + int(uncopied) + replicas*100
	t.Logf("%d calls before Redis failed over, %d in all; %d in the second before", at, sum, uncopied)
	if sum > bound || sum < count-replicas*100-2000 {
		t.Errorf("%d calls; the bound is %d", sum, bound)
	}
	testenv.Eventually(t, time.Minute, "every place in flight is free", func() bool {
		var held [][]quota.Charge
		for range 5 {
			charges := []quota.Charge{quotatest.Charge(flight, "a")}
			if a, _ := quotatest.Take(t.Context(), last, charges); a.Outcome == quota.Admitted {
				held = append(held, charges)
			}
		}
		for _, c := range held {
			last.Return(c)
		}
		return len(held) == 5
	})
}

func TestSentinelsLeadToTheNewServer(t *testing.T) {
	t.Parallel() // it waits more than it computes, with servers of its own
	master := testenv.StartRedis(t)
	second := testenv.StartRedis(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(master.Port()), "--repl-diskless-sync-delay", "0")
	sentinel := testenv.StartRedis(t, "--sentinel", fmt.Sprintf(
		"sentinel monitor main 127.0.0.1 %d 1\nsentinel down-after-milliseconds main 1500\nsentinel failover-timeout main 3000\n", master.Port()))
	l := replica(t, Options{Addresses: []string{sentinel.Address}, Master: "main", Timeout: time.Second, Prefix: "x"})
	limit := quotatest.Limit("x", true, quota.Window{Count: 5, Per: time.Hour})
	take := func() quota.Answer {
		a, _ := quotatest.Take(t.Context(), l, []quota.Charge{quotatest.Charge(limit, "a")})
		return a
	}
	n := 0
	testenv.Eventually(t, time.Minute, "three calls", func() bool {
		if take().Outcome == quota.Admitted {
			n++
		}
		return n == 3
	})
	copied := connect(Options{Addresses: []string{second.Address}, Timeout: 5 * time.Second})
	defer copied.Close()
	testenv.Eventually(t, time.Minute, "the second server has them", func() bool {
		size, err := copied.DBSize(t.Context()).Result()
		return err == nil && size >= 2 // the counter and the replicas
	})
	command(t, master, "wait", 1, 3000)
	testenv.Eventually(t, time.Minute, "the sentinel knows the second server", func() bool {
		c := connect(Options{Addresses: []string{sentinel.Address}, Timeout: 5 * time.Second})
		defer c.Close()
		found, err := c.Do(t.Context(), "sentinel", "replicas", "main").Slice()
		return err == nil && len(found) == 1
	})
	master.Stop()
	testenv.Eventually(t, time.Minute, "the second server counts on", func() bool {
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
