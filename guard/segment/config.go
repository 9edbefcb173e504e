// Package segment verifies what servers and owners of prompts have signed of the
// texts that a model reads, and tells clients whose words they are.
//
// It is two guards. One, next to the server, verifies before anybody edits. The
// other, next to the client, says in _meta what was verified, and which of it the
// gateway has edited since.
package segment

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/segment"
)

// Config is the user's "guards.segment" section.
type Config struct {
	Signers    []Signer      `yaml:"signers" doc:"Who may sign what; without any, nothing is verified"`
	Unverified string        `yaml:"unverified" oneof:"ignore|label|refuse" doc:"What happens to prompts, instructions and system prompts of servers with a signer that nobody known has signed: nothing, the exchange is labelled, or they are withheld"`
	Invalid    string        `yaml:"invalid" oneof:"label|refuse" doc:"What happens where a known key's signature does not fit the content, the place or the time"`
	Require    []Requirement `yaml:"require" doc:"What is withheld unless it is verified, whatever unverified says, also of servers without a signer"`
	Lifetime   time.Duration `yaml:"lifetime" min:"1m" max:"36500d" doc:"Longest time from issue to expiry that a signature may claim"`
	Skew       time.Duration `yaml:"skew" min:"0s" max:"5m" doc:"How far a signer's clock may be off"`
}

// Signer says what somebody may sign.
type Signer struct {
	Name       string   `yaml:"name" required:"true" doc:"What receipts and clients are told"`
	Keys       string   `yaml:"keys" required:"true" doc:"Public keys: a file with a JWK set or PEM, relative to the configuration, or the https URL of a JWK set"`
	Servers    []string `yaml:"servers" doc:"Registered servers for which the keys count"`
	Owners     []string `yaml:"owners" doc:"Owners, as the registry has them, for whose servers the keys count"`
	Names      []string `yaml:"names" doc:"Prompts, tools or resource URIs that the keys may sign; * stands for any text. All, and instructions and system prompts, when absent"`
	Algorithms []string `yaml:"algorithms" doc:"EdDSA, ES256; both when absent"`
}

// Requirement says what has to be verified. What it leaves out fits everything.
type Requirement struct {
	Servers []string `yaml:"servers" doc:"Registered servers"`
	Methods []string `yaml:"methods" doc:"prompts/get, initialize (instructions), sampling/createMessage (system prompts), resources/read, tools/call; the first three when absent"`
	Names   []string `yaml:"names" doc:"Prompts, tools or resource URIs; * stands for any text"`
}

// Default verifies, labels what is unsigned, and refuses what was changed.
func Default() Config {
	return Config{Unverified: "label", Invalid: "refuse", Lifetime: 90 * 24 * time.Hour, Skew: time.Minute}
}

// Reasons of this guard.
const (
	Unverified guard.Reason = "segment_unverified"
	Invalid    guard.Reason = "segment_invalid"
)

// Keyring has the public keys that references stand for. It is asked from many
// goroutines and waits for nothing.
type Keyring interface {
	Find(reference, id string) []segment.PublicKey
}

// Ports are what the guards need from outside the process.
type Ports struct {
	Open func(references []string) (Keyring, error) // nil: a configuration is checked by itself
	Now  func() time.Time
	// Tool returns the tool whose call made a task for the caller; nil: nobody knows.
	Tool func(x *guard.Exchange, task string) (string, bool)
	On   bool // guards.segment has something to do, so clients are told
}

// Spec presents the guard that verifies.
func Spec(p Ports) guard.Spec {
	return guard.Define("segment", "Verifies what servers and owners of prompts have signed.", Default(),
		func(c Config) (guard.Guard, error) { return build(c, p) },
		append(replies(), guard.Want{Method: "prompts/get", Direction: mcp.ToServer}, guard.Want{Method: "tasks/result", Direction: mcp.ToServer}, guard.Want{Method: "tasks/get", Direction: mcp.ToServer}, guard.Want{Method: "tools/call", Direction: mcp.ToServer})...,
	).Scanning().WithReasons(
		guard.ReasonInfo{Reason: Unverified, Status: 200, Code: guard.CodeResponseContent, Text: "The server's message has to be signed by somebody known here, and is not. It was withheld.",
			When: "`guards.segment` wants a prompt, system prompt, resource or result verified, and nobody known has signed it."},
		guard.ReasonInfo{Reason: Invalid, Status: 200, Code: guard.CodeResponseContent, Text: "The server's message carries a signature that does not fit it. It was withheld.",
			When: "A signature of a key that `guards.segment.signers` knows is for other content, another place or another time, and `invalid` is `refuse`."},
	)
}

func replies() []guard.Want {
	var out []guard.Want
	for _, m := range []string{"prompts/get", "tools/call", "tasks/get", "tasks/result", "notifications/tasks", "resources/read", "initialize", "server/discover", "sampling/createMessage"} {
		out = append(out, guard.Want{Method: m, Direction: mcp.ToClient})
	}
	return out
}

type verifier struct {
	Config
	keys Keyring
	now  func() time.Time
	tool func(x *guard.Exchange, task string) (string, bool)
}

var algorithms = []string{segment.EdDSA, segment.ES256}

func build(c Config, p Ports) (guard.Guard, error) {
	errs := []error{notation.OneOf("unverified", c.Unverified, "ignore", "label", "refuse"), notation.OneOf("invalid", c.Invalid, "label", "refuse")}
	if c.Lifetime <= 0 || c.Skew < 0 {
		errs = append(errs, errors.New("lifetime: must be positive, and skew not negative"))
	}
	var references []string
	names := make(map[string]bool)
	for i, s := range c.Signers {
		at := fmt.Sprintf("signers[%d].", i)
		if s.Name == "" || names[s.Name] {
			errs = append(errs, errors.New(at+"name: is empty, or another signer's"))
		}
		names[s.Name] = true
		if s.Keys == "" {
			errs = append(errs, errors.New(at+"keys: is empty"))
		}
		if len(s.Servers)+len(s.Owners) == 0 {
			errs = append(errs, errors.New(at+"servers: name servers or owners, or nothing of it can count"))
		}
		for k, a := range s.Algorithms {
			errs = append(errs, notation.OneOf(fmt.Sprintf("%salgorithms[%d]", at, k), a, algorithms...))
		}
		references = append(references, s.Keys)
	}
	for i, r := range c.Require {
		for k, m := range r.Methods {
			if segment.Covered(m) == nil {
				errs = append(errs, fmt.Errorf("require[%d].methods[%d]: nothing of %q can be signed", i, k, m))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(c.Signers)+len(c.Require) == 0 {
		return nil, nil
	}
	g := &verifier{Config: c, now: p.Now, tool: p.Tool}
	if p.Open != nil {
		keys, err := p.Open(references)
		if err != nil {
			return nil, fmt.Errorf("signers: %w", err)
		}
		g.keys = keys
	}
	return g, nil
}

// RequestsOnly tells a host without responses that the guard needs them.
func (g *verifier) RequestsOnly() error {
	return errors.New("signers: signatures are in what servers answer")
}

// find returns the keys of an id that may sign what a names. Owner is whose.
func (g *verifier) find(server *guard.Server) func(a segment.About, id string) []segment.PublicKey {
	return func(a segment.About, id string) (out []segment.PublicKey) {
		if g.keys == nil {
			return nil
		}
		for i := range g.Signers {
			s := &g.Signers[i]
			if !s.signsFor(server) || len(s.Names) > 0 && !notation.MatchAny(s.Names, a.Name) {
				continue
			}
			for _, k := range g.keys.Find(s.Keys, id) {
				if len(s.Algorithms) == 0 || slices.Contains(s.Algorithms, k.Algorithm) {
					k.Owner = s.Name
					out = append(out, k)
				}
			}
		}
		return out
	}
}

func (s *Signer) signsFor(server *guard.Server) bool {
	return slices.Contains(s.Servers, server.Name) || server.Owner != "" && slices.Contains(s.Owners, server.Owner)
}

func (g *verifier) hasSigner(server *guard.Server) bool {
	return slices.ContainsFunc(g.Signers, func(s Signer) bool { return s.signsFor(server) })
}

// required reports whether something has to be verified. What comes late may have
// any name.
func (g *verifier) required(server string, a *segment.About, late bool) bool {
	return slices.ContainsFunc(g.Require, func(r Requirement) bool {
		if len(r.Methods) == 0 && !spoken(a.Method) || len(r.Methods) > 0 && !slices.Contains(r.Methods, a.Method) {
			return false
		}
		return (len(r.Servers) == 0 || slices.Contains(r.Servers, server)) && (len(r.Names) == 0 || late || notation.MatchAny(r.Names, a.Name))
	})
}

// spoken reports whether a method brings what tells a model what to do, rather
// than what it works on.
func spoken(method string) bool {
	return method == "prompts/get" || method == "initialize" || method == "sampling/createMessage"
}
