package conformance

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// regressions says which checks come out worse with the gateway than without.
// A check of one name may be made several times in a scenario.
func regressions(without, with []check) []string {
	type count struct{ passed, bad int }
	tally := func(checks []check) (map[string]count, map[string]string) {
		counts, why := make(map[string]count), make(map[string]string)
		for _, c := range checks {
			n := counts[c.ID]
			switch c.Status {
			case "SUCCESS":
				n.passed++
			case "FAILURE", "WARNING":
				n.bad++
				why[c.ID] = c.Status + " " + c.ErrorMessage
			}
			counts[c.ID] = n
		}
		return counts, why
	}
	before, _ := tally(without)
	after, why := tally(with)
	ids := maps.Clone(before)
	maps.Copy(ids, after)
	var worse []string
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if b, a := before[id], after[id]; a.passed < b.passed || a.bad > b.bad {
			worse = append(worse, fmt.Sprintf("%s: directly %d good and %d bad, through the gateway %d and %d %s", id, b.passed, b.bad, a.passed, a.bad, why[id]))
		}
	}
	return worse
}

func TestAnyCheckThatComesOutWorseIsFound(t *testing.T) {
	const good, bad, info = "SUCCESS", "FAILURE", "INFO"
	for _, c := range []struct {
		name          string
		without, with []check
		worse         int
	}{
		{"the same", []check{{ID: "a", Status: good}, {ID: "b", Status: bad}}, []check{{ID: "b", Status: bad}, {ID: "a", Status: good}}, 0},
		{"a check fails", []check{{ID: "a", Status: good}}, []check{{ID: "a", Status: bad}}, 1},
		{"one of two of a name fails", []check{{ID: "a", Status: good}, {ID: "a", Status: good}}, []check{{ID: "a", Status: good}, {ID: "a", Status: bad}}, 1},
		{"a check is not made", []check{{ID: "a", Status: good}}, []check{{ID: "a", Status: info}}, 1},
		{"the scenario is missing", []check{{ID: "a", Status: good}, {ID: "b", Status: good}}, nil, 2},
		{"a failure that is not there directly", nil, []check{{ID: "a", Status: bad}}, 1},
		{"better", []check{{ID: "a", Status: bad}}, []check{{ID: "a", Status: good}}, 0},
	} {
		if got := regressions(c.without, c.with); len(got) != c.worse {
			t.Errorf("%s: %d worse, want %d: %q", c.name, len(got), c.worse, got)
		}
	}
}
