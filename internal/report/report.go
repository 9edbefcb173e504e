package report

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/audit/verify"
)

// Options say what a report is made from.
type Options struct {
	Directories []string // of receipts
	Verify      verify.Options
	Since       time.Time // from then on, and before Until
	Until       time.Time
	Unverified  bool // go on where a directory is not proved to be as it was written
	Samples     int  // receipts that are shown, with their proofs, for each query
	Configuration
	Others []Configuration // that decided at other times of the period
	Build  string          // version of the gateway that reports
	Now    time.Time
}

// Configuration is one that controls are mapped to.
type Configuration struct {
	File     string
	Revision string // that receipts name
	Settings Settings
}

// Status is what can be said of the gateway's part of a control. It never says that
// the control is fulfilled.
type Status string

// The statuses.
const (
	Evidenced     Status = "evidenced"      // configured so, and receipts of the period show it
	Configured    Status = "configured"     // configured so; no receipt of the period shows it
	Partly        Status = "partly"         // some of it is configured
	NotConfigured Status = "not configured" // nothing of it is
	Unproved      Status = "unproved"       // receipts show it, and nobody can prove them
	Input         Status = "input"          // all is evidenced, and the control is work of people who may use it
)

// Source is one directory as it was found.
type Source struct {
	Path   string
	Report *verify.Report
	Proved bool // it is as it was written, and its signatures were checked
}

// Sample is a receipt that is shown for a query.
type Sample struct {
	Replica string
	Seq     uint64
	Hash    string
	Proof   *verify.Proof // nil where no checkpoint covers it
}

// Counted is a query and what came of it.
type Counted struct {
	*Query
	Count   uint64 // under a configuration that says the same of the topic
	Others  uint64 // under one that does not, or that nobody showed, which are no evidence
	Samples []*Sample
}

// Read is a condition and what configuration says.
type Read struct {
	Setting
	Value string
	Holds bool
}

// Shown is evidence of one topic, as it is found.
type Shown struct {
	*Evidence
	Status   Status
	Config   []Read
	Receipts []Counted
	same     map[string]bool // revisions that say of it what the file says
}

// Says is what the gateway gives, or would give.
func (p *Shown) Says() string {
	switch p.Status {
	case NotConfigured:
		return "Not in force here. If it were: " + p.Gives
	case Partly:
		return "In force in part, as its table says. In whole: " + p.Gives
	}
	return p.Gives
}

// Result is one control.
type Result struct {
	*Control
	Status Status
	Parts  []*Shown // shared by the controls that name them
}

// Report is the answer.
type Report struct {
	*Framework
	Options
	Sources  []Source
	Receipts uint64 // of the period
	Refused  uint64 // of them
	Lost     uint64 // that the gateways say they could not keep
	Unended  int    // exchanges begun in the period whose end is on no receipt
	verify.Opens
	First, Last time.Time
	Configs     []Decider // that decided, the most frequent first
	Results     []Result
	Parts       []*Shown // all that some control names, each once
	Unproved    bool     // some directory is
}

// Decider is a configuration that receipts name.
type Decider struct {
	ID    string
	Count uint64
}

// ErrUnverified means that a directory is not proved to be as it was written, so
// that nothing is attested from it.
var ErrUnverified = errors.New("report: nothing is attested from receipts that are not proved to be as they were written")

// ErrTwice means that two directories hold the same receipts, of which no report is made.
var ErrTwice = fmt.Errorf("%w: two directories hold the same", ErrUnverified)

// Make makes a report. It reads each directory once: what is counted is what was verified.
func Make(f *Framework, o Options) (*Report, error) {
	r := &Report{Framework: f, Options: o}
	r.controls()
	c := newCount(r)
	for _, dir := range o.Directories {
		v := o.Verify
		v.Each = func(l *verify.Line) error { c.line(dir, l); return nil }
		got, err := verify.Directory(dir, v)
		if err != nil {
			return nil, err
		}
		if err := r.add(dir, got); err != nil {
			return nil, err
		}
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	for _, p := range r.Parts {
		p.conclude(r.Unproved)
	}
	for i := range r.Results {
		r.Results[i].conclude()
	}
	return r, nil
}

// add says of a directory what there is to say of it as evidence, and refuses it if
// that is nothing.
func (r *Report) add(dir string, got *verify.Report) error {
	for i := range r.Sources { // a copy in another's place would count twice, and what it took the place of not at all
		if o := r.Sources[i].Report; o.Replica == got.Replica && got.Receipts > 0 && o.FirstSeq <= got.LastSeq && got.FirstSeq <= o.LastSeq {
			return fmt.Errorf("%w: %s and %s, of replica %s", ErrTwice, r.Sources[i].Path, dir, got.Replica)
		}
	}
	s := Source{Path: dir, Report: got, Proved: got.OK && got.Signatures == "valid"}
	r.Sources = append(r.Sources, s)
	r.Lost += got.Lost
	if !s.Proved {
		r.Unproved = true
		if !r.Unverified {
			why := "its signatures were not checked"
			if !got.OK {
				why = fmt.Sprintf("%d findings, the first: %s", len(got.Findings)+got.More, got.Findings[0])
			}
			return fmt.Errorf("%w: %s: %s", ErrUnverified, dir, why)
		}
	}
	if got.Segments == 0 {
		return fmt.Errorf("report: %s holds no receipt segments", dir)
	}
	return nil
}

// controls asks what configuration says of each.
func (r *Report) controls() {
	shown := make(map[string]*Shown)
	for i := range r.Controls {
		c := Result{Control: &r.Controls[i]}
		for _, e := range c.Evidence {
			if shown[e.Topic] == nil {
				shown[e.Topic] = r.ask(e)
				r.Parts = append(r.Parts, shown[e.Topic])
			}
			c.Parts = append(c.Parts, shown[e.Topic])
		}
		r.Results = append(r.Results, c)
	}
}

// ask reads what configuration says about a topic.
func (r *Report) ask(e *Evidence) *Shown {
	out := &Shown{Evidence: e, same: make(map[string]bool)}
	for _, s := range e.Config {
		value, set := r.Settings.Value(s.At)
		out.Config = append(out.Config, Read{s, value, s.holds(value, set)})
	}
	for _, c := range append([]Configuration{r.Configuration}, r.Others...) {
		if c.Revision != "" && c.Settings.agree(r.Settings, e.Config) {
			out.same[c.Revision] = true
		}
	}
	for i := range e.Receipts {
		out.Receipts = append(out.Receipts, Counted{Query: &e.Receipts[i]})
	}
	return out
}

// conclude says what the evidence of a topic comes to.
func (p *Shown) conclude(unproved bool) {
	holds, found := 0, false
	for i := range p.Config {
		if p.Config[i].Holds {
			holds++
		}
	}
	for i := range p.Receipts {
		found = found || p.Receipts[i].Count > 0
	}
	switch {
	case holds == 0:
		p.Status = NotConfigured
	case holds < len(p.Config):
		p.Status = Partly
	case !found:
		p.Status = Configured
	case unproved:
		p.Status = Unproved
	default:
		p.Status = Evidenced
	}
}

// conclude says what the topics of a control come to: the least of them, and
// partly where they differ in whether they are configured.
func (c *Result) conclude() {
	order := []Status{NotConfigured, Partly, Unproved, Configured, Evidenced}
	low, high := len(order), -1
	for _, p := range c.Parts {
		at := slices.Index(order, p.Status)
		low, high = min(low, at), max(high, at)
	}
	switch c.Status = order[low]; {
	case c.Status == NotConfigured && high > 0:
		c.Status = Partly
	case c.Status == Evidenced && c.Input: // that something was recorded shows nobody's work
		c.Status = Input
	}
}
