package notation

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Money is an amount of US dollars in micro-dollars, the millionth part of a
// dollar: sums of prices per token stay exact.
type Money int64

const moneyPattern = `\$(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?`

var money = regexp.MustCompile(`^` + moneyPattern + `$`)

// Notation describes amounts.
func (Money) Notation() Notation {
	return Notation{
		Name:     "amount of money",
		Pattern:  `^` + moneyPattern + `$`,
		Allowed:  `US dollars with up to six decimals, such as "$50" or "$0.01"`,
		Examples: []string{"$50", "$0.01"},
	}
}

// UnmarshalText reads "$50" or "$0.01".
func (m *Money) UnmarshalText(text []byte) error {
	parts := money.FindSubmatch(text)
	if parts == nil {
		return m.Notation().wrong(string(text))
	}
	whole, err := strconv.ParseInt(string(parts[1]), 10, 64)
	if err != nil {
		return err
	}
	micro := int64(0)
	if fraction := strings.TrimPrefix(string(parts[2]), "."); fraction != "" {
		if micro, err = strconv.ParseInt((fraction + "00000")[:6], 10, 64); err != nil {
			return err
		}
	}
	*m = Money(whole*1e6 + micro)
	return nil
}

// MarshalText writes the amount as "$0.01".
func (m Money) MarshalText() ([]byte, error) { return []byte("$" + decimal(int64(m), 1e6)), nil }

// Period is the time after which a budget begins anew.
type Period string

// The periods; calendar ones begin at 00:00 UTC.
const (
	PerHour  Period = "hour"
	PerDay   Period = "day"
	PerWeek  Period = "week"
	PerMonth Period = "month"
)

// Budget is an amount of money per period.
type Budget struct {
	Amount Money
	Per    Period
}

// Notation describes budgets.
func (Budget) Notation() Notation {
	return Notation{
		Name:     "budget",
		Pattern:  `^` + moneyPattern + `/(hour|day|week|month)$`,
		Allowed:  `US dollars per hour, day, week or month, such as "$1000/month"`,
		Examples: []string{"$1000/month"},
	}
}

// UnmarshalText reads "$1000/month".
func (b *Budget) UnmarshalText(text []byte) error {
	amount, per, _ := strings.Cut(string(text), "/")
	switch p := Period(per); p {
	case PerHour, PerDay, PerWeek, PerMonth:
		b.Per = p
	default:
		return b.Notation().wrong(string(text))
	}
	if b.Amount.UnmarshalText([]byte(amount)) != nil {
		return b.Notation().wrong(string(text))
	}
	return nil
}

// MarshalText writes the budget as "$1000/month".
func (b Budget) MarshalText() ([]byte, error) {
	amount, err := b.Amount.MarshalText()
	return fmt.Appendf(amount, "/%s", b.Per), err
}
