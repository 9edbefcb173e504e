package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/config/notation"
)

// Config is the user's "guards.policy" section: the details of what
// gateway.authorization demands.
type Config struct {
	Hide         bool          `yaml:"hide" doc:"Answer for a target or server that the caller may not use as for one that does not exist"`
	RequestsOnly bool          `yaml:"requests_only" doc:"Let ext_authz serve too, which shows the guard requests alone: there lists are not filtered, and what servers send of their own accord is not judged. Calls are decided as ever"`
	Bundle       string        `yaml:"bundle" doc:"Bundle to decide by: a directory or an archive (.tar.gz), relative to this file, or the http(s) URL of an archive; the default bundle of this build when absent"`
	Signatures   string        `yaml:"signatures" oneof:"required|optional" doc:"Whether the bundle must be signed by one of keys; optional is for development, and still refuses a wrong signature where keys are given"`
	Keys         []Key         `yaml:"keys" doc:"Public keys that bundles may be signed with"`
	Older        string        `yaml:"older" oneof:"held|taken" doc:"What becomes of a bundle with a lower version than one that has judged everybody: held, until a command releases it, or taken. Absent: held where the bundle is a URL, taken from a file or folder"`
	Poll         time.Duration `yaml:"poll" min:"100ms" max:"1h" doc:"How often the bundle is looked at for a new release, give or take a quarter"`
	Fetch        Service       `yaml:"fetch" doc:"How a bundle is fetched from a URL"`
	Wait         time.Duration `yaml:"wait" min:"0s" max:"10m" doc:"How long a bundle server that knows OPA's long polling may wait for a change before it answers; 0s turns that off"`
	Store        string        `yaml:"store" doc:"Folder, of this gateway alone, where good bundles are kept for rollbacks and for a start without the bundle's server; relative to this file. In memory when absent"`
	Keep         int           `yaml:"keep" min:"2" max:"100" doc:"How many good bundles are kept"`
	Shadow       Shadow        `yaml:"shadow" doc:"A second bundle that is asked too, and whose answers are compared and not followed"`
	Canary       Canary        `yaml:"canary" doc:"The way that a new bundle goes before it judges everybody"`
	Deadline     time.Duration `yaml:"deadline" min:"1ms" max:"10s" doc:"How long one evaluation may take; what takes longer is refused"`
	Logs         Logs          `yaml:"decision_logs" doc:"A service that takes OPA's decision logs, beside the receipts"`
	Constraints  Signing       `yaml:"constraints" doc:"How the constraints that a policy puts on a call are signed for the server"`
}

// Service is how we prove who we are to a service, and whom we believe.
type Service struct {
	Token       string        `yaml:"token" doc:"Reference to a bearer token: env:NAME or file:/path. It goes to the host of the URL only, whatever that redirects to"`
	Certificate string        `yaml:"certificate" doc:"Reference to the PEM certificate to show"`
	Key         string        `yaml:"key" doc:"Reference to its PEM private key"`
	CA          string        `yaml:"ca" doc:"Reference to the PEM certificates of the authorities to trust; the system's when absent"`
	Timeout     time.Duration `yaml:"timeout" min:"100ms" max:"10m" doc:"How long one answer may take"`
}

// Logs says where decision logs go.
type Logs struct {
	URL       string `yaml:"url" doc:"Decisions are POSTed to /logs below this URL; nothing is shipped when absent"`
	Service   `yaml:",inline"`
	Arguments bool          `yaml:"arguments" doc:"Ship arguments and params too, in clear"`
	Every     time.Duration `yaml:"every" min:"100ms" max:"10m" doc:"How long decisions wait to be shipped together"`
	Buffer    notation.Size `yaml:"buffer" min:"64KiB" max:"1GiB" doc:"What may wait; more is dropped and counted, and refuses no traffic"`
}

// Shadow is a bundle that is compared with the one that decides.
type Shadow struct {
	Bundle string           `yaml:"bundle" doc:"Like guards.policy.bundle, with the same keys and credentials; no shadow when absent"`
	Sample notation.Percent `yaml:"sample" doc:"Share of the decisions that is compared"`
	Queue  int              `yaml:"queue" min:"1" max:"1000000" doc:"Decisions that may wait to be compared, with the canary's; more are dropped and counted"`
}

// Canary is how a new bundle comes to judge everybody.
type Canary struct {
	Stages          []Stage          `yaml:"stages" doc:"Who meets a new bundle first, stage by stage; without stages it judges everybody at once"`
	Sample          notation.Percent `yaml:"sample" doc:"Share of the decisions, of either bundle, that the other one makes too, to compare"`
	MaxDisagreement float64          `yaml:"max_disagreement" min:"0" max:"1" doc:"Share of compared decisions that may come out otherwise; with more, the new bundle is rejected"`
	MaxErrors       float64          `yaml:"max_errors" min:"0" max:"1" doc:"Share of the new bundle's evaluations that may reach no answer; with more, it is rejected"`
	After           int              `yaml:"after" min:"1" max:"1000000" doc:"Decisions after which these shares begin to count in a stage"`
}

// Stage is one step on that way. Who fits one of tenants, roles and percent meets
// the new bundle.
type Stage struct {
	Tenants   []string         `yaml:"tenants" doc:"Tenants whose callers meet it"`
	Roles     []string         `yaml:"roles" doc:"Roles that meet it"`
	Percent   notation.Percent `yaml:"percent" doc:"Share of all callers; one caller stays with one bundle, and a larger share includes a smaller"`
	Decisions int              `yaml:"decisions" min:"0" max:"1000000000" doc:"Decisions that the new bundle must have made before the next stage"`
	For       time.Duration    `yaml:"for" min:"0s" max:"30d" doc:"Time that must have passed before the next stage"`
}

// Key is a public key for bundles.
type Key struct {
	ID        string `yaml:"id" required:"true" doc:"Key id that signatures name"`
	Algorithm string `yaml:"algorithm" oneof:"RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA" required:"true" doc:"Signature algorithm"`
	Key       string `yaml:"key" required:"true" doc:"Reference to the PEM public key: env:NAME or file:/path"`
}

// Signing says how constraints are signed.
type Signing struct {
	ID       string        `yaml:"id" doc:"Key id that the signature names"`
	Key      string        `yaml:"key" doc:"Reference to the PEM private key (Ed25519): env:NAME or file:/path; without it a call with constraints is refused"`
	Lifetime time.Duration `yaml:"lifetime" min:"1s" max:"5m" doc:"How long a signature is good"`
}

// Values of Signatures, and of Older.
const (
	SignaturesRequired = "required"
	SignaturesOptional = "optional"

	OlderHeld  = "held"
	OlderTaken = "taken"
)

// Forward reports whether a bundle must not be older than what has judged.
func (c *Config) Forward() bool {
	return c.Older == OlderHeld || c.Older == "" && IsURL(c.Bundle)
}

// Default returns what holds where a configuration says nothing.
func Default() Config {
	return Config{
		Hide: true, Signatures: SignaturesRequired, Poll: 5 * time.Second, Deadline: 500 * time.Millisecond,
		Constraints: Signing{Lifetime: 30 * time.Second},
		Fetch:       Service{Timeout: 30 * time.Second}, Wait: time.Minute, Keep: 5,
		Logs:   Logs{Service: Service{Timeout: 10 * time.Second}, Every: 10 * time.Second, Buffer: 16 * notation.MiB},
		Shadow: Shadow{Sample: 100, Queue: 1024},
		Canary: Canary{Sample: 100, MaxDisagreement: 0.05, MaxErrors: 0.01, After: 100},
	}
}

// Validate reports every setting that is wrong by itself.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, b := range [...]struct{ key, at string }{{"bundle", c.Bundle}, {"shadow: bundle", c.Shadow.Bundle}} {
		if b.at != "" && c.Signatures == SignaturesRequired && len(c.Keys) == 0 {
			bad("%s: needs keys to verify it with; for development, signatures: optional does without", b.key)
		}
		c.checkURL(bad, b.key, b.at)
	}
	if IsURL(c.Bundle) && c.Store == "" {
		bad("bundle: a URL needs store, a folder for good bundles, so that the gateway can start while the URL cannot be reached")
	}
	if !IsURL(c.Bundle) && !IsURL(c.Shadow.Bundle) && c.Fetch != Default().Fetch {
		bad("fetch: has no effect: no bundle is a URL")
	}
	if (c.Fetch.Certificate == "") != (c.Fetch.Key == "") {
		bad("fetch: needs certificate and key together")
	}
	if d := Default().Shadow; c.Shadow.Bundle == "" && (c.Shadow.Sample != d.Sample || c.Shadow.Queue != d.Queue && len(c.Canary.Stages) == 0) {
		bad("shadow: has no effect without bundle")
	}
	c.Canary.check(bad)
	c.Logs.check(bad)
	seen := make(map[string]bool)
	for i, k := range c.Keys {
		if seen[k.ID] {
			bad("keys[%d]: id: %q is listed twice", i, k.ID)
		}
		seen[k.ID] = true
	}
	if c.Constraints.ID != "" && c.Constraints.Key == "" {
		bad("constraints: id: has no key")
	}
	return errors.Join(errs...)
}

// checkURL refuses URLs by which a bundle or a token could fall into the wrong hands.
func (c *Config) checkURL(bad func(string, ...any), key, at string) {
	if !IsURL(at) {
		if strings.Contains(at, "://") {
			bad("%s: %q: a URL must begin with https:// or http://", key, at)
		}
		return
	}
	u, err := url.Parse(at)
	switch {
	case err != nil || u.Host == "":
		bad("%s: %q is no URL", key, at)
	case u.User != nil:
		bad("%s: a URL must not hold a password; fetch.token is a reference to one", key)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		if c.Signatures != SignaturesRequired {
			bad("%s: needs https, or signatures: required: nothing else would say whose rules arrive", key)
		}
		if c.Fetch.Token != "" {
			bad("%s: needs https, or fetch.token goes over the network in clear", key)
		}
	}
}

func (l *Logs) check(bad func(string, ...any)) {
	if l.URL == "" {
		if *l != Default().Logs {
			bad("decision_logs: has no effect without url")
		}
		return
	}
	u, err := url.Parse(l.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && u.Scheme != "http":
		bad("decision_logs: url: must be a plain http or https URL")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		bad("decision_logs: url: needs https: decisions tell who may do what")
	}
	if (l.Certificate == "") != (l.Key == "") {
		bad("decision_logs: needs certificate and key together")
	}
}

// IsURL reports whether a bundle is fetched.
func IsURL(bundle string) bool {
	return strings.HasPrefix(bundle, "https://") || strings.HasPrefix(bundle, "http://")
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func (c *Canary) check(bad func(string, ...any)) {
	if d := Default().Canary; len(c.Stages) == 0 && (c.Sample != d.Sample || c.MaxDisagreement != d.MaxDisagreement || c.MaxErrors != d.MaxErrors || c.After != d.After) {
		bad("canary: has no effect without stages")
	}
	for i, s := range c.Stages {
		if len(s.Tenants)+len(s.Roles) == 0 && s.Percent == 0 {
			bad("canary: stages[%d]: needs tenants, roles or percent: who meets the new bundle?", i)
		}
		if s.Decisions == 0 && s.For == 0 {
			bad("canary: stages[%d]: needs decisions or for: when does the next stage begin?", i)
		}
	}
}
