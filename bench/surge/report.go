package surge

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Ratios returns, for each round, the p99 of the modest tenant beside the greedy
// one over that alone, sorted.
func (r *Report) Ratios() []float64 {
	var out []float64
	for i := range r.Alone {
		if r.Alone[i].P99 > 0 {
			out = append(out, r.Beside[i].P99/r.Alone[i].P99)
		}
	}
	slices.Sort(out)
	return out
}

// Ratio returns the median of [Report.Ratios].
func (r *Report) Ratio() float64 {
	q := r.Ratios()
	if len(q) == 0 {
		return 0
	}
	return q[len(q)/2]
}

// Refused returns the calls of the modest tenant that did not succeed, alone or
// beside the greedy one.
func (r *Report) Refused() int64 {
	var n int64
	for _, t := range append(slices.Clone(r.Alone), r.Beside...) {
		for _, k := range t.Errors {
			n += k
		}
	}
	return n
}

// Table writes the report as Markdown.
func (r *Report) Table(w io.Writer) error {
	var b strings.Builder
	p := r.Plan
	fmt.Fprintf(&b, "A server with %d workers, %v for a call; limit at most %d. The modest tenant makes %.0f calls/s, the greedy one always wants %d at once. Medians of %d rounds of %v.\n\n", p.Workers, p.Service, p.Ceiling, p.Rate, p.Greedy, p.Rounds, p.Duration)
	b.WriteString("| tenant | calls/s | p50 ms | p99 ms | most calls at the server | errors |\n|---|--:|--:|--:|--:|---|\n")
	for _, row := range []struct {
		name  string
		turns []Turn
	}{{"modest, alone", r.Alone}, {"modest, beside", r.Beside}, {"greedy", r.Greedy}} {
		errs, peak := map[string]int64{}, 0
		for _, t := range row.turns {
			peak = max(peak, t.Peak)
			for k, n := range t.Errors {
				errs[k] += n
			}
		}
		said := ""
		if len(errs) > 0 {
			said = strings.TrimPrefix(fmt.Sprint(errs), "map")
		}
		most := ""
		if peak > 0 {
			most = fmt.Sprint(peak)
		}
		fmt.Fprintf(&b, "| %s | %.0f | %.1f | %.1f | %s | %s |\n", row.name, median(row.turns, func(t Turn) float64 { return t.Rate }),
			median(row.turns, func(t Turn) float64 { return t.P50 }), median(row.turns, func(t Turn) float64 { return t.P99 }), most, said)
	}
	if q := r.Ratios(); len(q) > 0 {
		fmt.Fprintf(&b, "\np99 of the modest tenant beside the greedy one over that alone: %.2f (%.2f-%.2f)\n", q[len(q)/2], q[0], q[len(q)-1])
	}
	b.WriteString("\n| the server is | ms for a call | calls/s | most calls at the server | limit every half second |\n|---|--:|--:|--:|---|\n")
	for _, part := range r.Parts {
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %d | %s |\n", part.Name, part.Service, part.Rate, part.Peak, strings.Trim(fmt.Sprint(part.Limits), "[]"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
