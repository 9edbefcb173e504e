package cedar

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/cases"
)

// Report is the outcome of a bundle's tests.
type Report struct {
	Passed int             `json:"passed"`
	Failed []cases.Failure `json:"failed"`
	Unused []string        `json:"unused"` // policies that had a say in no case
}

// Test makes the policies ready as the gateway does, and asks them the cases of
// the bundle's *_test.json, each of which must say what it wants.
func Test(ctx context.Context, b *Bundle) (*Report, error) {
	p, err := New(b, Settings{Places: 1})
	if err != nil {
		return nil, err
	}
	r := &Report{Failed: []cases.Failure{}, Unused: []string{}}
	p.said = make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(b.Files)) {
		if !IsTest(name) {
			continue
		}
		table, err := cases.Read(b.Files[name])
		if err != nil {
			return nil, fmt.Errorf("cedar: %s: %w", name, err)
		}
		for _, c := range table {
			if c.Want == "" {
				return nil, fmt.Errorf("cedar: %s: %s: says not what it wants: allow, or the reason of a refusal", name, c.Name)
			}
		}
		failed := cases.Check(ctx, p, table)
		r.Failed = append(r.Failed, failed...)
		r.Passed += len(table) - len(failed)
	}
	for _, list := range []rules{p.permits, p.forbids, p.conditions, p.refusals, p.terms} {
		for _, one := range list {
			if !p.said[string(one.id)] {
				r.Unused = append(r.Unused, string(one.id))
			}
		}
	}
	slices.SortFunc(r.Unused, strings.Compare)
	return r, nil
}
