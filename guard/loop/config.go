package loop

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/config/notation"
)

// Config is the user's "guards.loop" section.
type Config struct {
	Repeats  int           `yaml:"repeats" min:"2" max:"1000" doc:"Times that the same call may get the same answer in a row; the next one is refused. Calls are the same if tool and arguments are, however they are written"`
	Errors   int           `yaml:"errors" min:"2" max:"1000" doc:"Calls of one tool that may fail in a row, whatever their arguments"`
	Rounds   int           `yaml:"rounds" min:"2" max:"10" doc:"Times that a cycle of 2 to 6 calls, of one agent or several, may go round with the same answers"`
	Within   time.Duration `yaml:"within" min:"1s" max:"1h" doc:"Longest pause inside of a row or cycle; after a longer one, counting begins anew"`
	Depth    int           `yaml:"depth" min:"1" max:"64" doc:"Calls that may stand one within another, by trace context"`
	FanOut   int           `yaml:"fan_out" min:"2" max:"100000" doc:"Calls that one call may cause in the time of within, by trace context"`
	PollTime time.Duration `yaml:"poll_time" min:"100ms" max:"1h" doc:"Calls that come as evenly as a program's, and no more often than this, are polling and no loop"`
	Action   string        `yaml:"action" oneof:"deny|hold" doc:"deny refuses; hold also gives a ticket, by which a person can let the call pass once that workflow exists"`
	Tools    []Tool        `yaml:"tools" doc:"Tools with limits of their own; of several that match, the first counts"`
	MaxKeys  int           `yaml:"max_keys" min:"1000" max:"10000000" doc:"Rows, and cycles, that this process remembers; those used least recently are forgotten first"`
}

// Tool has the limits of some tools.
type Tool struct {
	Servers []string `yaml:"servers" doc:"Servers it is about, such as crm or crm-*; all when absent"`
	Tools   []string `yaml:"tools" doc:"Tools it is about, such as wait_*; all when absent"`
	Off     bool     `yaml:"off" doc:"These tools may be called again and again"`
	Repeats int      `yaml:"repeats" min:"0" max:"1000" doc:"Instead of repeats; 0 leaves it"`
	Errors  int      `yaml:"errors" min:"0" max:"1000" doc:"Instead of errors; 0 leaves it"`
	Answers string   `yaml:"answers" oneof:"compare|ignore" doc:"ignore takes any two answers for the same, for tools whose answers hold a time or an id of their own"`
	Action  string   `yaml:"action" oneof:"deny|hold" doc:"Instead of action"`
}

// Default sets what holds for a tool where a configuration says nothing.
func (t *Tool) Default() { t.Answers = "compare" }

// Default returns what holds where a configuration says nothing.
func Default() Config {
	return Config{
		Repeats: 10, Errors: 8, Rounds: 4, Within: 2 * time.Minute, Depth: 8, FanOut: 200, PollTime: 5 * time.Second,
		Action: "deny", MaxKeys: 100_000,
	}
}

const maxTools = 64

func (c *Config) validate() error {
	var errs []error
	if len(c.Tools) > maxTools {
		errs = append(errs, fmt.Errorf("tools: %d entries; a call may meet %d", len(c.Tools), maxTools))
	}
	for i, t := range c.Tools {
		for key, list := range map[string][]string{"servers": t.Servers, "tools": t.Tools} {
			for j, p := range list {
				if p == "" || strings.Count(p, "*") > 8 {
					errs = append(errs, fmt.Errorf("tools[%d].%s[%d]: %q is no pattern", i, key, j, p))
				}
			}
		}
		if t.Off && (t.Repeats != 0 || t.Errors != 0 || t.Action != "" || t.Answers == "ignore") {
			errs = append(errs, fmt.Errorf("tools[%d].off: with it, the other limits have no effect; remove them", i))
		}
	}
	return errors.Join(errs...)
}

// limits are those of one tool.
type limits struct {
	off             bool
	repeats, errors int
	ignore, hold    bool
}

// limits returns what holds for a tool.
func (c *Config) limits(server, tool string) limits {
	l := limits{repeats: c.Repeats, errors: c.Errors, hold: c.Action == "hold"}
	for i := range c.Tools {
		t := &c.Tools[i]
		if !notation.Among(t.Servers, server) || !notation.Among(t.Tools, tool) {
			continue
		}
		l.off, l.ignore = t.Off, t.Answers == "ignore"
		if t.Repeats > 0 {
			l.repeats = t.Repeats
		}
		if t.Errors > 0 {
			l.errors = t.Errors
		}
		if t.Action != "" {
			l.hold = t.Action == "hold"
		}
		break
	}
	return l
}
