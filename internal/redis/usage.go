package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	_ "embed"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/internal/budget"
)

var (
	//go:embed usage.lua
	usageSource string
	usageScript = redis.NewScript(usageSource)
)

// Usage is a [budget.Store] that replicas share: a hash for each day, with a field
// for each number of each key.
type Usage struct {
	l    *Limiter
	name string // of this replica
	keep func() time.Duration
}

// NewUsage returns a store that keeps days for so long.
func NewUsage(l *Limiter, keep func() time.Duration) *Usage {
	return &Usage{l: l, name: fmt.Sprintf("replica %016x", rand.Uint64()), keep: keep} //nolint:gosec // a name, no secret
}

func (u *Usage) key(day budget.Day) string { return u.l.o.Prefix + ":usage:{" + string(day) + "}" }

// letters are the names of the counts in their fields, in the order of figures.
const letters = "cfdmtio"

func figures(c *budget.Counts) [len(letters)]*int64 {
	return [...]*int64{&c.Calls, &c.Failed, &c.Destructive, &c.Cost, &c.Tokens, &c.BytesIn, &c.BytesOut}
}

// Add adds a batch, in parts of a bounded size: the parts of a batch have numbers
// in turn, so that each counts once.
func (u *Usage) Add(ctx context.Context, number uint64, rows []budget.Row) error {
	const part = 200
	days := make(map[budget.Day][]budget.Row)
	for _, r := range rows {
		days[r.Day] = append(days[r.Day], r)
	}
	for day, all := range days {
		for at := 0; at < len(all); at += part {
			if err := u.add(ctx, day, number<<20+uint64(at/part)+1, all[at:min(at+part, len(all))]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (u *Usage) add(ctx context.Context, day budget.Day, number uint64, rows []budget.Row) error {
	if why := u.l.open(); why != nil {
		return why
	}
	args := []any{u.name, number, u.keep().Milliseconds()}
	for i := range rows {
		r := &rows[i]
		name, err := json.Marshal([]string{r.Tenant, r.Project, r.Agent, r.Server, r.Tool})
		if err != nil {
			return fmt.Errorf("redis: usage: %w", err)
		}
		for n, v := range figures(&r.Counts) {
			if *v != 0 {
				args = append(args, letters[n:n+1]+string(name), *v)
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, u.l.o.Timeout)
	defer cancel()
	calls := []call{{keys: []string{u.key(day)}, args: args}}
	run(ctx, u.l.client, usageScript, calls)
	if err := calls[0].out.Err(); err != nil {
		err = fmt.Errorf("redis: usage: %w", err)
		u.l.failed(err)
		return err
	}
	return nil
}

// Read returns the rows of days.
func (u *Usage) Read(ctx context.Context, days []budget.Day) ([]budget.Row, error) {
	if why := u.l.open(); why != nil {
		return nil, why
	}
	var out []budget.Row
	for _, day := range days {
		fields, err := u.day(ctx, day)
		if err != nil {
			return nil, fmt.Errorf("redis: usage of %s: %w", day, err)
		}
		rows := make(map[budget.Key]*budget.Counts)
		for f, v := range fields {
			n := strings.IndexByte(letters, f[0])
			if n < 0 || len(f) < 2 || f[1] != '[' {
				continue // of a replica
			}
			var names []string
			value, err := strconv.ParseInt(v, 10, 64)
			if err != nil || json.Unmarshal([]byte(f[1:]), &names) != nil || len(names) != 5 {
				return nil, fmt.Errorf("redis: usage of %s: %q is no number of usage", day, f)
			}
			k := budget.Key{Tenant: names[0], Project: names[1], Agent: names[2], Server: names[3], Tool: names[4]}
			if rows[k] == nil {
				rows[k] = new(budget.Counts)
			}
			*figures(rows[k])[n] = value
		}
		for k, c := range rows {
			out = append(out, budget.Row{Day: day, Key: k, Counts: *c})
		}
	}
	return out, nil
}

func (u *Usage) day(ctx context.Context, day budget.Day) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*u.l.o.Timeout) // a large reply, and nobody's call waits for it
	defer cancel()
	return u.l.client.HGetAll(ctx, u.key(day)).Result()
}
