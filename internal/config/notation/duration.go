package notation

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Durations describes what ParseDuration reads. Struct fields are plain
// [time.Duration], so that guards need no type of ours.
func Durations() Notation {
	return Notation{
		Name:     "duration",
		Pattern:  `^(` + wordPattern + `|` + compactPattern + `|` + spokenPattern + `)$`,
		Allowed:  `a number and a unit, such as 500ms, 5m, "30 minutes", 24_hours or 7_days`,
		Examples: []string{"5m", "500ms", "30 minutes", "hourly", "7_days"},
	}
}

const (
	numberPattern  = `[0-9]{1,15}(\.[0-9]{1,9})?`
	unitPattern    = `(ms|s|m|h|d)`
	wordPattern    = `hourly|daily|weekly`
	compactPattern = `(` + numberPattern + unitPattern + `)+`
	spokenUnits    = `(milliseconds?|seconds?|minutes?|hours?|days?|weeks?)`
	spokenPattern  = numberPattern + `[ _]` + spokenUnits
)

var (
	compact     = regexp.MustCompile(`^` + compactPattern + `$`)
	compactPart = regexp.MustCompile(`(` + numberPattern + `)` + unitPattern)
	spoken      = regexp.MustCompile(`^(` + numberPattern + `)[ _]` + spokenUnits + `$`)
	bareNumber  = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
)

// ParseDuration reads a duration of at least zero: "5m", "1h30m", "30 minutes",
// "7_days" or "hourly".
func ParseDuration(s string) (time.Duration, error) {
	switch s {
	case "hourly":
		return time.Hour, nil
	case "daily":
		return day, nil
	case "weekly":
		return 7 * day, nil
	}
	if bareNumber.MatchString(s) {
		return 0, fmt.Errorf("%s has no unit; write %s", s, Durations().Allowed)
	}
	if m := spoken.FindStringSubmatch(s); m != nil {
		return times(m[1], unit(strings.TrimSuffix(m[3], "s")))
	}
	if !compact.MatchString(s) {
		return 0, Durations().wrong(s)
	}
	var sum time.Duration
	last := time.Duration(1<<63 - 1)
	for _, m := range compactPart.FindAllStringSubmatch(s, -1) {
		u := unit(m[3])
		if u >= last {
			return 0, fmt.Errorf("%s is not a duration: its units must go from large to small, each once", quote(s))
		}
		last = u
		d, err := times(m[1], u)
		if err != nil {
			return 0, err
		}
		if sum += d; sum < 0 {
			return 0, errOverflow
		}
	}
	return sum, nil
}

func unit(s string) time.Duration {
	switch s {
	case "ms", "millisecond":
		return time.Millisecond
	case "s", "second":
		return time.Second
	case "m", "minute":
		return time.Minute
	case "h", "hour":
		return time.Hour
	case "d", "day":
		return day
	case "week":
		return 7 * day
	}
	return 0
}

// times multiplies exactly: a duration is never rounded.
func times(number string, u time.Duration) (time.Duration, error) {
	r, ok := new(big.Rat).SetString(number)
	if !ok {
		return 0, fmt.Errorf("%s is not a number", quote(number))
	}
	r.Mul(r, new(big.Rat).SetInt64(int64(u)))
	if !r.IsInt() {
		return 0, fmt.Errorf("%s is finer than a nanosecond", quote(number))
	}
	if !r.Num().IsInt64() {
		return 0, errOverflow
	}
	return time.Duration(r.Num().Int64()), nil
}

// FormatDuration writes d in its shortest compact form, such as "1h30m".
func FormatDuration(d time.Duration) string {
	if d <= 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range []struct {
		size time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if n := d / u.size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d %= u.size
		}
	}
	switch {
	case d == 0:
	case d >= time.Second:
		b.WriteString(decimal(int64(d), int64(time.Second)) + "s")
	default:
		b.WriteString(decimal(int64(d), int64(time.Millisecond)) + "ms")
	}
	return b.String()
}

// decimal writes n/per exactly; per is a power of ten.
func decimal(n, per int64) string {
	digits := len(fmt.Sprint(per)) - 1
	if n%per == 0 {
		return fmt.Sprint(n / per)
	}
	return strings.TrimRight(fmt.Sprintf("%d.%0*d", n/per, digits, n%per), "0")
}

// Range is a span of durations, such as the lifetimes a token may have.
type Range struct{ Min, Max time.Duration }

var spokenRange = regexp.MustCompile(`^(` + numberPattern + `)-(` + numberPattern + `)([ _])` + spokenUnits + `$`)

// Notation describes ranges.
func (Range) Notation() Notation {
	one := compactPattern + `|` + spokenPattern + `|` + wordPattern
	return Notation{
		Name:     "range of durations",
		Pattern:  `^(` + numberPattern + `-` + numberPattern + `[ _]` + spokenUnits + `|(` + compactPattern + `)-(` + compactPattern + `)|` + one + `)$`,
		Allowed:  `two durations, such as "5-15 minutes" or 5m-15m, or one`,
		Examples: []string{"5-15 minutes", "5m-15m", "10m"},
	}
}

// UnmarshalText reads "5-15 minutes", "5m-15m" or one duration.
func (r *Range) UnmarshalText(text []byte) error {
	s := string(text)
	low, high, two := strings.Cut(s, "-")
	if m := spokenRange.FindStringSubmatch(s); m != nil {
		low, high = m[1]+m[5]+m[6], m[3]+m[5]+m[6]
	} else if !two {
		high = low
	} else if !compact.MatchString(low) || !compact.MatchString(high) {
		return r.Notation().wrong(s)
	}
	var err error
	if r.Min, err = ParseDuration(low); err != nil {
		return err
	}
	if r.Max, err = ParseDuration(high); err != nil {
		return err
	}
	if r.Min > r.Max {
		return errors.New("begins with the longer duration; write the shorter one first")
	}
	return nil
}

// MarshalText writes the range as "5m-15m".
func (r Range) MarshalText() ([]byte, error) {
	if r.Min == r.Max {
		return []byte(FormatDuration(r.Min)), nil
	}
	return []byte(FormatDuration(r.Min) + "-" + FormatDuration(r.Max)), nil
}
