package budget

import (
	"context"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard/budget"
)

// Key is what usage is told apart by, within a day.
type Key struct {
	Tenant  string `json:"tenant"`
	Project string `json:"project"`
	Agent   string `json:"agent"`
	Server  string `json:"server"`
	Tool    string `json:"tool"`
}

// Other stands for all that there was no room to tell apart.
const Other = "(others)"

// Counts are what was used.
type Counts struct {
	Calls       int64 `json:"calls"`
	Failed      int64 `json:"failed"`
	Destructive int64 `json:"destructive"`
	Cost        int64 `json:"cost_micro_usd"`
	Tokens      int64 `json:"tokens"`
	BytesIn     int64 `json:"bytes_in"`
	BytesOut    int64 `json:"bytes_out"`
}

// Add adds d.
func (c *Counts) Add(d *Counts) {
	c.Calls += d.Calls
	c.Failed += d.Failed
	c.Destructive += d.Destructive
	c.Cost = min(budget.Most, c.Cost+d.Cost)
	c.Tokens = min(budget.Most, c.Tokens+d.Tokens)
	c.BytesIn += d.BytesIn
	c.BytesOut += d.BytesOut
}

// Day is the date of a day of UTC, as in 2026-11-26.
type Day string

// DayOf returns the day that a moment is in.
func DayOf(t time.Time) Day { return Day(t.UTC().Format(time.DateOnly)) }

// Row is what was used by one key in one day.
type Row struct {
	Day Day `json:"day"`
	Key
	Counts
}

// Store keeps usage. Adding a batch again, under its number, changes nothing.
type Store interface {
	Add(ctx context.Context, number uint64, rows []Row) error
	Read(ctx context.Context, days []Day) ([]Row, error)
}

// Usage counts who used what. Somebody has to Run it.
type Usage struct {
	store Store

	storing sync.Mutex // one at a time

	mu      sync.Mutex
	most    int
	keep    time.Duration
	pending map[Day]map[Key]*Counts // not in the store yet
	known   map[Day]map[Key]bool    // that this process tells apart
	sending []Row
	number  uint64
	total   int64 // cost, of all calls since the start
}

// NewUsage returns a Usage that keeps what it counts in store.
func NewUsage(store Store) *Usage {
	return &Usage{store: store, most: 1000, keep: 24 * time.Hour, pending: make(map[Day]map[Key]*Counts), known: make(map[Day]map[Key]bool)}
}

// Bound changes how many keys a day tells apart, and how long days are kept.
func (u *Usage) Bound(most int, keep time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.most, u.keep = most, keep
}

// Keep returns how long days are kept.
func (u *Usage) Keep() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.keep
}

// Cost returns what all calls since the start cost.
func (u *Usage) Cost() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.total
}

// Record counts one call.
func (u *Usage) Record(e *budget.Entry) {
	day := DayOf(e.At)
	k := Key{e.Tenant, e.Project, e.Agent, e.Server, e.Tool}
	one := Counts{e.Calls, e.Failed, e.Destructive, e.Cost, e.Tokens, e.BytesIn, e.BytesOut}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.total += one.Cost
	known := u.known[day]
	if known == nil {
		known = make(map[Key]bool)
		u.known[day] = known
		for d := range u.known { // yesterday's calls may still end
			if d < DayOf(e.At.Add(-24*time.Hour)) {
				delete(u.known, d)
			}
		}
	}
	if !known[k] {
		if len(known) >= u.most {
			k = Key{Tenant: e.Tenant, Project: e.Project, Agent: Other, Server: e.Server, Tool: Other}
			if !known[k] && len(known) >= 2*u.most {
				k = Key{Other, Other, Other, Other, Other}
			}
		}
		known[k] = true
	}
	u.add(day, k, &one)
}

// add adds to what is pending. The caller holds mu.
func (u *Usage) add(day Day, k Key, one *Counts) {
	keys := u.pending[day]
	if keys == nil {
		keys = make(map[Key]*Counts)
		u.pending[day] = keys
	}
	if keys[k] == nil {
		keys[k] = new(Counts)
	}
	keys[k].Add(one)
}

// Run stores what was counted once a second, until ctx ends, and then once more.
func (u *Usage) Run(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			_ = u.Flush(end) // what the store does not take is lost with the process
			cancel()
			return
		case <-t.C:
			_ = u.Flush(ctx) // it is tried again
		}
	}
}

// Flush stores what was counted.
func (u *Usage) Flush(ctx context.Context) error {
	u.storing.Lock()
	defer u.storing.Unlock()
	return u.flush(ctx)
}

func (u *Usage) flush(ctx context.Context) error {
	u.mu.Lock()
	if u.sending == nil {
		u.sending = u.rows()
		clear(u.pending)
		u.number++
	}
	rows, number := u.sending, u.number
	u.mu.Unlock()
	if len(rows) > 0 {
		if err := u.store.Add(ctx, number, rows); err != nil {
			return err
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sending = nil
	return nil
}

// rows are what is pending. The caller holds mu.
func (u *Usage) rows() []Row {
	var out []Row
	for day, keys := range u.pending {
		for k, c := range keys {
			out = append(out, Row{day, k, *c})
		}
	}
	return out
}
