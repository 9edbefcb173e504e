// Package report says what a gateway contributes to the controls of a compliance
// framework, by pointers to its configuration, to receipts and to tests, and what
// each control needs beyond a gateway. It claims nothing that it cannot point at.
package report

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

//go:embed evidence.yaml frameworks/*.yaml
var shipped embed.FS

// Framework maps the controls of one published text to evidence. Summaries are in
// our own words; the text itself is its publisher's.
type Framework struct {
	ID        string      `yaml:"framework"`
	Title     string      `yaml:"title"`
	Text      string      `yaml:"text"` // edition that the mapping follows
	Source    string      `yaml:"source"`
	Note      string      `yaml:"note"`    // to the reader of a report
	Checked   string      `yaml:"checked"` // what of the numbers and titles was held against which source
	Controls  []Control   `yaml:"controls"`
	Elsewhere []Elsewhere `yaml:"elsewhere"`
}

// Control is one that a gateway contributes to.
type Control struct {
	ID     string   `yaml:"id"`
	Title  string   `yaml:"title"`
	Asks   string   `yaml:"asks"`     // what the control is about
	Input  bool     `yaml:"input"`    // it is work of people, for which the gateway gives input and no more
	Topics []string `yaml:"evidence"` // what the gateway can point at
	Gaps   []string `yaml:"gaps"`     // what it needs beyond

	Evidence []*Evidence `yaml:"-"` // of Topics
}

// Evidence is what the gateway contributes about one topic, and where that shows.
type Evidence struct {
	Topic    string    `yaml:"-"`
	Gives    string    `yaml:"gives"`
	Config   []Setting `yaml:"config"`
	Receipts []Query   `yaml:"receipts"`
	Tests    []string  `yaml:"tests"` // folder.TestName, in this repository
	Docs     []string  `yaml:"docs"`
}

// Elsewhere are controls that a gateway does not address.
type Elsewhere struct {
	IDs []string `yaml:"ids"` // with their titles, where they are short
	Why string   `yaml:"why"`
}

// Setting is a condition on the configuration. Without any it must be set.
type Setting struct {
	At  string   `yaml:"at"`
	Is  []string `yaml:"is"`
	Not []string `yaml:"not"`
}

// Query counts receipts. All that it says must hold.
type Query struct {
	What      string   `yaml:"what"`
	Action    []string `yaml:"action"`
	Reason    []string `yaml:"reason"`
	Guard     []string `yaml:"guard"` // one of these was asked
	Found     []string `yaml:"found"` // one of these had something to say: a detail, a measure or a refusal
	Event     []string `yaml:"event"`
	Method    []string `yaml:"method"`
	Direction string   `yaml:"direction"`
	Has       []string `yaml:"has"` // members of the receipt
	Fact      []string `yaml:"fact"`
}

// IDs returns the frameworks that are shipped, sorted.
func IDs() []string {
	files, _ := fs.Glob(shipped, "frameworks/*.yaml") // the pattern is good
	out := make([]string, len(files))
	for i, f := range files {
		out[i] = strings.TrimSuffix(strings.TrimPrefix(f, "frameworks/"), ".yaml")
	}
	slices.Sort(out)
	return out
}

// Load returns a framework that is shipped.
func Load(id string) (*Framework, error) {
	text, err := shipped.ReadFile("frameworks/" + id + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("report: there is no framework %q; there are %s", id, strings.Join(IDs(), ", "))
	}
	var f Framework
	if err := decode(text, &f); err != nil {
		return nil, fmt.Errorf("report: framework %s: %w", id, err)
	}
	topics, err := Topics()
	if err != nil {
		return nil, err
	}
	for i := range f.Controls {
		c := &f.Controls[i]
		for _, t := range c.Topics {
			if e := topics[t]; e != nil {
				c.Evidence = append(c.Evidence, e)
			}
		}
	}
	return &f, f.validate()
}

// Topics returns all evidence by topic.
func Topics() (map[string]*Evidence, error) {
	text, err := shipped.ReadFile("evidence.yaml")
	if err != nil {
		return nil, fmt.Errorf("report: evidence: %w", err)
	}
	var all map[string]*Evidence
	if err := decode(text, &all); err != nil {
		return nil, fmt.Errorf("report: evidence: %w", err)
	}
	for topic, e := range all {
		e.Topic = topic
		if e.Gives == "" || len(e.Config) == 0 || len(e.Tests) == 0 || len(e.Docs) == 0 || slices.ContainsFunc(e.Receipts, func(q Query) bool { return q.What == "" || q.empty() }) {
			return nil, fmt.Errorf("report: evidence %s: claims without a pointer", topic)
		}
	}
	return all, nil
}

func decode(text []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	return d.Decode(into)
}

// validate refuses a mapping that claims without a pointer, or that names no gap.
func (f *Framework) validate() error {
	var errs []error
	seen := make(map[string]bool)
	for i := range f.Controls {
		c := &f.Controls[i]
		bad := func(what string) {
			errs = append(errs, fmt.Errorf("report: framework %s: control %q %s", f.ID, c.ID, what))
		}
		if seen[c.ID] || c.ID == "" || c.Title == "" || c.Asks == "" {
			bad("lacks an id of its own, a title, or what it asks")
		}
		seen[c.ID] = true
		if len(c.Evidence) == 0 || len(c.Evidence) != len(c.Topics) {
			bad("names evidence that there is not")
		}
		if len(c.Gaps) == 0 {
			bad("names no gap, and no gateway fulfils a control by itself")
		}
		for _, s := range append([]string{c.Asks}, c.Gaps...) { // a comma in a list of YAML makes two entries of one
			if !sentence(s) {
				bad(fmt.Sprintf("says %q, which is no sentence", s))
			}
		}
	}
	if f.ID == "" || f.Title == "" || f.Text == "" || f.Source == "" || f.Checked == "" || len(f.Elsewhere) == 0 {
		errs = append(errs, fmt.Errorf("report: framework %s lacks a part", f.ID))
	}
	return errors.Join(errs...)
}

func sentence(s string) bool {
	return len(s) > 1 && strings.ToUpper(s[:1]) == s[:1] && strings.HasSuffix(s, ".")
}

func (q *Query) empty() bool {
	return len(q.Action)+len(q.Reason)+len(q.Guard)+len(q.Found)+len(q.Event)+len(q.Method)+len(q.Has)+len(q.Fact) == 0 && q.Direction == ""
}
