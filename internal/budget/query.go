package budget

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Query says what usage is asked for.
type Query struct {
	From, To time.Time // days, both included
	Match    func(*Key) bool
	By       []string // day, tenant, project, agent, server, tool; everything apart when nil
}

// Query returns what was used, the most expensive first, or by day.
func (u *Usage) Query(ctx context.Context, q Query) ([]Row, error) {
	var days []Day
	for t := q.From.UTC().Truncate(24 * time.Hour); !t.After(q.To); t = t.Add(24 * time.Hour) {
		days = append(days, DayOf(t))
	}
	u.storing.Lock() // nothing moves between the store and what is pending meanwhile
	defer u.storing.Unlock()
	_ = u.flush(ctx) // what it does not store is counted below
	rows, err := u.store.Read(ctx, days)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	rows = append(rows, u.rows()...)
	rows = append(rows, u.sending...)
	u.mu.Unlock()
	sums := make(map[Row]*Counts)
	for i := range rows {
		r := &rows[i]
		if !slices.Contains(days, r.Day) || q.Match != nil && !q.Match(&r.Key) {
			continue
		}
		k := group(r, q.By)
		if sums[k] == nil {
			sums[k] = new(Counts)
		}
		sums[k].Add(&r.Counts)
	}
	out := make([]Row, 0, len(sums))
	for k, c := range sums {
		k.Counts = *c
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(b.Cost, a.Cost), cmp.Compare(b.Calls, a.Calls),
			cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Project, b.Project), cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Server, b.Server), cmp.Compare(a.Tool, b.Tool))
	})
	return out, nil
}

// Dimensions are what usage can be grouped by.
func Dimensions() []string { return []string{"day", "tenant", "project", "agent", "server", "tool"} }

func group(r *Row, by []string) (k Row) {
	if by == nil {
		by = Dimensions()
	}
	for _, d := range by {
		*k.dimension(d) = *r.dimension(d)
	}
	return k
}

// dimension is where r has one of [Dimensions].
func (r *Row) dimension(name string) *string {
	switch name {
	case "day":
		return (*string)(&r.Day)
	case "tenant":
		return &r.Tenant
	case "project":
		return &r.Project
	case "agent":
		return &r.Agent
	case "server":
		return &r.Server
	case "tool":
		return &r.Tool
	}
	return new(string)
}

// Of returns the value of one of [Dimensions], "" of anything else.
func (r *Row) Of(dimension string) string { return *r.dimension(dimension) }
