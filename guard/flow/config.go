package flow

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/guard"
)

// Config is the user's "guards.flow" section.
type Config struct {
	Labels     []string      `yaml:"labels" doc:"Labels of replies that follow whoever read them, such as untrusted, injection, pii, secret, and those that policies give. Classifications follow by themselves. Without any, nothing follows and the guard is left out"`
	TaskTime   time.Duration `yaml:"task_time" min:"1s" max:"30d" doc:"How long a task, which the caller's token must name, carries a label after the last reply that brought it"`
	CallerTime time.Duration `yaml:"caller_time" min:"1s" max:"30d" doc:"The same for a caller, whatever the task"`
	Untrusted  Untrusted     `yaml:"untrusted" doc:"Replies that get the label untrusted"`
	Raise      []Raise       `yaml:"raise" doc:"Labels of a reply that raise its data classification"`
	Unstated   string        `yaml:"unclassified" oneof:"public|internal|confidential|restricted" doc:"Classification of replies of which the registry does not state one"`
	From       string        `yaml:"classified_from" oneof:"internal|confidential|restricted" doc:"Lowest classification that follows. With a low one, more replies have to be kept in mind before they go on"`
	Unknown    string        `yaml:"when_unknown" oneof:"assume|refuse" doc:"What happens while the labels cannot be read: assume takes the caller for one that carries all of them, so that whatever no rule about labels forbids goes on; refuse reaches no decision, and on_error says what that means"`
	ValuesKey  string        `yaml:"values_key" doc:"Reference to a key, such as env:FLOW_KEY, of at least 16 bytes and the same for all replicas: receipts then hold fingerprints of values, by which an audit sees what of one reply stands among another call's arguments. Without it there are none"`
	MaxKeys    int           `yaml:"max_keys" min:"1000" max:"10000000" doc:"Callers and tasks with labels that this process keeps, where there is no Redis; replies that would need more are withheld"`
}

// Untrusted says whose replies hold what strangers may have written.
type Untrusted struct {
	From     []string `yaml:"from" doc:"Servers, such as web, and tools, prompts or resources, such as mail/read_*; * stands for any text"`
	External bool     `yaml:"external" doc:"Also tools that are registered as external and read_only: what they are for is to bring something in"`
}

// Raise says how sensitive a label makes a reply.
type Raise struct {
	Label          string `yaml:"label" required:"true" doc:"A label that a guard or policy gives"`
	Classification string `yaml:"data_classification" required:"true" oneof:"public|internal|confidential|restricted" doc:"At least so sensitive is the reply then"`
}

// Default returns what holds where a configuration says nothing.
func Default() Config {
	return Config{
		TaskTime: 12 * time.Hour, CallerTime: time.Hour, Untrusted: Untrusted{External: true}, Unstated: "internal", From: "confidential", Unknown: "assume", MaxKeys: 100_000,
		Raise: []Raise{{"pii", "confidential"}, {"secret", "restricted"}},
	}
}

// most bounds how many labels follow, beside the classifications.
const most = 32

// Words of this guard.
const (
	labelUntrusted = "untrusted"
	labelUnknown   = "flow:unknown"
	eventUnknown   = "labels_unknown"
)

func (c *Config) validate() error {
	var errs []error
	if len(c.Labels) > most {
		errs = append(errs, fmt.Errorf("labels: %d labels, and at most %d can follow", len(c.Labels), most))
	}
	for i, l := range c.Labels {
		switch {
		case !fits(l) || strings.HasPrefix(l, guard.OfTask) || strings.HasPrefix(l, guard.OfCaller) || strings.HasPrefix(l, guard.OfArguments):
			errs = append(errs, fmt.Errorf("labels[%d]: %q is no label that can follow: 1 to %d of a-z 0-9 . _ : / -, and none of the guard's own", i, l, longest))
		case guard.Rank(l) >= 0:
			errs = append(errs, fmt.Errorf("labels[%d]: %q is a classification, which follows by itself", i, l))
		case slices.Index(c.Labels, l) != i:
			errs = append(errs, fmt.Errorf("labels[%d]: %q is listed twice", i, l))
		}
	}
	for i, p := range c.Untrusted.From {
		if p == "" || strings.Count(p, "*") > 8 {
			errs = append(errs, fmt.Errorf("untrusted.from[%d]: %q is no pattern", i, p))
		}
	}
	for i, r := range c.Raise {
		if !fits(r.Label) || guard.Rank(r.Classification) < 0 {
			errs = append(errs, fmt.Errorf("raise[%d]: %q and %q are not a label and a classification", i, r.Label, r.Classification))
		}
	}
	if len(c.Labels) > 0 && len(c.Untrusted.From) > 0 && !slices.Contains(c.Labels, labelUntrusted) {
		errs = append(errs, fmt.Errorf("untrusted.from: has no effect unless labels has %s", labelUntrusted))
	}
	return errors.Join(errs...)
}

// longest is the length of a label that still fits with its prefix.
const longest = 64 - len(guard.OfCaller)

func fits(s string) bool { return guard.IsLabel(s) && len(s) <= longest }
