// Package injection looks for text in servers' messages that tries to instruct
// the model which reads it.
package injection

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/inspect/injection"
	"github.com/sallyport/sallyport/internal/inspect/wire"
	"github.com/sallyport/sallyport/internal/recent"
	"github.com/sallyport/sallyport/mcp"
)

// Config is the user's "guards.injection" section.
type Config struct {
	Results      Thresholds `yaml:"results" doc:"Scores from which on something happens to results, errors, prompts, resources, notifications and requests"`
	Descriptions Thresholds `yaml:"descriptions" doc:"The same for the descriptions of tools, prompts and resources"`
	Trusted      []string   `yaml:"trusted" doc:"Registered servers whose content is not inspected"`
	Critic       Critic     `yaml:"critic" doc:"A service that is asked for a second opinion on texts that look suspicious"`
}

// Thresholds are scores between 0 and 1; 0 stands for never.
type Thresholds struct {
	Alert      float64 `yaml:"alert" min:"0" max:"1" doc:"Label the exchange injection and list the places in the receipt; 0 for never"`
	Annotate   float64 `yaml:"annotate" min:"0" max:"1" doc:"Also say in the result's _meta what is suspicious, and put marks around the text; 0 for never"`
	Quarantine float64 `yaml:"quarantine" min:"0" max:"1" doc:"Put a note in the place of the text; 0 for never"`
	Refuse     float64 `yaml:"refuse" min:"0" max:"1" doc:"Withhold the whole message; 0 for never"`
}

// Suspected is the reason of this guard.
const Suspected guard.Reason = "injection_suspected"

// Ports say what other parts of the configuration ask for.
type Ports struct {
	Annotate bool // annotate whatever would only be alerted about

	// Critic makes who asks it; nil: a configuration is checked by itself.
	Critic func(Critic) (Asker, error)
	Now    func() time.Time // with Critic

	// Remember is how many texts to keep the scores of; 0: none.
	Remember int
}

// Default alerts, and changes nothing.
func Default() Config {
	return Config{Results: Thresholds{Alert: 0.85}, Descriptions: Thresholds{Alert: 0.9}, Critic: defaultCritic()}
}

// Spec presents the guard to the chain.
func Spec(p Ports) guard.Spec {
	return guard.Define("injection", "Looks for text that tries to instruct the model which reads it.", Default(),
		func(c Config) (guard.Guard, error) { return build(c, p) },
		guard.Want{Method: "*", Direction: mcp.ToClient}, // text has a place in every message, if only in an error
	).Scanning().WithReasons(guard.ReasonInfo{
		Reason: Suspected, Status: 200, Code: guard.CodeResponseContent,
		Text: "The server's message looks like instructions to the model that reads it, and was withheld.",
		When: "A text in a message to the client scored at least `refuse` of `guards.injection.results` or `descriptions`.",
	})
}

type detector struct {
	Config
	model  *injection.Model
	pool   sync.Pool // of *scan
	second *second   // nil where nobody is asked
	scores *recent.Texts[known]
}

// known is a score that was worked out before. The guard of another configuration
// has another table, and so nothing outlives a change of the rules.
type known struct {
	score float64
	set   bool
}

// worth is the length of the shortest text that is cheaper to look up than to
// score, in bytes.
const worth = 128

type scan struct {
	scratch  []byte
	detector *injection.Detector
	reader   wire.Reader
}

func build(c Config, p Ports) (guard.Guard, error) {
	if p.Annotate {
		for _, t := range []*Thresholds{&c.Results, &c.Descriptions} {
			if t.Annotate == 0 {
				t.Annotate = t.Alert
			}
		}
	}
	var errs []error
	for key, t := range map[string]Thresholds{"results": c.Results, "descriptions": c.Descriptions} {
		for name, v := range map[string]float64{"alert": t.Alert, "annotate": t.Annotate, "quarantine": t.Quarantine, "refuse": t.Refuse} {
			if v < 0 || v > 1 {
				errs = append(errs, fmt.Errorf("%s.%s: %v is not between 0 and 1", key, name, v))
			}
		}
	}
	errs = append(errs, c.Critic.validate())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	m, err := injection.Shipped()
	if err != nil {
		return nil, err
	}
	if _, err := injection.New(m); err != nil {
		return nil, err
	}
	g := &detector{Config: c, model: m}
	if g.second, err = newSecond(c.Critic, p); err != nil {
		return nil, err
	}
	if p.Remember > 0 {
		if g.scores, err = recent.NewTexts[known](p.Remember); err != nil {
			return nil, err
		}
	}
	g.pool.New = func() any {
		d, err := injection.New(m)
		if err != nil {
			return nil // it worked a moment ago; Inspect reports it
		}
		return &scan{detector: d}
	}
	return g, nil
}

// RequestsOnly tells a host without responses which setting needs them.
func (g *detector) RequestsOnly() error {
	for key, t := range map[string]Thresholds{"results": g.Results, "descriptions": g.Descriptions} {
		if t.Annotate > 0 || t.Quarantine > 0 || t.Refuse > 0 {
			return fmt.Errorf("%s: annotate, quarantine and refuse need to see what servers answer", key)
		}
	}
	return nil
}
