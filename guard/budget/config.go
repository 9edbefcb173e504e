package budget

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/config/notation"
)

// Config is the user's "guards.budget" section.
type Config struct {
	Budgets     []Budget       `yaml:"budgets" doc:"What may be used. A call is charged to every budget that is about it, and passes if all have enough left"`
	PerCall     notation.Money `yaml:"per_call" doc:"What one call of a tool may cost; no bound when absent"`
	Prices      []Price        `yaml:"prices" doc:"What calls cost. The first entry that matches counts; then what the registry says; what has no price costs nothing"`
	Projects    []Project      `yaml:"projects" doc:"Whose calls are whose project's. The first entry that matches counts; without one, the project is called as the tenant"`
	Destructive []string       `yaml:"destructive_tools" doc:"Tools whose calls destroy something, such as delete_*, beside those of which the registry says so"`
	Task        Task           `yaml:"task" doc:"How clients name the task that a call belongs to, where the token does not"`
	Failures    string         `yaml:"failures" oneof:"free|charge" doc:"What a call costs that the server answered with an error: nothing, or what was reserved. It counts as a call either way"`
	Window      time.Duration  `yaml:"window" min:"1m" max:"30d" doc:"Span in which all sessions and tasks that one principal opens are one, as far as budgets by session or task go"`
	Together    int            `yaml:"together" min:"1" max:"1000" doc:"How many sessions' or tasks' worth a principal gets within window, however many it opens"`
	Pause       time.Duration  `yaml:"pause" min:"1s" max:"30d" doc:"After a rest of this length a session, or a task that nobody named, is over, and another may begin"`
	Memory      time.Duration  `yaml:"memory" min:"1m" max:"365d" doc:"How long a task with a name is remembered after its last call"`
	MaxKeys     int            `yaml:"max_keys" min:"1000" max:"10000000" doc:"Accounts that this process keeps; further ones share one account per budget"`
	Lease       LeaseConfig    `yaml:"lease" doc:"What a replica takes from Redis ahead of calls"`
	Usage       UsageConfig    `yaml:"usage" doc:"What is kept of who used what"`
}

// LeaseConfig bounds what is taken from Redis ahead of calls.
type LeaseConfig struct {
	Calls int           `yaml:"calls" min:"1" max:"10000" doc:"So many times what a call reserves; never more than an eighth of what is left. 1 takes nothing ahead"`
	Idle  time.Duration `yaml:"idle" min:"100ms" max:"1m" doc:"How long it is kept unused before it goes back"`
	Hold  time.Duration `yaml:"hold" min:"2s" max:"10m" doc:"How long the reservations of a replica that died are kept before they come back"`
}

// UsageConfig says what is kept of who used what.
type UsageConfig struct {
	Keep    time.Duration `yaml:"keep" min:"1d" max:"1100d" doc:"How long the days are kept"`
	MaxKeys int           `yaml:"max_keys" min:"100" max:"1000000" doc:"Combinations of tenant, project, agent and tool that are told apart in a day; further ones are counted together"`
}

// Budget is one budget.
type Budget struct {
	Name    string           `yaml:"name" required:"true" doc:"What clients, receipts and events call it, such as team_month"`
	By      []string         `yaml:"by" oneof:"principal|agent|client|tenant|project|session|task|server|tool" doc:"What has an account of its own; a single account for all when empty"`
	Limit   Bounds           `yaml:"limit" required:"true" doc:"What may be used"`
	Per     string           `yaml:"per" oneof:"hour|day|week|month" doc:"When it begins anew: with each hour, day, week or month of UTC. Not for budgets by session or task, which end with those"`
	Servers []string         `yaml:"servers" doc:"Servers it is about, such as crm or crm-*; all when absent"`
	Tools   []string         `yaml:"tools" doc:"Tools it is about, such as delete_*; all when absent"`
	Alert   notation.Percent `yaml:"alert" doc:"Share of any bound from which calls are labelled and an event is raised"`
	Exact   bool             `yaml:"exact" doc:"Ask Redis about every call, so that a crash of a replica cannot lose what others may use"`
	OnError string           `yaml:"on_error" oneof:"deny|allow|local" doc:"What happens while Redis cannot be asked: deny refuses, allow does not bound, local bounds this replica by its share of what was left. What was used meanwhile is counted afterwards"`
}

// Bounds are the limits of a budget.
type Bounds struct {
	Cost        notation.Money `yaml:"cost" doc:"Money"`
	Calls       notation.Count `yaml:"calls" doc:"Calls of tools"`
	Bytes       notation.Size  `yaml:"bytes" doc:"Bytes that come back"`
	Destructive notation.Count `yaml:"destructive" doc:"Calls that destroy something"`
	Time        time.Duration  `yaml:"time" max:"30d" doc:"Time from the first call on; for budgets by session or task"`
}

// Default sets what holds for a budget where a configuration says nothing.
func (b *Budget) Default() { b.OnError, b.Alert = "deny", 80 }

// Price is what calls of some tools cost.
type Price struct {
	Servers  []string       `yaml:"servers" doc:"Servers it is about, such as crm or crm-*; all when absent"`
	Tools    []string       `yaml:"tools" doc:"Tools it is about, such as search_*; all when absent"`
	Call     notation.Money `yaml:"call" doc:"Of a call"`
	In       notation.Money `yaml:"per_mib_in" doc:"Of a MiB of the request"`
	Out      notation.Money `yaml:"per_mib_out" doc:"Of a MiB of the reply"`
	Tokens   []Tokens       `yaml:"tokens" doc:"Of what the tool reports in its result"`
	Estimate notation.Money `yaml:"estimate" doc:"Reserved before a call for what only its reply tells; the highest such cost of late when absent"`
}

// Tokens is the price of tokens, or of whatever else a tool counts.
type Tokens struct {
	Path       string         `yaml:"path" required:"true" doc:"Where the result has their number, such as _meta.usage.totalTokens, or a JSON pointer"`
	PerMillion notation.Money `yaml:"per_million" required:"true" doc:"Of a million of them"`
}

// Project says whose calls are whose project's. All that is given must match.
type Project struct {
	Name    string   `yaml:"name" required:"true" doc:"Name of the project"`
	Tenants []string `yaml:"tenants" doc:"Tenants, such as acme or acme-*"`
	Clients []string `yaml:"clients" doc:"Verified OAuth clients"`
	Agents  []string `yaml:"agents" doc:"Verified agents"`
	Roles   []string `yaml:"roles" doc:"Roles, of which the principal has one"`
}

// Task says how clients name tasks.
type Task struct {
	Header string `yaml:"header" doc:"Request header with the name, such as x-task-id"`
	Meta   string `yaml:"meta" doc:"Key of params._meta with the name, such as com.example/task"`
}

// Default returns what holds where a configuration says nothing.
func Default() Config {
	return Config{
		Failures: "free", Window: time.Hour, Together: 1, Pause: 10 * time.Minute, Memory: 24 * time.Hour, MaxKeys: 100_000,
		Lease: LeaseConfig{Calls: 100, Idle: time.Second, Hold: 15 * time.Second},
		Usage: UsageConfig{Keep: 93 * 24 * time.Hour, MaxKeys: 10_000},
	}
}

const maxBudgets = 16

var (
	name   = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,47}$`)
	header = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
)

// validate reports everything that is wrong with c, and with the budgets that
// stand elsewhere in the configuration.
func (c *Config) validate(more []Budget) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	all := append(slices.Clone(c.Budgets), more...)
	if len(all) > maxBudgets {
		bad("budgets: %d budgets; a call may meet %d", len(all), maxBudgets)
	}
	seen := make(map[string]bool)
	for i := range all {
		b := &all[i]
		if seen[b.Name] {
			bad("budgets[%d]: name: %q is the name of two budgets, or of one that autonomy_controls or cost_controls makes", i, b.Name)
		}
		seen[b.Name] = true
		for _, err := range b.validate() {
			bad("budgets[%d]: %w", i, err)
		}
		if b.Limit.Time > c.Memory {
			bad("memory: is shorter than the time of budget %s, which would begin anew before it ends", b.Name)
		}
	}
	if c.Memory < c.Window {
		bad("memory: is shorter than window")
	}
	if int64(c.PerCall) > Most {
		bad("per_call: is too much")
	}
	for i := range c.Prices {
		for _, err := range c.Prices[i].validate() {
			bad("prices[%d]: %w", i, err)
		}
	}
	for i := range c.Projects {
		p := &c.Projects[i]
		if !name.MatchString(p.Name) {
			bad("projects[%d]: name: %q is not a small letter with small letters, digits, _ and - behind it", i, p.Name)
		}
		if len(p.Tenants)+len(p.Clients)+len(p.Agents)+len(p.Roles) == 0 {
			bad("projects[%d]: needs tenants, clients, agents or roles", i)
		}
	}
	patterns(bad, "destructive_tools", c.Destructive)
	if c.Task.Header != "" && !header.MatchString(c.Task.Header) {
		bad("task: header: %q is no header in lower case", c.Task.Header)
	}
	return errors.Join(errs...)
}

func patterns(bad func(string, ...any), key string, list []string) {
	for j, p := range list {
		if p == "" || strings.Count(p, "*") > 8 {
			bad("%s[%d]: %q is no pattern", key, j, p)
		}
	}
}

func (b *Budget) validate() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !name.MatchString(b.Name) {
		bad("name: %q is not a small letter with small letters, digits, _ and - behind it", b.Name)
	}
	for j, d := range b.By {
		if slices.Contains(b.By[:j], d) {
			bad("by[%d]: %s is listed twice", j, d)
		}
	}
	l := &b.Limit
	switch {
	case *l == Bounds{}:
		bad("limit: bounds nothing")
	case int64(l.Cost) > Most || l.Calls > Most || l.Bytes > Most || l.Destructive > Most:
		bad("limit: is too much")
	case b.ofTask() && b.Per != "":
		bad("per: a budget by session or task ends with those")
	case !b.ofTask() && b.Per == "":
		bad("per: is required: hour, day, week or month")
	case !b.ofTask() && l.Time != 0:
		bad("limit: time is for budgets by session or task")
	}
	patterns(bad, "servers", b.Servers)
	patterns(bad, "tools", b.Tools)
	return errs
}

// ofTask reports whether accounts of the budget belong to something that clients
// open.
func (b *Budget) ofTask() bool {
	return slices.Contains(b.By, "session") || slices.Contains(b.By, "task")
}

func (p *Price) validate() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, m := range []notation.Money{p.Call, p.In, p.Out, p.Estimate} {
		if int64(m) > Most {
			bad("is too much")
			break
		}
	}
	for j, t := range p.Tokens {
		if _, err := pointer(t.Path); err != nil {
			bad("tokens[%d]: path: %w", j, err)
		}
		if int64(t.PerMillion) > Most {
			bad("tokens[%d]: per_million: is too much", j)
		}
	}
	patterns(bad, "servers", p.Servers)
	patterns(bad, "tools", p.Tools)
	return errs
}

// pointer turns a.b.c into /a/b/c; what begins with a slash is a JSON pointer
// (RFC 6901) already.
func pointer(path string) (string, error) {
	if strings.HasPrefix(path, "/") && len(path) <= 256 {
		return path, nil
	}
	parts := strings.Split(path, ".")
	if path == "" || len(path) > 256 || slices.Contains(parts, "") {
		return "", fmt.Errorf("%q is no path; write names with dots between, such as _meta.usage.totalTokens", path)
	}
	return "/" + strings.NewReplacer("~", "~0", "/", "~1", ".", "/").Replace(path), nil
}
