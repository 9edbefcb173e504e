package anomaly

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/config/notation"
)

// Config is the user's "guards.anomaly" section.
type Config struct {
	WarmUp     int           `yaml:"warm_up" min:"5" max:"100000" doc:"Calls by which a caller, or a caller's use of a tool, is known; before them nothing is unusual"`
	WarmUpTime time.Duration `yaml:"warm_up_time" min:"1s" max:"30d" doc:"How long it must be known besides"`
	Deviations float64       `yaml:"deviations" min:"2" max:"100" doc:"How many standard deviations beyond the usual are unusual"`
	Action     string        `yaml:"action" oneof:"label|hold|deny" doc:"What happens to an unusual call: label lets it go on, labelled; hold and deny refuse it, hold with a ticket"`
	Ignore     []Tool        `yaml:"ignore" doc:"Tools whose calls are never unusual"`
	MaxKeys    int           `yaml:"max_keys" min:"1000" max:"10000000" doc:"Callers, and uses of a tool by a caller, that this process remembers; those that called least recently are forgotten first"`
}

// Tool names tools.
type Tool struct {
	Servers []string `yaml:"servers" doc:"Servers it is about, such as crm or crm-*; all when absent"`
	Tools   []string `yaml:"tools" doc:"Tools it is about, such as batch_*; all when absent"`
}

// Default returns what holds where a configuration says nothing.
func Default() Config {
	return Config{WarmUp: 50, WarmUpTime: 10 * time.Minute, Deviations: 4, Action: "label", MaxKeys: 100_000}
}

const maxIgnore = 64

func (c *Config) validate() error {
	var errs []error
	if len(c.Ignore) > maxIgnore {
		errs = append(errs, fmt.Errorf("ignore: %d entries; a call may meet %d", len(c.Ignore), maxIgnore))
	}
	for i, t := range c.Ignore {
		if len(t.Servers)+len(t.Tools) == 0 {
			errs = append(errs, fmt.Errorf("ignore[%d]: names nothing; to ignore everything, remove anomaly_detection and resource_monitoring", i))
		}
		for key, list := range map[string][]string{"servers": t.Servers, "tools": t.Tools} {
			for j, p := range list {
				if p == "" || strings.Contains(strings.TrimSuffix(p, "*"), "*") {
					errs = append(errs, fmt.Errorf("ignore[%d].%s[%d]: %q is neither a name nor the beginning of some with * behind it", i, key, j, p))
				}
			}
		}
	}
	return errors.Join(errs...)
}

func (c *Config) ignored(server, tool string) bool {
	for i := range c.Ignore {
		if notation.Among(c.Ignore[i].Servers, server) && notation.Among(c.Ignore[i].Tools, tool) {
			return true
		}
	}
	return false
}
