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

// copied runs a cluster whose first node has all keys but those of two slots, and a
// copy that takes its place when it dies; the other two vote.
func copied(t *testing.T) (first *testenv.Redis, o Options) {
	t.Helper()
	var nodes []*testenv.Redis
	for i := range 4 {
		bus := strconv.Itoa(testenv.FreePort(t))
		nodes = append(nodes, testenv.StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0"))
		if i > 0 {
			command(t, nodes[0], "cluster", "meet", "127.0.0.1", nodes[i].Port(), bus)
		}
	}
	command(t, nodes[0], "cluster", "addslotsrange", 0, 16381)
	command(t, nodes[1], "cluster", "addslots", 16382)
	command(t, nodes[2], "cluster", "addslots", 16383)
	ask := func(r *testenv.Redis, args ...any) string {
		c := connect(Options{Addresses: []string{r.Address}, Timeout: 5 * time.Second})
		defer c.Close()
		said, err := c.Do(t.Context(), args...).Text()
		if err != nil {
			return err.Error()
		}
		return said
	}
	all := func(want string, args ...any) func() bool {
		return func() bool {
			for _, r := range nodes {
				if !strings.Contains(ask(r, args...), want) {
					return false
				}
			}
			return true
		}
	}
	testenv.Eventually(t, time.Minute, "the nodes have met", all("cluster_known_nodes:4", "cluster", "info"))
	testenv.Eventually(t, time.Minute, "the last node copies the first", func() bool {
		return ask(nodes[3], "cluster", "replicate", ask(nodes[0], "cluster", "myid")) == "OK"
	})
	testenv.Eventually(t, time.Minute, "the cluster is formed", all("cluster_state:ok", "cluster", "info"))
	testenv.Eventually(t, time.Minute, "the copy is there", func() bool { return strings.Contains(ask(nodes[0], "info", "replication"), "state=online") })
	testenv.Eventually(t, time.Minute, "everybody knows of the copy", all("slave", "cluster", "nodes"))
	return nodes[0], Options{Addresses: []string{nodes[0].Address, nodes[1].Address, nodes[2].Address}, Cluster: true, Timeout: time.Second, Prefix: fmt.Sprintf("c%016x", rand.Uint64())}
}

// Four replicas use up a limit of calls and a budget while the node of a cluster
// that has both is killed, one replica is, and the node's copy takes over. More than
// the limit is admitted only by what the copy had not been told; more than the budget
// only by what replicas held and a replica that died had on its way.
func TestQuotasAndBudgetsOutliveAClusterFailover(t *testing.T) {
	t.Parallel() // it waits more than it computes, with servers of its own
	const count, total, cost, replicas = 6_000, 40_000, 10, 4
	first, o := copied(t)
	f := newFleet(t, replicas, o)
	rate := quotatest.Limit("x", false, quota.Window{Count: count, Per: time.Hour})
	rate.Lease.Time = 200 * time.Millisecond
	money := budgettest.Limit("x", false, budget.Amounts{budget.Cost: total})
	money.Lease.Hold = 3 * time.Second

	var mu sync.RWMutex // a replica is not used while it is replaced
	var admitted, used, refusedCalls, refusedMoney, lost atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(2 * time.Minute)
	for i := range replicas {
		for range 2 {
			wg.Go(func() {
				for time.Now().Before(end) && (refusedCalls.Load() < 20 || refusedMoney.Load() < 20) {
					mu.RLock()
					b := f.all[i]
					charges := []quota.Charge{quotatest.Charge(rate, "a")}
					if a, err := quotatest.Take(t.Context(), b.l, charges); err != nil {
						t.Error(err)
					} else if a.Outcome == quota.Admitted {
						admitted.Add(1)
					} else if a.Outcome == quota.Exceeded {
						refusedCalls.Add(1)
					}
					claims := []budget.Claim{budgettest.Claim(money, "a", cost)}
					switch a, err := budgettest.Reserve(t.Context(), b, claims); {
					case err != nil:
						t.Error(err)
					case a.Outcome == budget.Reserved:
						used.Add(cost)
						b.Settle(claims, budget.Amounts{cost, 1, 0, 0})
					case a.Outcome == budget.Exhausted:
						refusedMoney.Add(1)
					}
					mu.RUnlock()
					time.Sleep(2 * time.Millisecond)
				}
			})
		}
	}
	testenv.Eventually(t, time.Minute, "calls are made", func() bool { return admitted.Load() > count/8 && used.Load() > total/8 })
	before := admitted.Load()
	time.Sleep(500 * time.Millisecond)
	uncopied := admitted.Load() - before
	first.Stop()
	at := admitted.Load()
	mu.Lock()
	lost.Add(f.kill(0, budgettest.Key("x/a")))
	mu.Unlock()
	wg.Wait()
	if refusedCalls.Load() < 20 || refusedMoney.Load() < 20 {
		t.Fatalf("the limit was not reached: %d calls of %d, %d used of %d", admitted.Load(), count, used.Load(), total)
	}
	bound := count + 2*uncopied + replicas*100
	t.Logf("%d calls before the node died, %d of %d in all, %d in the half second before; the bound is %d", at, admitted.Load(), count, uncopied, bound)
	if n := admitted.Load(); n > bound || n <= at {
		t.Errorf("%d calls admitted, %d before the node died; the bound is %d", n, at, bound)
	}
	spend := total + replicas*min(100*cost, int64(total/8)) + lost.Load()
	t.Logf("%d used of %d; the bound is %d", used.Load(), total, spend)
	if n := used.Load(); n > spend {
		t.Errorf("%d used of %d; the bound is %d", n, total, spend)
	}
	claim := budgettest.Claim(money, "a", 0)
	testenv.Eventually(t, time.Minute, "nothing stays reserved", func() bool {
		s, err := f.all[1].Read(t.Context(), &claim)
		return err == nil && s.Held[budget.Cost] == 0 && s.Used[budget.Cost] <= total
	})
}
