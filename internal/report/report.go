package report

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
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
	Settings    Settings
	Build       string // version of the gateway that reports
	Now         time.Time
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
	Count   uint64
	Samples []Sample
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
	First, Last   time.Time
	Configs       []Revision // that decided, the most frequent first
	Results       []Result
	Parts         []*Shown // all that some control names, each once
	Unproved      bool     // some directory is
	ConfigFile    string
	CurrentConfig string // revision of the configuration that was read
}

// Revision is a configuration that receipts name.
type Revision struct {
	ID    string
	Count uint64
}

// ErrUnverified means that a directory is not proved to be as it was written, so
// that nothing is attested from it.
var ErrUnverified = errors.New("report: nothing is attested from receipts that are not proved to be as they were written")

// ErrTwice means that two directories hold the same receipts, of which no report is made.
var ErrTwice = fmt.Errorf("%w: two directories hold the same", ErrUnverified)

// Make makes a report.
func Make(f *Framework, o Options) (*Report, error) {
	r := &Report{Framework: f, Options: o}
	for _, dir := range o.Directories {
		got, err := verify.Directory(dir, o.Verify)
		if err != nil {
			return nil, err
		}
		for i := range r.Sources { // a copy in another's place would count twice, and what it took the place of not at all
			if o := r.Sources[i].Report; o.Replica == got.Replica && got.Receipts > 0 && o.FirstSeq <= got.LastSeq && got.FirstSeq <= o.LastSeq {
				return nil, fmt.Errorf("%w: %s and %s, of replica %s", ErrTwice, r.Sources[i].Path, dir, got.Replica)
			}
		}
		s := Source{Path: dir, Report: got, Proved: got.OK && got.Signatures == "valid"}
		r.Sources = append(r.Sources, s)
		r.Lost += got.Lost
		if !s.Proved {
			r.Unproved = true
			if !o.Unverified {
				why := "its signatures were not checked"
				if !got.OK {
					why = fmt.Sprintf("%d findings, the first: %s", len(got.Findings)+got.More, got.Findings[0])
				}
				return nil, fmt.Errorf("%w: %s: %s", ErrUnverified, dir, why)
			}
		}
	}
	shown := make(map[string]*Shown)
	for i := range f.Controls {
		c := Result{Control: &f.Controls[i]}
		for _, e := range c.Evidence {
			if shown[e.Topic] == nil {
				shown[e.Topic] = r.ask(e)
				r.Parts = append(r.Parts, shown[e.Topic])
			}
			c.Parts = append(c.Parts, shown[e.Topic])
		}
		r.Results = append(r.Results, c)
	}
	if err := r.count(); err != nil {
		return nil, err
	}
	if err := r.ends(); err != nil {
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

// ask reads what configuration says about a topic.
func (r *Report) ask(e *Evidence) *Shown {
	out := &Shown{Evidence: e}
	for _, s := range e.Config {
		value, set := r.Settings.Value(s.At)
		out.Config = append(out.Config, Read{s, value, s.holds(value, set)})
	}
	for i := range e.Receipts {
		out.Receipts = append(out.Receipts, Counted{Query: &e.Receipts[i]})
	}
	return out
}

// count reads every receipt of the period once.
func (r *Report) count() error {
	configs := make(map[string]uint64)
	for d := range r.Sources {
		prover, err := verify.NewProver(r.Sources[d].Path)
		if err != nil {
			prover = nil // verify has said so, and the caller wants to go on
		}
		err = verify.Query(r.Sources[d].Path, verify.Filter{Since: r.Since, Until: r.Until}, func(_ verify.Place, line []byte) (bool, error) {
			one, err := read(line)
			if err != nil || one.Action == "" {
				return true, err
			}
			r.note(one, configs)
			for _, p := range r.Parts {
				for j := range p.Receipts {
					if q := &p.Receipts[j]; q.fits(one) {
						q.Count++
						if len(q.Samples) < r.Samples {
							q.Samples = append(q.Samples, sample(line, prover))
						}
					}
				}
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	r.Configs = frequent(configs)
	return nil
}

// ends counts what began and of which no receipt says how it ended. A period's last
// exchanges may have ended after it, which counts.
func (r *Report) ends() (err error) {
	r.Opens, err = verify.Open(r.Directories, verify.Filter{Since: r.Since, Until: r.Until}, func(verify.Unended) error {
		r.Unended++
		return nil
	})
	return err
}

func (r *Report) note(one *receipt, configs map[string]uint64) {
	r.Receipts++
	if one.Action != "allow" {
		r.Refused++
	}
	if r.First.IsZero() || one.Time.Before(r.First) {
		r.First = one.Time
	}
	if one.Time.After(r.Last) {
		r.Last = one.Time
	}
	configs[one.Config]++
}

func sample(line []byte, prover *verify.Prover) Sample {
	var s Sample
	l, err := chain.Parse(bytes.TrimSuffix(line, []byte("\n")))
	if err != nil {
		return s
	}
	s.Replica, s.Seq, s.Hash = l.Replica, l.Seq, l.Hash.String()
	if prover != nil {
		s.Proof, _ = prover.Prove(l.Seq) // nil: not under a checkpoint, and the report says so
	}
	return s
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
