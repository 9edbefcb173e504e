// Package normalise brings what servers answer into a form without hidden
// parts, before a model reads it.
package normalise

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/inspect/destination"
	"github.com/sallyport/sallyport/internal/inspect/normal"
	"github.com/sallyport/sallyport/mcp"
)

// Config is the user's "guards.normalise" section.
type Config struct {
	Text  string   `yaml:"text" oneof:"auto|keep|plain|markdown|html" doc:"Form of texts that servers answer: as they are, plain words, Markdown without HTML, or harmless HTML; auto is markdown with gateway.egress_control.content_inspection, and keep otherwise"`
	Hosts []string `yaml:"hosts" doc:"Hosts, or *.name, that links and images may lead to, by https, beside what guards.egress allows; where nothing is listed, links stay and images go"`
	Rules []Rule   `yaml:"rules" doc:"Exceptions from text; the first that fits counts"`
}

// Rule is an exception. What it leaves out fits everything.
type Rule struct {
	Servers []string `yaml:"servers" doc:"Registered servers"`
	Tools   []string `yaml:"tools" doc:"Tools, prompts or resources that are called"`
	Text    string   `yaml:"text" oneof:"keep|plain|markdown|html" required:"true" doc:"Form of their texts"`
}

// Ports say what other parts of the configuration ask for.
type Ports struct {
	Inspect bool                // what auto means: markdown, rather than keep
	Egress  *destination.Policy // where links may lead; nil or open: nothing is listed
}

// Spec presents the guard to the chain.
func Spec(p Ports) guard.Spec {
	return guard.Define("normalise", "Takes hidden parts, scripts and links to places that are not allowed out of what servers answer.", Config{Text: "auto"},
		func(c Config) (guard.Guard, error) { return build(c, p) }, wants()...).Scanning()
}

func wants() []guard.Want {
	var out []guard.Want
	for _, m := range []string{
		"tools/call", "resources/read", "prompts/get", "tasks/get", "tasks/result", "tasks/list", "tasks/cancel", "sampling/createMessage", "elicitation/create",
		"notifications/message", "notifications/progress", "notifications/tasks", "notifications/tasks/status",
	} {
		out = append(out, guard.Want{Method: m, Direction: mcp.ToClient})
	}
	return out
}

// normaliser is the guard. A nil form in it keeps texts as they are.
type normaliser struct {
	text    *normal.Normaliser
	visible *normal.Normaliser
	rules   []rule
}

type rule struct {
	servers, tools []string
	text           *normal.Normaliser
}

func build(c Config, p Ports) (guard.Guard, error) {
	policy, err := Destinations(c, p)
	errs := []error{err, notation.OneOf("text", c.Text, "auto", "keep", "plain", "markdown", "html")}
	form := func(name string) *normal.Normaliser {
		switch name {
		case "plain":
			return normal.New(normal.Plain, policy)
		case "markdown":
			return normal.New(normal.Markdown, policy)
		case "html":
			return normal.New(normal.HTML, policy)
		}
		return nil
	}
	text := c.Text
	switch {
	case text == "auto" && p.Inspect:
		text = "markdown"
	case text == "auto":
		text = "keep"
	}
	g := &normaliser{text: form(text), visible: normal.New(normal.Visible, policy)}
	works := text != "keep"
	for i, r := range c.Rules {
		errs = append(errs, notation.OneOf(fmt.Sprintf("rules[%d].text", i), r.Text, "keep", "plain", "markdown", "html"))
		works = works || r.Text != "keep"
		g.rules = append(g.rules, rule{r.Servers, r.Tools, form(r.Text)})
	}
	if err := errors.Join(errs...); err != nil || !works {
		return nil, err
	}
	return g, nil
}

// Destinations returns what says where links may lead, nil where nothing is
// listed.
func Destinations(c Config, p Ports) (admits func(url string) bool, err error) {
	var errs []error
	policy := &destination.Policy{}
	if p.Egress != nil && !p.Egress.Open {
		policy.Entries = slices.Clone(p.Egress.Entries)
	}
	for i, host := range c.Hosts {
		pattern, err := destination.HostPattern(host)
		if err != nil {
			errs = append(errs, fmt.Errorf("hosts[%d]: %w", i, err))
			continue
		}
		policy.Entries = append(policy.Entries, destination.Entry{Host: pattern})
	}
	if err := errors.Join(errs...); err != nil || len(policy.Entries) == 0 {
		return nil, err
	}
	return func(url string) bool { return policy.CheckURL(url) == nil }, nil
}

// RequestsOnly tells a host without responses that the guard needs them.
func (g *normaliser) RequestsOnly() error {
	return errors.New("text: needs to see what servers answer")
}

// form is the one for the texts of this exchange.
func (g *normaliser) form(x *guard.Exchange) *normal.Normaliser {
	for i := range g.rules {
		r := &g.rules[i]
		if (len(r.servers) == 0 || slices.Contains(r.servers, x.Server.Name)) && (len(r.tools) == 0 || slices.Contains(r.tools, x.Asked.Name)) {
			return r.text
		}
	}
	return g.text
}
