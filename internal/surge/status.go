package surge

import (
	"slices"
	"strings"
	"time"
)

// Status tells how one server stands.
type Status struct {
	Server    string `json:"server"`
	Limit     int    `json:"limit"`    // calls that it may get at once
	Calls     int    `json:"calls"`    // that it has
	Waiting   int    `json:"waiting"`  // for their turn
	Tenants   int    `json:"tenants"`  // with calls there, or waiting
	Usual     string `json:"usual"`    // time that a call takes at the moment
	Strained  bool   `json:"strained"` // it was slower than usual, or failed, when last looked at
	Admitted  uint64 `json:"admitted"`
	Waited    uint64 `json:"waited"`        // of these, how many had to wait
	Refused   uint64 `json:"refused"`       // for want of room
	Excess    uint64 `json:"refused_share"` // because their tenant had its share
	Displaced uint64 `json:"displaced"`     // of all that were refused, how many gave way to others
	Shrunk    uint64 `json:"shrunk"`        // times that the limit fell
}

// Status returns how each server stands, by name.
func (v *Valves) Status() []Status {
	v.mu.RLock()
	defer v.mu.RUnlock()
	out := make([]Status, 0, len(v.gates))
	for name, g := range v.gates {
		g.mu.Lock()
		out = append(out, Status{
			Server: name, Limit: g.limit(), Calls: g.n, Waiting: len(g.waiting), Tenants: g.active,
			Usual: g.law.latency.Round(10 * time.Microsecond).String(), Strained: g.law.strain > 0,
			Admitted: g.counts.admitted, Waited: g.counts.waited, Refused: g.counts.strained, Excess: g.counts.excess,
			Displaced: g.counts.displaced, Shrunk: g.law.shrunk,
		})
		g.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b Status) int { return strings.Compare(a.Server, b.Server) })
	return out
}
