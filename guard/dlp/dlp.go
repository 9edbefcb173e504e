// Package dlp looks for personal data and secrets in what travels, and keeps
// them back where the operator says so.
package dlp

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/inspect/recogniser"
	"github.com/sallyport/sallyport/internal/inspect/wire"
	"github.com/sallyport/sallyport/internal/recent"
	"github.com/sallyport/sallyport/mcp"
)

// Config is the user's "guards.dlp" section.
type Config struct {
	ToServer    Actions       `yaml:"to_server" doc:"What happens to findings in messages to the server"`
	ToClient    Actions       `yaml:"to_client" doc:"What happens to findings in messages to the client"`
	Described   Actions       `yaml:"descriptions" doc:"What happens to findings in what servers say of themselves, their tools, prompts and resource templates"`
	Rules       []Rule        `yaml:"rules" doc:"Exceptions from to_server, to_client and descriptions; the first that fits a finding counts"`
	Key         string        `yaml:"key" doc:"Reference to the key of hash and tokenise, such as env:DLP_KEY or file:/run/secrets/dlp: at least 16 bytes, the same for all replicas"`
	RestoreFor  time.Duration `yaml:"restore_for" min:"0s" max:"30d" doc:"How long, at least, a value that was tokenised on its way to the client is put back in messages to the server that it came from, for whom restore_bound_to says; at most twice as long. Equal values have one token for so long. 0 for never"`
	RestoreTo   string        `yaml:"restore_bound_to" oneof:"principal|tenant" doc:"Whose messages have a token put back: those of the principal who got it, whoever acts for it; or those of everybody of its tenant, who can then use each other's tokens"`
	Recognisers []string      `yaml:"recognisers" doc:"Files with recognisers of your own, relative to the configuration; each must pass its own tests"`
	MaxBytes    int           `yaml:"max_bytes" min:"1024" max:"67108864" doc:"Largest message to inspect; for a larger one no decision is reached, and on_error says what that means"`
}

// Actions says what happens to each class of finding.
type Actions struct {
	PII    string `yaml:"pii" oneof:"allow|alert|mask|hash|tokenise|block" doc:"Personal data: allow it, alert (label and receipt), mask, hash or tokenise it, or block the message"`
	Secret string `yaml:"secret" oneof:"allow|alert|mask|hash|tokenise|block" doc:"Passwords, keys and tokens, likewise"`
}

// Rule is an exception. What it leaves out fits everything.
type Rule struct {
	Types           []string `yaml:"types" doc:"Types of findings, such as CREDIT_CARD, or pii and secret for all of a class"`
	Direction       string   `yaml:"direction" oneof:"to_server|to_client" doc:"Direction of the message; both when absent"`
	Servers         []string `yaml:"servers" doc:"Registered servers"`
	Tools           []string `yaml:"tools" doc:"Tools, prompts or resources that are called"`
	Tenants         []string `yaml:"tenants" doc:"Tenants of the caller"`
	Classifications []string `yaml:"classifications" doc:"Data classifications of the server"`
	Action          string   `yaml:"action" oneof:"allow|alert|mask|hash|tokenise|block" required:"true" doc:"What happens to the finding"`
}

// Ports are what the guard needs from outside the process. A nil one leaves
// what it would read unread, for checks of a configuration by itself.
type Ports struct {
	Secret func(reference string) ([]byte, error) // a reference such as env:DLP_KEY, resolved
	Read   func(path string) ([]byte, error)
	Raise  Raise

	// Tokens makes the sealer of tokens from the key; nil for checks of a
	// configuration by itself.
	Tokens func(key []byte) (Sealer, error)

	Remember int // texts of which to keep that nothing was found in them; 0: none
}

// Raise is what other parts of the configuration ask for: whatever would only
// alert about a message to the client masks it instead. Personal data in
// descriptions stays, as it is nobody's in particular who reads them.
type Raise struct{ PII, Secret bool }

func (r Raise) over(c *Config) {
	if r.PII && c.ToClient.PII == "alert" {
		c.ToClient.PII = "mask"
	}
	if r.Secret && c.ToClient.Secret == "alert" {
		c.ToClient.Secret = "mask"
	}
	if r.Secret && c.Described.Secret == "alert" {
		c.Described.Secret = "mask"
	}
}

// Reasons of this guard.
const (
	PIIBlocked    guard.Reason = "pii_blocked"
	SecretBlocked guard.Reason = "secret_blocked"
	PIIWithheld   guard.Reason = "pii_withheld"
	SecretHeld    guard.Reason = "secret_withheld"
)

// Default returns what holds where the configuration says nothing: secrets of a
// known form do not leave through arguments; the rest is labelled and recorded.
// Passwords in arguments are how some tools work, and results that change
// unasked would surprise.
func Default() Config {
	return Config{
		ToServer:  Actions{PII: "alert", Secret: "block"},
		ToClient:  Actions{PII: "alert", Secret: "alert"},
		Described: Actions{PII: "alert", Secret: "alert"},
		Rules:     []Rule{{Types: []string{"generic_password", "generic_api_key", "session_cookie", "bearer_opaque"}, Direction: "to_server", Action: "alert"}},
		RestoreTo: "principal",
		MaxBytes:  4 << 20,
	}
}

// Spec presents the guard to the chain.
func Spec(p Ports) guard.Spec {
	return guard.Define("dlp", "Looks for personal data and secrets in what is called, answered and reported.", Default(),
		func(c Config) (guard.Guard, error) { return build(c, p) },
		// Every message: text has a place in all of them, if only in an error.
		guard.Want{Method: "*", Direction: mcp.ToServer}, guard.Want{Method: "*", Direction: mcp.ToClient},
	).Scanning().WithReasons(
		guard.ReasonInfo{Reason: PIIBlocked, Status: 200, Code: guard.CodeRequestContent, Text: "The message holds personal data that must not be sent to this server. Remove it and try again.", When: "`guards.dlp` found personal data in a message to the server and its action is `block`, or a rewriting action met a value that cannot be rewritten, such as a URI."},
		guard.ReasonInfo{Reason: SecretBlocked, Status: 200, Code: guard.CodeRequestContent, Text: "The message holds a secret, such as a key or password, that must not be sent to this server. Remove it and try again.", When: "`guards.dlp` found a secret in a message to the server and its action is `block`, or a rewriting action met a value that cannot be rewritten."},
		guard.ReasonInfo{Reason: PIIWithheld, Status: 200, Code: guard.CodeResponseContent, Text: "The server's message holds personal data and was withheld.", When: "`guards.dlp` found personal data in a message to the client and its action is `block`."},
		guard.ReasonInfo{Reason: SecretHeld, Status: 200, Code: guard.CodeResponseContent, Text: "The server's message holds a secret, such as a key or password, and was withheld.", When: "`guards.dlp` found a secret in a message to the client and its action is `block`."},
	)
}

type dlp struct {
	Config
	set      *recogniser.Set
	rules    []rule
	key      []byte
	sealer   Sealer    // nil where nothing is put back
	scanners sync.Pool // of *scan

	// clean are texts in which nothing was found. The guard of another
	// configuration has others, and so nothing outlives a change of the rules.
	clean *recent.Texts[bool]
	lines seen // likewise of headers
}

// worth is the length of the shortest text that is cheaper to look up than to
// scan, in bytes.
const worth = 128

// scan is the memory of one inspection.
type scan struct {
	scanner *recogniser.Scanner
	reader  wire.Reader
	found   []recogniser.Finding
	decoded []byte
	tries   int // at opening tokens
	scratch []byte

	session  []byte
	lines    lines
	eachLine func(name string, value []byte)
}

func build(c Config, p Ports) (guard.Guard, error) {
	p.Raise.over(&c)
	g := &dlp{Config: c, lines: seen{seed: maphash.MakeSeed()}}
	var err error
	if g.set, err = set(c.Recognisers, p); err != nil {
		return nil, err
	}
	var errs []error
	known := len(c.Recognisers) == 0 || p.Read != nil
	for i, r := range c.Rules {
		compiled, err := r.compile(g.set, known)
		if err != nil {
			errs = append(errs, fmt.Errorf("rules[%d].%w", i, err))
		}
		g.rules = append(g.rules, compiled)
	}
	if err := errors.Join(g.keyed(p), c.checkRestore()); err != nil {
		errs = append(errs, err)
	} else if g.RestoreFor > 0 && p.Tokens != nil && p.Secret != nil {
		if g.sealer, err = p.Tokens(g.key); err != nil {
			errs = append(errs, fmt.Errorf("key: %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if p.Remember > 0 {
		if g.clean, err = recent.NewTexts[bool](p.Remember); err != nil {
			return nil, err
		}
	}
	g.scanners.New = func() any {
		s := &scan{scanner: g.set.NewScanner()}
		s.eachLine = s.line
		return s
	}
	return g, nil
}

// set compiles the shipped recognisers together with the user's own.
func set(files []string, p Ports) (*recogniser.Set, error) {
	if len(files) == 0 || p.Read == nil {
		return recogniser.Standard()
	}
	list, err := recogniser.Builtin(recogniser.PII, recogniser.Secret)
	if err != nil {
		return nil, err
	}
	var errs []error
	for i, path := range files {
		text, err := p.Read(path)
		if err == nil {
			var own []recogniser.Recogniser
			own, err = recogniser.Parse(text)
			list = append(list, own...)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("recognisers[%d]: %w", i, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s, err := recogniser.Compile(list)
	if err != nil {
		return nil, fmt.Errorf("recognisers: %w", err)
	}
	return s, nil
}

// keyed resolves the key. Without one, receipts still tell equal values from
// different ones while the process lives.
func (g *dlp) keyed(p Ports) error {
	needs := false
	for _, a := range []string{g.ToServer.PII, g.ToServer.Secret, g.ToClient.PII, g.ToClient.Secret, g.Described.PII, g.Described.Secret} {
		needs = needs || a == "hash" || a == "tokenise"
	}
	for _, r := range g.Rules {
		needs = needs || r.Action == "hash" || r.Action == "tokenise"
	}
	switch {
	case g.Key == "" && needs:
		return errors.New("key: hash and tokenise need one; write a reference such as env:DLP_KEY")
	case g.Key == "" || p.Secret == nil:
		g.key = make([]byte, 32)
		_, err := rand.Read(g.key)
		return err
	}
	key, err := p.Secret(g.Key)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if len(key) < 16 {
		return errors.New("key: is shorter than 16 bytes")
	}
	g.key = append([]byte(nil), key...)
	return nil
}
