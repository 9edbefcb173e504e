package notation

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Flow is a number of bytes in a window of time.
type Flow struct {
	Size Size // at least 1
	Per  time.Duration
}

// Flows is a set of limits that all apply; no two have the same window.
type Flows []Flow

const (
	flowPattern  = `[1-9][0-9]{0,11}(B|KiB|MiB|GiB|KB|MB|GB)/(second|minute|hour|day|s|min|h|d)`
	flowsPattern = `^` + flowPattern + `( ?, ?` + flowPattern + `){0,3}$`
)

var flows = regexp.MustCompile(flowsPattern)

// Notation describes flows.
func (Flows) Notation() Notation {
	return Notation{
		Name:     "bytes per time",
		Pattern:  flowsPattern,
		Allowed:  `bytes per second, minute, hour or day, such as "10MiB/minute", or several: "10MiB/minute, 1GiB/day"`,
		Examples: []string{"10MiB/minute", "10MiB/minute, 1GiB/day"},
	}
}

// UnmarshalText reads "10MiB/minute" or several flows with commas between.
func (f *Flows) UnmarshalText(text []byte) error {
	if !flows.Match(text) {
		return f.Notation().wrong(string(text))
	}
	var out Flows
	for part := range strings.SplitSeq(string(text), ",") {
		amount, window, _ := strings.Cut(strings.TrimSpace(part), "/")
		var size Size
		if err := size.UnmarshalText([]byte(amount)); err != nil {
			return err
		}
		per := windowOf(window)
		for _, other := range out {
			if other.Per == per {
				return fmt.Errorf("%s has two flows for one window; keep one", quote(string(text)))
			}
		}
		out = append(out, Flow{size, per})
	}
	*f = out
	return nil
}

// MarshalText writes the flows in the order they were given.
func (f Flows) MarshalText() ([]byte, error) {
	parts := make([]string, len(f))
	for i, one := range f {
		size, err := one.Size.MarshalText()
		if err != nil {
			return nil, err
		}
		parts[i] = string(size) + "/" + nameOf(one.Per)
	}
	return []byte(strings.Join(parts, ", ")), nil
}
