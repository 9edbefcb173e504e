package notation

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Rate is a number of calls in a window of time.
type Rate struct {
	Count uint64 // at least 1
	Per   time.Duration
}

// Rates is a set of limits that all apply; no two have the same window.
type Rates []Rate

const (
	ratePattern  = `[1-9][0-9]{0,14}/(second|minute|hour|day|s|min|h|d)`
	ratesPattern = `^` + ratePattern + `( ?, ?` + ratePattern + `){0,3}$`
)

var rates = regexp.MustCompile(ratesPattern)

// Notation describes rates.
func (Rates) Notation() Notation {
	return Notation{
		Name:     "rate",
		Pattern:  ratesPattern,
		Allowed:  `calls per second, minute, hour or day, such as "1000/hour", or several: "20/second, 1000/hour"`,
		Examples: []string{"1000/hour", "20/second, 1000/hour"},
	}
}

// UnmarshalText reads "1000/hour" or several rates with commas between.
func (r *Rates) UnmarshalText(text []byte) error {
	if !rates.Match(text) {
		return r.Notation().wrong(string(text))
	}
	var out Rates
	for part := range strings.SplitSeq(string(text), ",") {
		count, window, _ := strings.Cut(strings.TrimSpace(part), "/")
		n, err := strconv.ParseUint(count, 10, 64)
		if err != nil {
			return err
		}
		per := windowOf(window)
		for _, other := range out {
			if other.Per == per {
				return fmt.Errorf("%s has two rates for one window; keep one", quote(string(text)))
			}
		}
		out = append(out, Rate{n, per})
	}
	*r = out
	return nil
}

func windowOf(s string) time.Duration {
	switch s {
	case "second", "s":
		return time.Second
	case "minute", "min":
		return time.Minute
	case "hour", "h":
		return time.Hour
	case "day", "d":
		return day
	}
	return 0
}

// MarshalText writes the rates in the order they were given.
func (r Rates) MarshalText() ([]byte, error) {
	parts := make([]string, len(r))
	for i, rate := range r {
		parts[i] = fmt.Sprintf("%d/%s", rate.Count, nameOf(rate.Per))
	}
	return []byte(strings.Join(parts, ", ")), nil
}

func nameOf(per time.Duration) string {
	switch per {
	case time.Minute:
		return "minute"
	case time.Hour:
		return "hour"
	case day:
		return "day"
	}
	return "second"
}
