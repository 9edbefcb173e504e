package catalog

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport/guard/catalog"
	"github.com/sallyport/sallyport/internal/inspect/definition"
)

// toolset is a record about two states of some servers' tools.
type toolset struct {
	ID            json.RawMessage `json:"id"`
	Before, After []offer
}

type offer struct {
	Server string            `json:"server"`
	Tools  []json.RawMessage `json:"tools"`
}

type verdict struct {
	ID      json.RawMessage `json:"id,omitempty"`
	Verdict string          `json:"verdict"`
	Why     []string        `json:"why,omitempty"`
}

// Toolset is a detector of the line protocol: it says what became of the tools of
// some servers: same, changed, added, removed or shadowing, the gravest that fits.
func Toolset(line []byte) (any, error) {
	var r toolset
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, err
	}
	b, err := Open("")
	if err != nil {
		return nil, err
	}
	config := catalog.Default()
	config.Suspicion = catalog.Findings{Lookalike: "alert", SameName: "alert", NamesOther: "alert", Hidden: "ignore", Instructions: "ignore"}
	v := &view{b, config}
	before, _, err := v.offered(r.Before)
	if err != nil {
		return nil, err
	}
	after, events, err := v.offered(r.After)
	if err != nil {
		return nil, err
	}
	out := verdict{ID: r.ID, Verdict: "same"}
	for t := range after {
		if !before[t] {
			out.Verdict = "added"
		}
	}
	for t := range before {
		if !after[t] {
			out.Verdict = "removed"
		}
	}
	for _, kind := range []struct{ event, verdict string }{{eventChanged, "changed"}, {eventSuspicious, "shadowing"}} {
		for _, e := range events {
			if e.Kind == kind.event {
				out.Verdict = kind.verdict
				out.Why = append(out.Why, e.Detail)
			}
		}
	}
	return out, nil
}

// offered has the servers list their tools.
func (v *view) offered(list []offer) (all map[tool]bool, events []catalog.Event, err error) {
	all = make(map[tool]bool)
	for _, o := range list {
		var defs []definition.Definition
		for _, raw := range o.Tools {
			name, ok := definition.Name(definition.Tool, raw)
			if !ok {
				return nil, nil, fmt.Errorf("a tool of %s has no name", o.Server)
			}
			defs = append(defs, definition.Definition{Kind: definition.Tool, Name: name, Raw: raw})
			all[tool{o.Server, name}] = true
		}
		standings, err := v.See(context.Background(), o.Server, defs)
		if err != nil {
			return nil, nil, err
		}
		for _, s := range standings {
			events = append(events, s.Events...)
		}
	}
	return all, events, nil
}
