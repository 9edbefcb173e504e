package guard

import (
	"slices"
	"strings"
)

// Prefixes of the labels by which a message carries what earlier ones brought,
// and of what its own arguments say.
const (
	OfTask      = "task:"      // replies to the same caller in the same task were labelled so
	OfCaller    = "caller:"    // likewise, in any task
	OfArguments = "arguments:" // the arguments hold a field of this classification
)

func carried(label string) bool {
	return strings.HasPrefix(label, OfTask) || strings.HasPrefix(label, OfCaller) || strings.HasPrefix(label, OfArguments)
}

// Carried is what labels say of that.
type Carried struct {
	Task, Caller []string // in the order of the labels
	Arguments    string   // the highest classification of fields in the arguments; empty for none
}

// CarriedBy reads labels.
func CarriedBy(labels []string) (c Carried) {
	for _, l := range labels {
		if rest, ok := strings.CutPrefix(l, OfTask); ok {
			c.Task = append(c.Task, rest)
		} else if rest, ok := strings.CutPrefix(l, OfCaller); ok {
			c.Caller = append(c.Caller, rest)
		} else if rest, ok := strings.CutPrefix(l, OfArguments); ok && Rank(rest) > Rank(c.Arguments) {
			c.Arguments = rest
		}
	}
	return c
}

// Labels returns what is carried by task or caller, sorted.
func (c *Carried) Labels() []string {
	all := slices.Concat(c.Task, c.Caller)
	slices.Sort(all)
	return slices.Compact(all)
}

// Classification returns the highest classification that is carried, or nothing.
func (c *Carried) Classification() string {
	best := ""
	for _, l := range [...][]string{c.Task, c.Caller} {
		for _, one := range l {
			if Rank(one) > Rank(best) {
				best = one
			}
		}
	}
	return best
}

// Classifications returns the classifications of data in the guide's words, least
// sensitive first.
func Classifications() []string { return []string{"public", "internal", "confidential", "restricted"} }

// Rank orders classifications. What is none of them comes before all.
func Rank(class string) int {
	switch class {
	case "public":
		return 0
	case "internal":
		return 1
	case "confidential":
		return 2
	case "restricted":
		return 3
	}
	return -1
}
