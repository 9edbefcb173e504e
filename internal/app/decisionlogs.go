package app

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/decisionlog"
	"github.com/sallyport/sallyport/internal/remote"
)

// decisionLogs are the logs that decisions are shipped to, by their settings.
type decisionLogs struct {
	mu   sync.Mutex
	logs map[policy.Logs]*decisionlog.Log
}

// open returns the log of a configuration; nil where nothing is shipped.
func (d *decisionLogs) open(c policy.Logs, id string, log *slog.Logger) (*decisionlog.Log, error) {
	if c.URL == "" {
		return nil, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if have := d.logs[c]; have != nil {
		return have, nil
	}
	o, err := remoteOptions(c.URL, c.Service)
	if err != nil {
		return nil, err
	}
	o.MaxReply = 64 << 10
	client, err := remote.New(o)
	if err != nil {
		return nil, err
	}
	l, err := decisionlog.New(decisionlog.Options{
		Client: client, Labels: map[string]string{"id": id, "app": "sallyport"}, Arguments: c.Arguments,
		Every: c.Every, Buffer: int(c.Buffer), Timeout: c.Timeout, Log: log,
	})
	if err != nil {
		return nil, err
	}
	if d.logs == nil {
		d.logs = make(map[policy.Logs]*decisionlog.Log)
	}
	d.logs[c] = l
	return l, nil
}

// get returns the log of a configuration, if it was opened.
func (d *decisionLogs) get(c policy.Logs) *decisionlog.Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.logs[c]
}

// all returns the logs that were opened, of former configurations too: exchanges
// that began under one may still be open.
func (d *decisionLogs) all() []*decisionlog.Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Values(d.logs))
}

// observers learn of every decision under a configuration, in this order.
func (g *Gateway) observers(cfg *config.Config) ([]guard.Observer, error) {
	all := []guard.Observer{g.observer(cfg)}
	if o := g.traces.under(cfg); o != nil {
		all = append(all, o) // before metrics, which show traces that are kept
	}
	all = append(all, g.counting(cfg), eventLog{g.log})
	c, ok := cfg.Guards["policy"].Config.(*policy.Config)
	if !ok || cfg.Gateway.Authorization.PolicyEngine == "none" {
		return all, nil
	}
	l, err := g.lasting.logs.open(c.Logs, g.lasting.id, g.log)
	if err != nil {
		return nil, &sectionError{"guards.policy.decision_logs", err}
	}
	if l != nil {
		all = append(all, l)
	}
	return all, nil
}

// sectionError says which section of the configuration an error is about.
type sectionError struct {
	section string
	err     error
}

func (e *sectionError) Error() string { return e.section + ": " + e.err.Error() }
func (e *sectionError) Unwrap() error { return e.err }

// shipLogs ships decisions until ctx ends.
func (g *Gateway) shipLogs(ctx context.Context) {
	running := make(map[*decisionlog.Log]bool)
	var all sync.WaitGroup
	for ctx.Err() == nil {
		for _, l := range g.lasting.logs.all() {
			if !running[l] {
				running[l] = true
				all.Go(func() { l.Run(ctx) })
			}
		}
		rest(ctx, look)
	}
	all.Wait()
}

// logStatus tells how shipping goes; nil where nothing is shipped.
func (g *Gateway) logStatus() *decisionlog.Status {
	c, _ := g.policyConfig()
	l := g.lasting.logs.get(c.Logs)
	if l == nil {
		return nil
	}
	s := l.Status()
	return &s
}
