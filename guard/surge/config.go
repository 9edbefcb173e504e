package surge

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Config is the user's "guards.surge" section. It takes effect with
// gateway.rate_limiting.adaptive_surge.
type Config struct {
	Limit     LimitConfig `yaml:"limit" doc:"How many calls of this replica may be at one server at once"`
	Tolerance int         `yaml:"tolerance" min:"1" max:"1000" doc:"By how many percent a server may be slower than when it has little to do, before it gets less"`
	Errors    int         `yaml:"errors" min:"1" max:"100" doc:"Percentage of calls that may fail before it gets less"`
	Lend      int         `yaml:"lend" min:"1" max:"100" doc:"Percentage of the limit that tenants beyond their share may use while nobody else wants it; the rest is kept for who comes next"`
	Idle      int         `yaml:"idle" min:"1" max:"100" doc:"Percentage of the limit up to which a server counts as idle, so that guards.quota may lend"`
	Queue     QueueConfig `yaml:"queue" doc:"Calls that wait for their turn"`
	Classes   []Class     `yaml:"classes" doc:"Kinds of calls, most urgent first; a call is of the first class that it fits, and of the first without any condition otherwise"`
	Tenants   []Tenant    `yaml:"tenants" doc:"Tenants whose share is not one part"`
}

// LimitConfig bounds the limit that is found.
type LimitConfig struct {
	Min   int `yaml:"min" min:"1" max:"100000" doc:"Never fewer"`
	Start int `yaml:"start" min:"1" max:"100000" doc:"So many before anything is known"`
	Max   int `yaml:"max" min:"1" max:"100000" doc:"Never more"`
}

// QueueConfig bounds what waits.
type QueueConfig struct {
	Length int           `yaml:"length" min:"0" max:"10000" doc:"Calls that may wait for one server; 0 refuses instead"`
	Time   time.Duration `yaml:"time" min:"0s" max:"10m" doc:"How long one may wait; less than guards.surge.timeout"`
}

// Class is a kind of calls. What is absent does not matter; what is there must
// all fit.
type Class struct {
	Name    string   `yaml:"name" required:"true" doc:"What receipts and status call it"`
	Labels  []string `yaml:"labels" doc:"Labels, such as a policy gives, of which a call has one"`
	Tools   []string `yaml:"tools" doc:"Tools, such as export_*"`
	Agents  []string `yaml:"agents" doc:"Agents as their tokens name them"`
	Clients []string `yaml:"clients" doc:"OAuth clients"`
}

// Tenant is one tenant's part.
type Tenant struct {
	Name   string `yaml:"name" required:"true" doc:"The tenant, as tokens name it"`
	Weight int    `yaml:"weight" required:"true" min:"1" max:"1000" doc:"Parts that it gets where others get one"`
}

// Default returns what holds where a configuration says nothing.
func Default() Config {
	return Config{
		Limit: LimitConfig{Min: 4, Start: 20, Max: 1000}, Tolerance: 5, Errors: 10, Lend: 90, Idle: 50,
		Queue:   QueueConfig{Length: 100, Time: 500 * time.Millisecond},
		Classes: []Class{{Name: "interactive"}, {Name: "batch", Labels: []string{"priority:batch"}}},
	}
}

const maxClasses = 8

var className = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

func (c *Class) conditional() bool {
	return len(c.Labels)+len(c.Tools)+len(c.Agents)+len(c.Clients) > 0
}

// validate reports everything that is wrong.
func (c *Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Limit.Min > c.Limit.Start || c.Limit.Start > c.Limit.Max {
		bad("limit: min, start and max must not fall: %d, %d, %d", c.Limit.Min, c.Limit.Start, c.Limit.Max)
	}
	if len(c.Classes) > maxClasses {
		bad("classes: %d classes; there may be %d", len(c.Classes), maxClasses)
	}
	seen, rest := make(map[string]bool), 0
	for i := range c.Classes {
		k := &c.Classes[i]
		switch {
		case !className.MatchString(k.Name):
			bad("classes[%d]: name: %q is not a small letter with small letters, digits, _ and - behind it", i, k.Name)
		case seen[k.Name]:
			bad("classes[%d]: name: %q is the name of two classes", i, k.Name)
		}
		seen[k.Name] = true
		if !k.conditional() {
			rest++
		}
		for _, l := range k.Labels {
			if l == "" {
				bad("classes[%d]: labels: one is empty", i)
			}
		}
		for _, p := range k.Tools {
			if p == "" || strings.Count(p, "*") > 8 {
				bad("classes[%d]: tools: %q is no pattern", i, p)
			}
		}
	}
	if len(c.Classes) > 0 && rest != 1 {
		bad("classes: exactly one class must have no condition, for all other calls; %d have none", rest)
	}
	names := make(map[string]bool)
	for i, t := range c.Tenants {
		if t.Name == "" || names[t.Name] {
			bad("tenants[%d]: name: %q is empty, or there twice", i, t.Name)
		}
		names[t.Name] = true
	}
	return errors.Join(errs...)
}
