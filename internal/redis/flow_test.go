package redis

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/flow"
	"github.com/sallyport/sallyport/guard/flow/flowtest"
	"github.com/sallyport/sallyport/integration/testenv"
)

func sharedFlow(t testing.TB, o Options) *Flow {
	t.Helper()
	if o.Prefix == "" {
		o.Prefix = strings.NewReplacer("{", "", "}", "").Replace(t.Name())
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	s := Connect(o)
	t.Cleanup(func() { _ = s.Close() })
	return s.Flow(time.Now)
}

func TestRedisKeepsLabels(t *testing.T) {
	r := testenv.StartRedis(t)
	flowtest.Run(t, func(t *testing.T) (one, other flow.Store) {
		return sharedFlow(t, Options{Addresses: []string{r.Address}}), sharedFlow(t, Options{Addresses: []string{r.Address}})
	})
}

// Many calls at once go together: none pays a trip of its own, and none is told
// what was true before it asked.
func TestReadsThatComeTogetherGoTogether(t *testing.T) {
	r := testenv.StartRedis(t)
	f := sharedFlow(t, Options{Addresses: []string{r.Address}})
	const callers, each = 64, 50
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range each {
				if _, err := f.Read(t.Context(), []flow.Key{flowtest.Key("a"), flowtest.Key("b")}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	s := f.Status()
	if s.Reads != callers*each || s.Trips > s.Reads/2 {
		t.Errorf("%+v", s)
	}
	t.Logf("%d reads of %d at once took %d trips", s.Reads, callers, s.Trips)
}

func TestLabelsOutliveNothingThatRedisForgetsInTime(t *testing.T) {
	r := testenv.StartRedis(t)
	f := sharedFlow(t, Options{Addresses: []string{r.Address}})
	k := flowtest.Key("a")
	for _, d := range []time.Duration{time.Hour, time.Minute} {
		if err := f.Add(t.Context(), []flow.Entry{{Key: k, Labels: []flow.Label{{Name: "pii", Left: d}}}}); err != nil {
			t.Fatal(err)
		}
	}
	left, err := f.client.PTTL(t.Context(), f.key(k)).Result()
	if err != nil || left < 59*time.Minute || left > time.Hour {
		t.Errorf("the key ends in %v, %v", left, err)
	}
}

func TestLabelsOfARedisThatIsAwayAreNotGuessed(t *testing.T) {
	r := testenv.StartRedis(t)
	f := sharedFlow(t, Options{Addresses: []string{r.Address}, Timeout: 5 * time.Second})
	k := []flow.Key{flowtest.Key("a")}
	if _, err := f.Read(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	r.Stop()
	for range 10 {
		if got, err := f.Read(t.Context(), k); err == nil {
			t.Fatalf("read %v", got)
		}
		if err := f.Add(t.Context(), []flow.Entry{{Key: k[0], Labels: []flow.Label{{Name: "pii", Left: time.Hour}}}}); err == nil {
			t.Fatal("kept")
		}
	}
	s := f.Status()
	if s.Trouble == "" || s.Trips >= s.Reads+s.Adds {
		t.Errorf("%+v: every call finds out by itself", s)
	}
	r.Start(t)
	testenv.Eventually(t, time.Minute, "it is asked again", func() bool {
		_, err := f.Read(t.Context(), k)
		return err == nil
	})
	if s := f.Status(); s.Trouble != "" {
		t.Errorf("%+v", s)
	}
}

func BenchmarkFlowRead(b *testing.B) {
	r := testenv.StartRedis(b)
	f := sharedFlow(b, Options{Addresses: []string{r.Address}, Prefix: "bench"})
	keys := []flow.Key{flowtest.Key("a")}
	if err := f.Add(context.Background(), []flow.Entry{{Key: keys[0], Labels: []flow.Label{{Name: "pii", Source: flow.Source{Exchange: "x", Server: "crm"}, Left: time.Hour}}}}); err != nil {
		b.Fatal(err)
	}
	for _, at := range []int{1, 32} {
		b.Run(map[int]string{1: "one caller", 32: "64 callers"}[at], func(b *testing.B) {
			before := f.Status()
			b.SetParallelism(at)
			if at == 1 {
				for b.Loop() {
					_, _ = f.Read(context.Background(), keys)
				}
			} else {
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						_, _ = f.Read(context.Background(), keys)
					}
				})
			}
			after := f.Status()
			b.ReportMetric(float64(after.Trips-before.Trips)/float64(after.Reads-before.Reads), "trips/op")
		})
	}
}
