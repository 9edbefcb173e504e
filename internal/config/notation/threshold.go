package notation

import (
	"fmt"
	"regexp"
	"strconv"
)

// Percent is a share of a budget at which somebody is told, in 1..100.
type Percent uint8

const percentPattern = `([1-9][0-9]?|100)%(_threshold)?`

var percent = regexp.MustCompile(`^` + percentPattern + `$`)

// Notation describes percentages.
func (Percent) Notation() Notation {
	return Notation{
		Name:     "percentage",
		Pattern:  `^` + percentPattern + `$`,
		Allowed:  `a whole number of percent from 1 to 100, such as "80%_threshold" or "80%"`,
		Examples: []string{"80%_threshold", "80%"},
	}
}

// UnmarshalText reads "80%_threshold" or "80%".
func (p *Percent) UnmarshalText(text []byte) error {
	m := percent.FindSubmatch(text)
	if m == nil {
		return p.Notation().wrong(string(text))
	}
	n, err := strconv.ParseUint(string(m[1]), 10, 8)
	if err != nil {
		return err
	}
	*p = Percent(n)
	return nil
}

// MarshalText writes the percentage as "80%".
func (p Percent) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%d%%", p), nil }

// Comparison is a condition on a number that an agent or a model reports.
type Comparison struct {
	Subject string // what is compared, such as "confidence"
	Op      string // "<", "<=", ">" or ">="
	Value   string // a decimal number as written
}

const comparisonPattern = `([a-z][a-z0-9_]{0,62}) (<=?|>=?) (0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?`

var comparison = regexp.MustCompile(`^` + comparisonPattern + `$`)

// Notation describes comparisons.
func (Comparison) Notation() Notation {
	return Notation{
		Name:     "comparison",
		Pattern:  `^` + comparisonPattern + `$`,
		Allowed:  `a name, one of < <= > >=, and a number, such as "confidence < 0.8"`,
		Examples: []string{"confidence < 0.8"},
	}
}

// UnmarshalText reads "confidence < 0.8".
func (c *Comparison) UnmarshalText(text []byte) error {
	m := comparison.FindStringSubmatch(string(text))
	if m == nil {
		return c.Notation().wrong(string(text))
	}
	*c = Comparison{m[1], m[2], m[3] + m[4]}
	return nil
}

// MarshalText writes the comparison as it was read.
func (c Comparison) MarshalText() ([]byte, error) {
	return []byte(c.Subject + " " + c.Op + " " + c.Value), nil
}
