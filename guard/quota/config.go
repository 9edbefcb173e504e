package quota

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/config/notation"
)

// Config is the user's "guards.quota" section.
type Config struct {
	Rules   []Rule      `yaml:"rules" doc:"Limits. A call is charged to every rule that matches it, and passes if all have room"`
	MaxKeys int         `yaml:"max_keys" min:"1000" max:"10000000" doc:"Counters that this process keeps; further ones share one counter per rule"`
	Lease   LeaseConfig `yaml:"lease" doc:"What a replica takes from Redis ahead of calls"`
	Lend    int         `yaml:"lend" min:"0" max:"100" doc:"By how many percent the limits of gateway.rate_limiting may be exceeded while the server of the call is idle; needs adaptive_surge. 0 lends nothing"`
	Headers bool        `yaml:"headers" doc:"Tell callers in RateLimit headers what is left of their own limits"`
}

// LeaseConfig bounds what is taken from Redis ahead of calls.
type LeaseConfig struct {
	Max  int           `yaml:"max" min:"1" max:"10000" doc:"Calls of one counter; never more than an eighth of what is left. 1 takes nothing ahead"`
	Time time.Duration `yaml:"time" min:"20ms" max:"1m" doc:"How long they are kept before unused ones go back; never more than a tenth of the rule's shortest window"`
}

// Rule is one limit.
type Rule struct {
	Name     string         `yaml:"name" required:"true" doc:"What clients, receipts and counters call it, such as crm_writes"`
	By       []string       `yaml:"by" oneof:"principal|agent|client|tenant|server|tool|method" doc:"What has a counter of its own; a single counter for all when empty"`
	Limit    notation.Rates `yaml:"limit" doc:"Calls that are let through in any span of that length. A rule has one of limit, in_flight, streams and bytes"`
	InFlight int            `yaml:"in_flight" min:"0" max:"1000000" doc:"Calls that may be under way at once"`
	Streams  int            `yaml:"streams" min:"0" max:"1000000" doc:"Streams for a server's own messages that may be open at once"`
	Bytes    notation.Flows `yaml:"bytes" doc:"Bytes of requests and replies that are let through in any span of that length, counted when a call is over"`
	Servers  []string       `yaml:"servers" doc:"Servers it is about, such as crm or crm-*; all when absent"`
	Tools    []string       `yaml:"tools" doc:"Tools it is about, such as delete_*; makes it a rule for tools/call"`
	Methods  []string       `yaml:"methods" doc:"Methods it is about, such as resources/*; when absent, every request but initialize, ping and server/discover, or tools/call where tools matter"`
	Lend     int            `yaml:"lend" min:"0" max:"100" doc:"By how many percent limit may be exceeded while the server of the call is idle; needs adaptive_surge. 0 lends nothing"`
	Exact    bool           `yaml:"exact" doc:"Ask Redis about every call, so that no replica can exceed the limit by what it holds ready"`
	OnError  string         `yaml:"on_error" oneof:"deny|allow|local" doc:"What happens while Redis cannot be asked: deny refuses, allow does not count, local counts here with this replica's share of the limit"`
}

// Default sets what holds for a rule where a configuration says nothing.
func (r *Rule) Default() { r.OnError = "deny" }

// Default returns what holds where a configuration says nothing.
func Default() Config {
	return Config{MaxKeys: 100_000, Lease: LeaseConfig{Max: 100, Time: time.Second}, Headers: true}
}

const (
	maxRules = 16
	maxCount = 1_000_000_000
)

var ruleName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// validate reports everything that is wrong with rules.
func validate(rules []Rule) error {
	var errs []error
	if len(rules) > maxRules {
		errs = append(errs, fmt.Errorf("rules: %d rules; a call may meet %d", len(rules), maxRules))
	}
	seen := make(map[string]bool)
	for i, r := range rules {
		bad := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("rules[%d]: "+format, append([]any{i}, args...)...))
		}
		switch {
		case !ruleName.MatchString(r.Name):
			bad("name: %q is not a small letter with small letters, digits, _ and - behind it", r.Name)
		case seen[r.Name]:
			bad("name: %q is the name of two rules, or of one that gateway.rate_limiting makes", r.Name)
		}
		seen[r.Name] = true
		kinds := 0
		for _, has := range []bool{len(r.Limit) > 0, r.InFlight > 0, r.Streams > 0, len(r.Bytes) > 0} {
			if has {
				kinds++
			}
		}
		if kinds != 1 {
			bad("limit: one of limit, in_flight, streams and bytes is required; there are %d", kinds)
		}
		switch {
		case r.Lend > 0 && len(r.Limit) == 0:
			bad("lend: only a limit of calls lends")
		case r.Lend > 0 && r.Exact:
			bad("lend: an exact limit is never exceeded")
		}
		if r.Streams > 0 && (r.aboutTools() || len(r.Methods) > 0) {
			bad("streams: no tools and no methods have any")
		}
		for _, f := range r.Bytes {
			if f.Size > maxCount*Unit {
				bad("bytes: more than %d", maxCount*Unit)
			}
		}
		for _, rate := range r.Limit {
			if rate.Count > maxCount {
				bad("limit: more than %d calls", maxCount)
			}
		}
		for j, d := range r.By {
			if slices.Contains(r.By[:j], d) {
				bad("by[%d]: %s is listed twice", j, d)
			}
		}
		if r.aboutTools() && len(r.Methods) > 0 && !slices.Equal(r.Methods, []string{"tools/call"}) {
			bad("methods: a rule by tool, or about tools, is about tools/call only")
		}
		for key, list := range map[string][]string{"servers": r.Servers, "tools": r.Tools, "methods": r.Methods} {
			for j, p := range list {
				if p == "" || strings.Count(p, "*") > 8 {
					bad("%s[%d]: %q is no pattern", key, j, p)
				}
			}
		}
	}
	return errors.Join(errs...)
}

func (r *Rule) aboutTools() bool { return len(r.Tools) > 0 || slices.Contains(r.By, "tool") }
