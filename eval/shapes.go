package main

import (
	"maps"
	"slices"

	"github.com/sallyport/sallyport/eval/scores"
	"github.com/sallyport/sallyport/eval/shapes"
	"github.com/sallyport/sallyport/internal/inspect/lines"
	"github.com/sallyport/sallyport/internal/inspect/recogniser"
)

// shapes measures both detectors on made texts of other shapes.
func (e *evaluation) shapes() error {
	for _, c := range []struct {
		name  string
		class recogniser.Class
		texts []shapes.Text
		loose bool
	}{
		{"pii", recogniser.PII, shapes.Personal(e.seed, 3), false},
		{"secrets", recogniser.Secret, shapes.Secrets(e.seed, 12), true},
	} {
		d, err := lines.NewContent(c.class)
		if err != nil {
			return err
		}
		byType, byCarrier := make(map[string]*scores.Counts), make(map[string]*scores.Counts)
		exact := 0
		for _, t := range c.texts {
			var f found
			if err := ask(d, plain{Text: t.Text, Channel: "text"}, &f); err != nil {
				return err
			}
			want := []scores.Span{{Type: t.Type, Start: t.Start, End: t.End}}
			before := missed(byType, t.Type)
			scores.Score(byType, want, f.Findings, c.loose)
			if at := byCarrier[t.Carrier]; at == nil {
				byCarrier[t.Carrier] = new(scores.Counts)
			}
			if missed(byType, t.Type) > before {
				byCarrier[t.Carrier].Missed++
				if e.verbose {
					e.row("  miss "+t.Type+", "+t.Carrier, "%q %v", t.Text, f.Findings)
				}
			} else {
				byCarrier[t.Carrier].Hit++
			}
			if slices.ContainsFunc(f.Findings, func(s scores.Span) bool { return s.Start == t.Start && s.End == t.End }) {
				exact++
			}
		}
		e.summary(c.name+", made shapes", byType, c.loose)
		e.row(c.name+", made shapes", "exact spans %d of %d", exact, len(c.texts))
		for _, k := range slices.Sorted(maps.Keys(byCarrier)) {
			if s := byCarrier[k]; s.Recall() < 0.9 {
				e.row("  weak carrier: "+k, "recall %.3f of %d", s.Recall(), s.Hit+s.Missed)
			}
		}
		flagged, all := 0, shapes.Harmless(e.seed, 8)
		for _, t := range all {
			var f found
			if err := ask(d, plain{Text: t.Text, Channel: "text"}, &f); err != nil {
				return err
			}
			if len(f.Findings) > 0 {
				flagged++
				if e.verbose {
					e.row("  false "+c.name, "%q %v", t.Text, f.Findings)
				}
			}
		}
		e.row(c.name+", made near misses", "flagged %d of %d", flagged, len(all))
	}
	return nil
}

func missed(counts map[string]*scores.Counts, t string) int {
	if c := counts[t]; c != nil {
		return c.Missed
	}
	return 0
}

// summary prints F2 over all structured types, and the mean of all types.
func (e *evaluation) summary(what string, counts map[string]*scores.Counts, all bool) {
	var structured scores.Counts
	macro, types := 0.0, 0
	for _, t := range slices.Sorted(maps.Keys(counts)) {
		c := counts[t]
		if c.Hit+c.Missed > 0 {
			macro, types = macro+c.F2(), types+1
		}
		if all || !free(t) {
			structured.Hit, structured.Missed, structured.False = structured.Hit+c.Hit, structured.Missed+c.Missed, structured.False+c.False
		}
		if c.F2() < 0.9 {
			e.row("  weak: "+t, "F2 %.3f  recall %.3f  false %d", c.F2(), c.Recall(), c.False)
		}
	}
	e.row(what, "F2 %.3f  macro F2 %.3f", structured.F2(), macro/float64(max(1, types)))
}
