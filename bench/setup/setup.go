// Package setup starts what a comparison measures: an MCP server, and ways to
// it that differ in one thing only. Every part is a process of its own, so that
// its CPU time can be told from the others'.
package setup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/bench/proc"
)

// The set-ups, each one step further than the one before.
const (
	Direct     = "direct"           // straight to the MCP server
	Envoy      = "envoy"            // through Envoy with the gateway's listener, but no ext_proc
	Noop       = "noop"             // the same, and an ext_proc service that lets everything pass
	Sallyport  = "sallyport"        // the gateway: envelope guard, receipts to a file
	Quota      = "quota"            // the same, and two quotas in Redis, with leases
	Limits     = "limits"           // the same as sallyport, and two quotas and the guide's three budgets in Redis
	Policy     = "jwt-opa"          // the gateway: a token and a policy for each call, decisions used again
	PolicyAnew = "jwt-opa-uncached" // the same, every decision made anew
	Content    = "content"          // the same as sallyport, and the guards catalog, schema, egress and dlp
	Traced     = "traced"           // the gateway of sallyport, with a tenth of its calls as traces
	Unrecorded = "unrecorded"       // its judging service alone, without receipts
	Recorded   = "recorded"         // the same, with receipts that are chained and signed
	Defaults   = "defaults"         // the gateway with all guards as they are where a configuration says nothing
)

// Names returns the names of all set-ups.
func Names() []string {
	return append(Usual(), Limits, Policy, PolicyAnew, Content, Traced, Unrecorded, Recorded)
}

// Usual returns the set-ups that are measured unless others are asked for.
func Usual() []string { return []string{Direct, Envoy, Noop, Sallyport, Quota, Defaults} }

// Options say what to start, and with what.
type Options struct {
	Setups    []string // of [Names]
	Self      string   // this command, whose echo and noop subcommands are run
	Sallyport string   // the gateway's binary
	Envoy     string   // Envoy's binary
	Workers   int      // worker threads of each Envoy
	Pprof     bool     // let the gateway be profiled
	Dir       string   // private folder for configurations and receipts
}

// Setup is one way to the MCP server.
type Setup struct {
	Name    string
	URL     string
	Headers []string // that each call needs
	Admin   string   // base URL of the gateway's admin interface; empty for others
	Parts   []Part   // what stands between client and server, in the order of the path
}

// Part is one process.
type Part struct {
	Name string
	PID  int
}

// Rig is all that was started.
type Rig struct {
	Setups []Setup
	Server Part // the MCP server, which all set-ups share

	o         Options
	processes []*proc.Process
	stops     []func()
	listeners map[string]string // of the Envoys, as they say
}

// patience is how long a part may take to become ready.
const patience = 40 * time.Second

// Start starts the parts and waits until each set-up can be called. Close ends
// them; so does the end of ctx.
func Start(ctx context.Context, o Options) (*Rig, error) {
	r := &Rig{o: o, listeners: map[string]string{}}
	if err := r.start(ctx); err != nil {
		r.Close()
		return nil, fmt.Errorf("setup: %w", err)
	}
	return r, nil
}

func (r *Rig) start(ctx context.Context) error {
	for _, name := range r.o.Setups {
		if !slices.Contains(Names(), name) {
			return fmt.Errorf("there is no set-up %q; there are %s", name, strings.Join(Names(), ", "))
		}
	}
	p, address, err := r.own(ctx, "echo")
	if err != nil {
		return err
	}
	r.Server = Part{"echo", p.PID()}
	for _, name := range r.o.Setups {
		s := Setup{Name: name}
		switch name {
		case Direct:
			s.URL = "http://" + address + "/mcp/echo"
		case Envoy:
			err = r.envoy(ctx, &s, address, "")
		case Noop:
			err = r.noop(ctx, &s, address)
		case Sallyport:
			err = r.gateway(ctx, &s, address, "", only())
		case Quota:
			err = r.counted(ctx, &s, address, "", only("quota"))
		case Limits:
			err = r.counted(ctx, &s, address, budgets, only("quota", "budget")+"  budget: {failures: charge, prices: [{call: $0.000001}]}\n")
		case Policy, PolicyAnew:
			err = r.policy(ctx, &s, address)
		case Content:
			err = r.gateway(ctx, &s, address, "", only("catalog", "schema", "egress", "dlp")+"  egress: {resolve: false, allow: [{host: api.company.com}]}\n")
		case Traced:
			err = r.traced(ctx, &s, address)
		case Unrecorded, Recorded:
			err = r.judged(ctx, &s, address)
		case Defaults:
			err = r.gateway(ctx, &s, address, "", "")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r.Setups = append(r.Setups, s)
	}
	return nil
}

// own starts a server that is a subcommand of this program.
func (r *Rig) own(ctx context.Context, role string) (*proc.Process, string, error) {
	return r.run(ctx, role, "ready ", r.o.Self, role, "--listen", "127.0.0.1:0")
}

// run starts a program and waits for the line that says that it is ready. It
// returns what follows prefix in that line.
func (r *Rig) run(ctx context.Context, name, prefix string, argv ...string) (*proc.Process, string, error) {
	var said atomic.Pointer[string]
	p, err := proc.Start(ctx, name, func(line string) {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			said.Store(&rest)
		}
	}, argv...)
	if err != nil {
		return nil, "", err
	}
	r.processes = append(r.processes, p)
	if err := p.Wait(ctx, patience, func() bool { return said.Load() != nil }); err != nil {
		return nil, "", err
	}
	return p, *said.Load(), nil
}

// Err tells that a part has ended too early.
func (r *Rig) Err() error {
	var errs []error
	for _, p := range r.processes {
		errs = append(errs, p.Err())
	}
	return errors.Join(errs...)
}

// PIDs returns all processes of the rig, those of idle set-ups included.
func (r *Rig) PIDs() []int {
	out := []int{os.Getpid(), r.Server.PID}
	for _, s := range r.Setups {
		for _, p := range s.Parts {
			out = append(out, p.PID)
		}
	}
	return out
}

// Difference compares the listeners of the no-op's Envoy and the gateway's. A
// comparison means something only if there is none.
func (r *Rig) Difference() string {
	a, b := r.listeners[Noop], r.listeners[Sallyport]
	if a == "" || b == "" || a == b {
		return ""
	}
	return firstDifference(a, b)
}

// Close ends everything.
func (r *Rig) Close() {
	for _, p := range slices.Backward(r.processes) {
		p.Stop()
	}
	for _, stop := range slices.Backward(r.stops) {
		stop()
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
