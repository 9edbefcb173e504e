// Package keys measures what the counters of many callers take of memory, in the
// gateway and in Redis, and how often a hot counter asks Redis.
package keys

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/guard/quota"
	own "github.com/sallyport/sallyport/internal/quota"
	shared "github.com/sallyport/sallyport/internal/redis"
)

// Plan is what to measure.
type Plan struct {
	Keys   int           `json:"keys"`
	Bound  int           `json:"bound"`     // guards.quota.max_keys
	Window time.Duration `json:"window_ns"` // of the limit; counters expire a twentieth later
	Hot    int           `json:"hot"`       // calls of one counter
}

// Report is what was measured.
type Report struct {
	Plan     Plan   `json:"plan"`
	Embedded Memory `json:"embedded"` // a gateway that may keep all
	Bounded  Memory `json:"bounded"`  // one that may keep Bound
	Replica  Memory `json:"replica"`  // one beside Redis, that may keep Bound
	Redis    Memory `json:"redis"`
	Trips    uint64 `json:"trips"`    // scripts that Redis ran for the hot counter, as it says
	Admitted int    `json:"admitted"` // calls of it
}

// Memory is how much some counters take.
type Memory struct {
	Keys  int   `json:"keys"`
	Bytes int64 `json:"bytes"`
	Left  int   `json:"left"` // counters when the window has passed
}

const prefix = "bench"

// Run measures. address is that of a Redis that nobody else uses.
func Run(ctx context.Context, address string, p Plan, progress func(string)) (*Report, error) {
	if p.Keys < 1 || p.Bound < 1 || p.Window < time.Second || p.Hot < 1 {
		return nil, errors.New("keys: everything must be positive, and the window at least a second")
	}
	out := &Report{Plan: p}
	progress(fmt.Sprintf("%d counters in process", p.Keys))
	out.Embedded = embedded(p, p.Keys+1)
	progress(fmt.Sprintf("%d counters in process, of which %d may be kept", p.Keys, p.Bound))
	out.Bounded = embedded(p, p.Bound)
	c := redis.NewClient(&redis.Options{Addr: address})
	defer c.Close()
	progress(fmt.Sprintf("%d counters in Redis", p.Keys))
	if err := remote(ctx, c, address, p, out); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if err := hot(ctx, c, address, p, out); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return out, nil
}

// heap is what is in use when nothing is left to collect.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func limitOf(p Plan) *quota.Limit {
	return &quota.Limit{Name: "bench", Windows: []quota.Window{{Count: 1000, Per: p.Window}}, Lease: quota.Lease{Max: 100, Time: min(time.Second, p.Window/10)}}
}

func charge(l *quota.Limit, i int) []quota.Charge {
	var k quota.Key
	binary.BigEndian.PutUint64(k[:], uint64(i)*0x9e3779b97f4a7c15) // spread as digests are
	binary.BigEndian.PutUint64(k[8:], uint64(i))
	return []quota.Charge{{Limit: l, Key: k, Group: binary.BigEndian.Uint64(k[:])}}
}

func embedded(p Plan, most int) Memory {
	var now time.Duration
	before, l := heap(), limitOf(p)
	e := own.NewEmbedded(func() time.Duration { return now }, most)
	for i := range p.Keys {
		e.TryTake(charge(l, i))
	}
	m := Memory{Keys: e.Keys(), Bytes: heap() - before}
	now = p.Window + p.Window/own.Slices + time.Second
	e.Sweep()
	m.Left = e.Keys()
	return m
}

func remote(ctx context.Context, c *redis.Client, address string, p Plan, out *Report) error {
	empty, err := used(ctx, c)
	if err != nil {
		return err
	}
	before, l, began := heap(), limitOf(p), time.Now()
	r := shared.New(shared.Options{Addresses: []string{address}, Prefix: prefix, Timeout: 5 * time.Second}, func() time.Duration { return time.Since(began) }, p.Bound)
	// Nobody runs it, so nothing goes back: this is the most that there can be.
	work := make(chan int)
	errs := make(chan error, 16)
	for range cap(errs) {
		go func() {
			var err error
			for i := range work {
				charges := charge(l, i)
				if a, e := r.Take(ctx, charges); e != nil || a.Outcome != quota.Admitted {
					err = errors.Join(e, a.Cause, errors.New("a call was not admitted"))
				}
			}
			errs <- err
		}()
	}
	for i := range p.Keys {
		work <- i
	}
	close(work)
	for range cap(errs) {
		err = errors.Join(err, <-errs)
	}
	if err != nil {
		return err
	}
	loaded := time.Now()
	out.Replica.Bytes = heap() - before
	out.Replica.Keys = r.Status().Keys // after the heap was looked at, so that it was there
	full, err := used(ctx, c)
	if err != nil {
		return err
	}
	n, err := c.DBSize(ctx).Result()
	if err != nil {
		return err
	}
	out.Redis = Memory{Keys: int(n), Bytes: full - empty}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(max(0, p.Window+p.Window/own.Slices-time.Since(loaded)) + time.Second):
	}
	// Redis forgets what it meets, and looks for the rest ten times a second.
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		n, err := c.DBSize(ctx).Result()
		if err != nil {
			return err
		}
		if out.Redis.Left = int(n); n == 0 || time.Now().After(end) {
			return nil
		}
	}
}

// hot makes calls of one counter, and asks Redis how many scripts it ran for them.
func hot(ctx context.Context, c *redis.Client, address string, p Plan, out *Report) error {
	if err := c.ConfigResetStat(ctx).Err(); err != nil {
		return err
	}
	l, began := limitOf(p), time.Now()
	l.Windows[0] = quota.Window{Count: 1_000_000_000, Per: time.Hour}
	l.Lease.Time = time.Second
	r := shared.New(shared.Options{Addresses: []string{address}, Prefix: prefix, Timeout: 5 * time.Second}, func() time.Duration { return time.Since(began) }, p.Bound)
	for range p.Hot {
		charges := charge(l, 0)
		a, known := r.TryTake(charges)
		if !known {
			var err error
			if a, err = r.Take(ctx, charges); err != nil {
				return err
			}
		}
		if a.Outcome == quota.Admitted {
			out.Admitted++
		}
	}
	text, err := c.Info(ctx, "commandstats").Result()
	for _, name := range []string{"evalsha", "eval"} {
		if _, rest, ok := strings.Cut(text, "cmdstat_"+name+":calls="); ok {
			digits, _, _ := strings.Cut(rest, ",")
			n, bad := strconv.ParseUint(digits, 10, 64)
			out.Trips, err = out.Trips+n, errors.Join(err, bad)
		}
	}
	return err
}

func used(ctx context.Context, c *redis.Client) (int64, error) {
	text, err := c.Info(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(text, "used_memory:")
	digits, _, _ := strings.Cut(rest, "\r\n")
	return strconv.ParseInt(digits, 10, 64)
}

// Table writes the report as Markdown.
func (r *Report) Table(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d callers, one counter of one window of %v each.\n\n| kept by | counters | MB | bytes for a counter | counters when the window has passed |\n|---|--:|--:|--:|--:|\n", r.Plan.Keys, r.Plan.Window)
	for _, row := range []struct {
		name string
		m    Memory
		left string
	}{
		{"a gateway, max_keys beyond", r.Embedded, strconv.Itoa(r.Embedded.Left)},
		{fmt.Sprintf("a gateway, max_keys %d", r.Plan.Bound), r.Bounded, strconv.Itoa(r.Bounded.Left)},
		{fmt.Sprintf("a gateway beside Redis, max_keys %d", r.Plan.Bound), r.Replica, ""},
		{"Redis", r.Redis, strconv.Itoa(r.Redis.Left)},
	} {
		fmt.Fprintf(&b, "| %s | %d | %.1f | %d | %s |\n", row.name, row.m.Keys, float64(row.m.Bytes)/1e6, row.m.Bytes/int64(max(1, row.m.Keys)), row.left)
	}
	fmt.Fprintf(&b, "\nA hot counter: %d scripts in Redis (INFO commandstats) for %d calls, %.1f for 1000.\n", r.Trips, r.Admitted, 1000*float64(r.Trips)/float64(max(1, r.Admitted)))
	_, err := io.WriteString(w, b.String())
	return err
}
