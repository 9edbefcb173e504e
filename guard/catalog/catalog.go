// Package catalog holds what servers say of their tools, prompts and resources
// against what they said when somebody came to trust them.
package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/inspect/definition"
	"github.com/sallyport/sallyport/mcp"
)

// Config is the user's "guards.catalog" section.
type Config struct {
	Pin       string   `yaml:"pin" oneof:"off|trust_first_use|approved_only" doc:"When a definition counts as trusted: never asked, when it is first seen and nothing about it is suspicious, or only when an operator pins it"`
	OnChange  string   `yaml:"on_change" oneof:"quarantine|alert" doc:"What happens to a definition that changes: it is hidden and refused until an operator pins the new form, or people are told"`
	Unlisted  string   `yaml:"unlisted" oneof:"auto|allow|refuse" doc:"What happens to calls of tools and prompts that no list has shown to the gateway; auto refuses with approved_only, and allows with trust_first_use"`
	Announced string   `yaml:"announced" oneof:"allow|refuse" doc:"What happens to calls of a server that has announced other definitions, until somebody has listed them"`
	Suspicion Findings `yaml:"suspicion" doc:"What happens to a new or changed definition about which something is suspicious"`
	Directory string   `yaml:"directory" doc:"Folder in which pins are kept, one file per server, watched for the changes that the catalog commands and other replicas make; relative to the configuration. In memory, and gone with the process, when absent"`
}

// Findings say what happens for each kind of suspicion.
type Findings struct {
	Lookalike    string `yaml:"lookalike" oneof:"quarantine|alert|ignore" doc:"A tool's name that is taken for another's: case, separators, accents, letters that are drawn alike"`
	SameName     string `yaml:"same_name" oneof:"quarantine|alert|ignore" doc:"A tool's name that another server's tool has"`
	NamesOther   string `yaml:"names_other" oneof:"quarantine|alert|ignore" doc:"A description that speaks of a tool that another server has, and this one not"`
	Hidden       string `yaml:"hidden" oneof:"quarantine|alert|ignore" doc:"Invisible characters, comments or hidden markup in a definition"`
	Instructions string `yaml:"instructions" oneof:"quarantine|alert|ignore" doc:"Text that reads like orders to the model rather than a description"`
}

// Default trusts what is first seen and looks harmless, and no change. What can
// be honest, such as a description that compares a tool with another, or that is
// merely worded like an order, is told and not held.
func Default() Config {
	return Config{
		Pin: "trust_first_use", OnChange: "quarantine", Unlisted: "auto", Announced: "allow",
		Suspicion: Findings{Lookalike: "quarantine", SameName: "alert", NamesOther: "alert", Hidden: "quarantine", Instructions: "alert"},
	}
}

// State is what is known of a definition.
type State uint8

// The states. The zero State is of what was never seen.
const (
	Unknown State = iota
	Trusted
	Held // until an operator pins it
)

// Standing is where a definition stands.
type Standing struct {
	State  State
	Why    string  // it is held, for operators
	Like   string  // of what is unknown: the name of something known that differs by case only
	Stale  bool    // the server has announced other definitions of the kind, and has not been asked for them
	Events []Event // what happened just now
}

// Event is what people should learn of.
type Event struct{ Kind, Detail string }

// Book remembers definitions. It is used from many goroutines.
type Book interface {
	// Standing returns where a definition stands, without waiting for anything.
	Standing(server string, k definition.Kind, name string) Standing
	// Known returns the standings of definitions that were all seen in this very
	// form before, and false where one was not. It waits for nothing.
	Known(server string, list []definition.Definition) ([]Standing, bool)
	// See returns the standings of definitions as a server lists them now, and
	// remembers what is new. It may wait for a disk.
	See(ctx context.Context, server string, list []definition.Definition) ([]Standing, error)
	// Announced notes that a server says that it defines other things of a kind
	// now, and reports whether that is news.
	Announced(server string, k definition.Kind) bool
}

// Ports are what the guard needs from outside the process. A nil Open leaves it
// out.
type Ports struct {
	Open func(Config) (Book, error)
}

// Stale is the reason of this guard.
const Stale guard.Reason = "definitions_stale"

// Spec presents the guard to the chain.
func Spec(p Ports) guard.Spec {
	return guard.Define("catalog", "Compares what servers say of their tools, prompts and resources with what they said when they were trusted.", Default(),
		func(c Config) (guard.Guard, error) {
			if err := c.validate(); err != nil || c.Pin == "off" || p.Open == nil {
				return nil, err
			}
			b, err := p.Open(c)
			if err != nil {
				return nil, fmt.Errorf("directory: %w", err)
			}
			return &catalog{book: b, strict: c.Pin == "approved_only", refuse: c.Unlisted == "refuse" || c.Unlisted == "auto" && c.Pin == "approved_only", wait: c.Announced == "refuse"}, nil
		},
		guard.Want{Method: "tools/call", Direction: mcp.ToServer},
		guard.Want{Method: "prompts/get", Direction: mcp.ToServer},
		guard.Want{Method: "resources/read", Direction: mcp.ToServer},
		guard.Want{Method: "resources/subscribe", Direction: mcp.ToServer},
		guard.Want{Method: "completion/complete", Direction: mcp.ToServer},
		guard.Want{Method: "tools/list", Direction: mcp.ToClient},
		guard.Want{Method: "prompts/list", Direction: mcp.ToClient},
		guard.Want{Method: "resources/list", Direction: mcp.ToClient},
		guard.Want{Method: "resources/templates/list", Direction: mcp.ToClient},
		guard.Want{Method: "initialize", Direction: mcp.ToClient},
		guard.Want{Method: "server/discover", Direction: mcp.ToClient},
		guard.Want{Method: "notifications/tools/list_changed", Direction: mcp.ToClient},
		guard.Want{Method: "notifications/prompts/list_changed", Direction: mcp.ToClient},
		guard.Want{Method: "notifications/resources/list_changed", Direction: mcp.ToClient},
	).Scanning().WithReasons(guard.ReasonInfo{
		Reason: Stale, Status: 200, Code: guard.CodeDenied, Text: "The server has announced that its definitions have changed. List them, then try again.",
		When: "A server sent `list_changed`, nobody has listed its definitions since, and `guards.catalog.announced` is `refuse`.",
	})
}

func (c *Config) validate() error {
	s := &c.Suspicion
	suspicion := func(key, value string) error {
		return notation.OneOf("suspicion."+key, value, "quarantine", "alert", "ignore")
	}
	return errors.Join(
		notation.OneOf("pin", c.Pin, "off", "trust_first_use", "approved_only"),
		notation.OneOf("on_change", c.OnChange, "quarantine", "alert"),
		notation.OneOf("unlisted", c.Unlisted, "auto", "allow", "refuse"), notation.OneOf("announced", c.Announced, "allow", "refuse"),
		suspicion("lookalike", s.Lookalike), suspicion("same_name", s.SameName), suspicion("names_other", s.NamesOther),
		suspicion("hidden", s.Hidden), suspicion("instructions", s.Instructions),
	)
}

type catalog struct {
	book   Book
	strict bool // only what an operator pinned is trusted
	refuse bool // what was never listed
	wait   bool // for a list, when one has been announced
}

// RequestsOnly tells a host without responses which setting needs them. By
// trust_first_use nothing is trusted there either, as nothing is seen.
func (g *catalog) RequestsOnly() error {
	if g.strict || g.refuse || g.wait {
		return errors.New("pin approved_only, unlisted refuse and announced refuse need to see what servers list")
	}
	return nil
}
