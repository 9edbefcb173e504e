package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
)

//go:embed page.html
var page string

// view is the report in the words of the page.
type view struct {
	Title, About, Warning, Legend, HowToCheck string
	Unproved                                  bool
	Facts                                     [][2]string
	Sources                                   []sourceView
	Controls                                  []controlView
	Evidence                                  []partView
	Elsewhere                                 []Elsewhere
}

type sourceView struct{ Path, Replica, Range, Verdict, Remarks string }

type controlView struct {
	Anchor, ID, Title, Asks string
	Status                  Status
	Parts                   []*Shown
	Gaps                    []string
}

type partView struct {
	Topic, Gives string
	Status       Status
	Config       []configView
	Receipts     []queryView
	Tests, Docs  []string
}

type configView struct{ At, Said, Verdict string }

type queryView struct {
	What    string
	Count   string
	Samples string
}

// HTML writes the report as one page that loads nothing.
func (r *Report) HTML(w io.Writer) error {
	t, err := template.New("page").Parse(page)
	if err != nil {
		return fmt.Errorf("report: html: %w", err)
	}
	v := view{Title: r.Title, About: r.about(), Warning: unproved, Legend: legend, HowToCheck: howToCheck, Unproved: r.Unproved, Facts: r.facts(), Elsewhere: r.Elsewhere}
	for i := range r.Sources {
		s := &r.Sources[i]
		v.Sources = append(v.Sources, sourceView{s.Path, s.Report.Replica, fmt.Sprintf("%d to %d", s.Report.FirstSeq, s.Report.LastSeq), s.verdict(), s.remarks()})
	}
	for i := range r.Results {
		c := &r.Results[i]
		v.Controls = append(v.Controls, controlView{anchor(c.ID + " " + c.Title), c.ID, c.Title, c.Asks, c.Status, c.Parts, c.Gaps})
	}
	for _, p := range r.Parts {
		out := partView{Topic: p.Topic, Gives: p.Says(), Status: p.Status, Tests: p.Tests, Docs: p.Docs}
		for i := range p.Config {
			c := &p.Config[i]
			out.Config = append(out.Config, configView{c.At, c.said(), c.verdict()})
		}
		for i := range p.Receipts {
			q := &p.Receipts[i]
			out.Receipts = append(out.Receipts, queryView{q.What, q.number(), r.samples(q)})
		}
		v.Evidence = append(v.Evidence, out)
	}
	if err := t.Execute(w, v); err != nil {
		return fmt.Errorf("report: html: %w", err)
	}
	return nil
}
