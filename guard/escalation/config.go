package escalation

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/config/notation"
)

// Config is the user's "guards.escalation" section. What is escalated stands in
// the guide's block, autonomy_controls.boundary_controls.
type Config struct {
	HumanInLoop string   `yaml:"human_in_loop" oneof:"watch|hold" doc:"What happens to the actions of human_in_loop: watch lets them go on and raises an event for the person who watches; hold lets none go on without approval"`
	Answers     string   `yaml:"answers" oneof:"hold|watch|allow" doc:"What happens to what a client answers to elicitation and sampling of a server whose tools do what is held: hold, watch (an event; the person who answers decides), or allow. Saying no is always allowed"`
	Measure     []string `yaml:"measure" doc:"Where params have the measure of escalation_threshold, as JSON pointers; when absent, /_meta/<name> and /arguments/<name>. Of several values the worst counts"`
	Undeclared  string   `yaml:"undeclared" oneof:"allow|escalate" doc:"What a call is that declares no measure"`
	Threshold   string   `yaml:"threshold_for" oneof:"writes|all" doc:"Calls that the threshold is about; the registry says which tools only read"`
	Labels      Labels   `yaml:"labels" doc:"Labels, of policies and other guards, that say more of a call than the registry does; * stands for any text"`
}

// Labels put calls into classes.
type Labels struct {
	Write     []string `yaml:"write" doc:"The call writes"`
	External  []string `yaml:"external" doc:"The call reaches what lies outside of the organisation"`
	Financial []string `yaml:"financial" doc:"The call moves money"`
	Approve   []string `yaml:"approve" doc:"A person has to approve the call, whatever it is, such as anomaly:*"`
}

// Default returns what holds where a configuration says nothing.
func Default() Config {
	return Config{HumanInLoop: "watch", Answers: "hold", Undeclared: "allow", Threshold: "writes", Labels: Labels{
		Write: []string{"write"}, External: []string{"external"}, Financial: []string{"financial"}, Approve: []string{"escalate"},
	}}
}

// Boundary is the guide's autonomy_controls.boundary_controls.
type Boundary struct {
	HumanInLoop      string // actions, or "none"
	ApprovalRequired string
	Threshold        notation.Comparison
}

func (b *Boundary) empty() bool {
	return (b.HumanInLoop == "" || b.HumanInLoop == "none") && (b.ApprovalRequired == "" || b.ApprovalRequired == "none") && b.Threshold == (notation.Comparison{})
}

func (c *Config) validate() error {
	var errs []error
	for i, p := range c.Measure {
		if !strings.HasPrefix(p, "/_meta/") && !strings.HasPrefix(p, "/arguments/") {
			errs = append(errs, fmt.Errorf("measure[%d]: %q is no JSON pointer that begins with /_meta/ or /arguments/", i, p))
		}
	}
	for key, list := range map[string][]string{"write": c.Labels.Write, "external": c.Labels.External, "financial": c.Labels.Financial, "approve": c.Labels.Approve} {
		for i, p := range list {
			if p == "" || strings.Count(p, "*") > 1 || strings.Contains(strings.TrimSuffix(p, "*"), "*") {
				errs = append(errs, fmt.Errorf("labels.%s[%d]: %q is neither a label nor the beginning of some with * behind it", key, i, p))
			}
		}
	}
	return errors.Join(errs...)
}

// threshold is a comparison, ready for use.
type threshold struct {
	on       bool
	text     string
	op       string
	value    float64
	pointers []string
}

func compile(c notation.Comparison, pointers []string) (threshold, error) {
	if c == (notation.Comparison{}) {
		return threshold{}, nil
	}
	v, err := strconv.ParseFloat(c.Value, 64)
	if err != nil {
		return threshold{}, fmt.Errorf("escalation_threshold: %w", err)
	}
	if len(pointers) == 0 {
		pointers = []string{"/_meta/" + c.Subject, "/arguments/" + c.Subject}
	}
	return threshold{on: true, text: c.Subject + " " + c.Op + " " + c.Value, op: c.Op, value: v, pointers: pointers}, nil
}

func (t *threshold) holds(v float64) bool {
	switch t.op {
	case "<":
		return v < t.value
	case "<=":
		return v <= t.value
	case ">":
		return v > t.value
	}
	return v >= t.value
}
