package report

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Markdown writes the report as Markdown.
func (r *Report) Markdown(w io.Writer) error {
	var b bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# %s: evidence of an MCP gateway\n", r.Title)
	p("%s\n", r.about())
	if r.Unproved {
		p("**%s**\n", unproved)
	}
	p("| | |\n|---|---|")
	for _, row := range r.facts() {
		p("| %s | %s |", row[0], cell(row[1]))
	}
	p("\n## Receipts that were read\n")
	p("| directory | replica | receipts | verified | remarks |\n|---|---|---|---|---|")
	for i := range r.Sources {
		s := &r.Sources[i]
		p("| %s | %s | %d to %d | %s | %s |", cell(s.Path), s.Report.Replica, s.Report.FirstSeq, s.Report.LastSeq, s.verdict(), cell(s.remarks()))
	}
	p("\n## Summary\n")
	p("| control | | the gateway's part |\n|---|---|---|")
	for i := range r.Results {
		c := &r.Results[i]
		p("| [%s](#%s) | %s | %s |", cell(c.ID), anchor(c.ID+" "+c.Title), cell(c.Title), c.Status)
	}
	p("\n%s\n", legend)
	p("## Controls")
	for i := range r.Results {
		c := &r.Results[i]
		p("\n### %s %s\n", c.ID, c.Title)
		p("%s\n", c.Asks)
		p("The gateway's part: **%s**.\n", c.Status)
		for _, part := range c.Parts {
			p("- [%s](#evidence-%s) (%s): %s", part.Topic, part.Topic, part.Status, part.Says())
		}
		p("\nGaps, which somebody else has to close:\n")
		for _, g := range c.Gaps {
			p("- %s", g)
		}
	}
	p("\n## Evidence\n")
	p("%s", howToCheck)
	for _, part := range r.Parts {
		r.markdownPart(p, part)
	}
	p("\n## Not addressed\n")
	p("| controls | why |\n|---|---|")
	for _, e := range r.Elsewhere {
		p("| %s | %s |", cell(strings.Join(e.IDs, "; ")), cell(e.Why))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (r *Report) markdownPart(p func(string, ...any), part *Shown) {
	p("\n### Evidence: %s\n", part.Topic)
	p("%s Status: **%s**.\n", part.Says(), part.Status)
	p("| configuration | says | |\n|---|---|---|")
	for i := range part.Config {
		c := &part.Config[i]
		p("| `%s` | %s | %s |", c.At, cell(c.said()), c.verdict())
	}
	if len(part.Receipts) > 0 {
		p("\n| receipts | number | samples |\n|---|---|---|")
		for i := range part.Receipts {
			q := &part.Receipts[i]
			p("| %s | %s | %s |", cell(q.What), q.number(), cell(r.samples(q)))
		}
	}
	p("\nTests in the source of this gateway, named and not run by this report: `%s`.", strings.Join(part.Tests, "`, `"))
	p("Documentation: %s.", strings.Join(part.Docs, ", "))
}

const (
	unproved   = "NOT ATTESTED. Some of the receipts are not proved to be as they were written, so what is said of receipts here is a claim and no evidence."
	howToCheck = "Each receipt that is shown can be proved without the others: `sallyport audit prove DIRECTORY --seq NUMBER` makes the proof (as --proofs does for all of them), and `sallyport audit verify --proof FILE --key PUB.pem` checks it."
	legend     = "*evidenced*: configured as the pointers say, and receipts of the period show it that a configuration decided which says the same. *configured*: configured, and no such receipt shows it, " +
		"or nothing of it can show in receipts. *input*: evidenced, and the control is work of people, such as to examine or to decide, which this is input for and does not show. *partly configured*: some of the pointers hold. *not configured*: none does. *unproved*: receipts show it that nobody can prove. " +
		"No status says that a control is fulfilled: each has gaps that a gateway does not close."
)

// String names the status for a reader.
func (s Status) String() string {
	if s == Partly {
		return "partly configured"
	}
	return string(s)
}

func (r *Report) about() string {
	return fmt.Sprintf("What one MCP gateway contributes to %s (%s), by its configuration and by the receipts of the period, and what it does not. "+
		"It is evidence for an assessment and no assessment. %s Source of the text: <%s>.", r.Title, r.Text, r.Note, r.Source)
}

// facts are what the report is made from.
func (r *Report) facts() [][2]string {
	period := "all receipts of the directories"
	if !r.Since.IsZero() || !r.Until.IsZero() {
		period = moment(r.Since, "the beginning") + " to " + moment(r.Until, "the end")
	}
	return [][2]string{
		{"Made", moment(r.Now, "") + " by sallyport " + r.Build},
		{"Period", period},
		{"Receipts", fmt.Sprintf("%d, of them %d that refuse; the first %s, the last %s%s", r.Receipts, r.Refused, moment(r.First, "none"), moment(r.Last, "none"), r.silence())},
		{"Keys that may have signed", r.keys()},
		{"Not recorded", fmt.Sprintf("%d decisions, as the gateways say; the end of %d exchanges, of them %d that a gateway's end cut off; the answers to %d requests, which the gateway is not shown",
			r.Lost, r.Unended, r.Over, r.Unseen)},
		{"Configuration that was read", r.read()},
		{"Configurations that decided", r.decided()},
		{"Numbers and titles of controls", "Checked: " + r.Checked},
	}
}

// silence says where a period begins or ends without receipts.
func (r *Report) silence() (words string) {
	const day = 24 * time.Hour
	if gap := r.First.Sub(r.Since); !r.Since.IsZero() && !r.First.IsZero() && gap > day {
		words += fmt.Sprintf(". Nothing is recorded in the first %d days of the period: whether the gateway ran then, receipts do not say", gap/day)
	}
	if gap := r.Until.Sub(r.Last); !r.Until.IsZero() && !r.Last.IsZero() && gap > day {
		words += fmt.Sprintf(". Nothing is recorded in its last %d days", gap/day)
	}
	return words
}

func (r *Report) keys() string {
	if len(r.Verify.Keys) == 0 {
		return "none was given"
	}
	return strings.Join(slices.Sorted(maps.Keys(r.Verify.Keys)), ", ")
}

// read names the configurations that were.
func (r *Report) read() string {
	words := r.File + ", revision " + r.Revision
	for i := range r.Others {
		words += "; to compare with, " + r.Others[i].File + ", revision " + r.Others[i].Revision
	}
	return words
}

// number says how many receipts are evidence, and how many would be if the same
// configuration had decided.
func (q *Counted) number() string {
	if q.Others == 0 {
		return fmt.Sprint(q.Count)
	}
	return fmt.Sprintf("%d (under another configuration: %d)", q.Count, q.Others)
}

// decided tells an auditor whether the pointers are about what was in force.
func (r *Report) decided() string {
	var words []string
	others := false
	for i, c := range r.Configs {
		others = others || c.ID != r.Revision
		if i < 8 {
			words = append(words, fmt.Sprintf("%s (%d receipts)", c.ID, c.Count))
		}
	}
	switch {
	case len(words) == 0:
		return "none: there are no receipts"
	case len(r.Configs) > len(words):
		words = append(words, fmt.Sprintf("and %d more", len(r.Configs)-len(words)))
	}
	if others {
		return strings.Join(words, ", ") + ". What this report says of configuration holds for the revision that was read; what another one decided is evidence of a topic where that one was read too and says the same of it, and else is counted apart"
	}
	return strings.Join(words, ", ")
}

func (s *Source) verdict() string {
	switch {
	case s.Proved:
		return "yes"
	case s.Report.OK:
		return "NO: signatures were not checked"
	}
	return fmt.Sprintf("NO: %d findings", len(s.Report.Findings)+s.Report.More)
}

func (s *Source) remarks() string {
	var out []string
	if len(s.Report.Findings) > 0 {
		out = append(out, "first finding: "+s.Report.Findings[0].String())
	}
	if n := s.Report.Unsealed; n > 0 {
		out = append(out, fmt.Sprintf("%d lines under no checkpoint", n))
	}
	if n := s.Report.Lost; n > 0 {
		out = append(out, fmt.Sprintf("%d decisions not recorded", n))
	}
	if n := s.Report.Interrupted; n > 0 {
		out = append(out, fmt.Sprintf("%d starts after a kill", n))
	}
	if s.Report.Published == "" {
		out = append(out, "not compared with published checkpoints")
	} else {
		out = append(out, "published: "+s.Report.Published)
	}
	return strings.Join(out, "; ")
}

func (c *Read) said() string {
	if c.Value == "" {
		return "nothing"
	}
	return c.Value
}

func (c *Read) verdict() string {
	switch {
	case c.Holds:
		return "holds"
	case len(c.Is) > 0:
		return "should be " + strings.Join(c.Is, " or ")
	case len(c.Not) > 0:
		return "should be set, and not " + strings.Join(c.Not, " or ")
	}
	return "should be set"
}

// samples names receipts so that they can be proved.
func (r *Report) samples(q *Counted) string {
	var out []string
	for i := range q.Samples {
		s := q.Samples[i]
		text := fmt.Sprintf("receipt %d of replica %s, hash %s…", s.Seq, s.Replica, s.Hash[:min(16, len(s.Hash))])
		if s.Proof == nil {
			text += ", not provable: no checkpoint covers it"
		}
		out = append(out, text)
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, "; ")
}

func moment(t time.Time, none string) string {
	if t.IsZero() {
		return none
	}
	return t.UTC().Format(time.RFC3339)
}

// plain takes from a text what Markdown would make of it: whoever named a directory, or
// changed a log so that it is found wrong, writes no links, images or emphasis.
var plain = strings.NewReplacer("\\", "\\\\", "|", "\\|", "\n", " ", "\r", " ", "<", "&lt;", "&", "&amp;", "[", "\\[", "]", "\\]", "`", "\\`", "*", "\\*", "~", "\\~")

// cell keeps a text within one cell of a table, whatever is in it.
func cell(s string) string {
	return plain.Replace(s)
}

// anchor is what renderers make of a heading.
func anchor(heading string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(heading) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
			b.WriteRune(c)
		case c == ' ':
			b.WriteByte('-')
		}
	}
	return b.String()
}
