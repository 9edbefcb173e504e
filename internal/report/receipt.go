package report

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/internal/audit/verify"
	"github.com/sallyport/sallyport/mcp"
)

// receipt is what is read of one.
type receipt struct {
	verify.Receipt
	Config string `json:"config"`
	Method string `json:"method"`
	Tool   struct {
		Facts []string `json:"facts"`
	} `json:"tool"`
	Events []struct {
		Kind string `json:"kind"`
	} `json:"events"`
	Guards []struct {
		Name     string           `json:"name"`
		Action   string           `json:"action"`
		Detail   string           `json:"detail"`
		Measures map[string]int64 `json:"measures"`
	} `json:"guards"`
	names map[string]bool // of its members
}

func read(line []byte) (*receipt, error) {
	r := new(receipt)
	if err := json.Unmarshal(line, r); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	r.names = make(map[string]bool)
	for name := range mcp.Members(line) {
		r.names[name] = true
	}
	return r, nil
}

// fits reports whether r is one that q asks for.
func (q *Query) fits(r *receipt) bool {
	one := func(want []string, have string) bool { return len(want) == 0 || slices.Contains(want, have) }
	if !one(q.Action, r.Action) || !one(q.Reason, r.Reason) || !one(q.Method, r.Method) || q.Direction != "" && q.Direction != r.Direction {
		return false
	}
	for _, m := range q.Has {
		if !r.names[m] {
			return false
		}
	}
	if len(q.Fact) > 0 && !slices.ContainsFunc(r.Tool.Facts, func(f string) bool { return slices.Contains(q.Fact, f) }) {
		return false
	}
	event := len(q.Event) == 0
	for i := range r.Events {
		event = event || slices.Contains(q.Event, r.Events[i].Kind)
	}
	guard, found := len(q.Guard) == 0, len(q.Found) == 0
	for i := range r.Guards {
		g := &r.Guards[i]
		guard = guard || slices.Contains(q.Guard, g.Name)
		found = found || slices.Contains(q.Found, g.Name) && (g.Action != "allow" || g.Detail != "" || len(g.Measures) > 0)
	}
	return event && guard && found
}
