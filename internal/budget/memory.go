package budget

import (
	"context"
	"sync"
	"time"
)

// Memory is a [Store] of this process.
type Memory struct {
	mu   sync.Mutex
	days map[Day]map[Key]*Counts
	keep func() time.Duration
	now  func() time.Time
}

// NewMemory returns a store that forgets days that are older than keep.
func NewMemory(now func() time.Time, keep func() time.Duration) *Memory {
	return &Memory{days: make(map[Day]map[Key]*Counts), keep: keep, now: now}
}

// Add adds rows.
func (m *Memory) Add(_ context.Context, _ uint64, rows []Row) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range rows {
		r := &rows[i]
		keys := m.days[r.Day]
		if keys == nil {
			keys = make(map[Key]*Counts)
			m.days[r.Day] = keys
		}
		if keys[r.Key] == nil {
			keys[r.Key] = new(Counts)
		}
		keys[r.Key].Add(&r.Counts)
	}
	oldest := DayOf(m.now().Add(-m.keep()))
	for day := range m.days {
		if day < oldest {
			delete(m.days, day)
		}
	}
	return nil
}

// Read returns the rows of days.
func (m *Memory) Read(_ context.Context, days []Day) (out []Row, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, day := range days {
		for k, c := range m.days[day] {
			out = append(out, Row{day, k, *c})
		}
	}
	return out, nil
}
