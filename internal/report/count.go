package report

import (
	"github.com/sallyport/sallyport/internal/audit/verify"
)

// count reads the lines of all directories, once each.
type count struct {
	*Report
	period  verify.Filter
	lives   *verify.Lives
	configs map[string]uint64
	err     error // why a line could not be read
}

func newCount(r *Report) *count {
	period := verify.Filter{Since: r.Since, Until: r.Until}
	return &count{Report: r, period: period, lives: verify.NewLives(period), configs: make(map[string]uint64)}
}

// line counts a line of a directory.
func (c *count) line(dir string, l *verify.Line) {
	one, err := read(l.Text)
	if err != nil {
		if c.err == nil {
			c.err = err
		}
		return
	}
	c.lives.Take(dir, l.Place, l.Text, &one.Receipt)
	if one.Action == "" || !c.period.Fits(&one.Receipt) {
		return
	}
	c.note(one)
	for _, p := range c.Parts {
		for i := range p.Receipts {
			switch q := &p.Receipts[i]; {
			case !q.fits(one):
			case !p.same[one.Config]:
				q.Others++
			default:
				q.Count++
				if len(q.Samples) < c.Samples {
					q.Samples = append(q.Samples, sample(l))
				}
			}
		}
	}
}

// end sums up. A period's last exchanges may have ended after it, which counts.
func (c *count) end() (err error) {
	if c.err != nil && !c.Unproved { // nobody but the gateway has written it; elsewhere verify has said what there is
		return c.err
	}
	c.Report.Configs = frequent(c.configs)
	c.Opens, err = c.lives.Opens(func(verify.Unended) error {
		c.Unended++
		return nil
	})
	return err
}

func (c *count) note(one *receipt) {
	r := c.Report
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
	c.configs[one.Config]++
}

// sample names a receipt, and has it proved once its segment is read.
func sample(l *verify.Line) *Sample {
	s := new(Sample)
	if l.Chain == nil {
		return s
	}
	s.Replica, s.Seq, s.Hash = l.Chain.Replica, l.Chain.Seq, l.Chain.Hash.String()
	l.Prove(func(p *verify.Proof) { s.Proof = p }) // else it is under no checkpoint, and the report says so
	return s
}
