package app

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/decisionlog"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/memo"
	"github.com/sallyport/sallyport/internal/release"
	"github.com/sallyport/sallyport/internal/shadow"
)

// PolicyStatus tells which policy decides, and why a newer one does not.
type PolicyStatus struct {
	Engine    string              `json:"engine"`
	Revision  string              `json:"revision,omitempty"`
	Since     *time.Time          `json:"since,omitempty"`
	Candidate string              `json:"candidate,omitempty"` // revision in a canary
	Stage     int                 `json:"stage,omitempty"`     // that it is in, from 1
	Shadow    string              `json:"shadow,omitempty"`    // revision that is compared
	Held      string              `json:"held,omitempty"`      // why a good bundle that is offered does not judge
	Error     string              `json:"error,omitempty"`     // of the bundle as it is now
	Store     string              `json:"store_error,omitempty"`
	Logs      *decisionlog.Status `json:"decision_logs,omitempty"`
	*memo.Stats
	CacheTTL string `json:"cache_ttl,omitempty"` // no cached decision is older
}

func (g *Gateway) policyStatus(snap *gate.Snapshot) PolicyStatus {
	d, ok := snap.Policy.(*deciders)
	if !ok {
		return PolicyStatus{Engine: "none"}
	}
	s := PolicyStatus{Engine: g.source.Current().Gateway.Authorization.PolicyEngine, Revision: d.live.Revision()}
	stats := g.lasting.decided.Stats()
	s.Stats = &stats
	if ttl := g.source.Current().Gateway.Authorization.DecisionCacheTTL; ttl > 0 {
		s.CacheTTL = ttl.String()
	}
	if w, ok := d.Decider.(*shadow.Watched); ok {
		s.Shadow = w.Pair.Other.Revision()
	}
	if l := g.liveLine(); l != nil {
		k := l.keeper.Status()
		s.Since, s.Candidate, s.Stage, s.Held, s.Error = &k.Since, k.Candidate, k.Stage, k.Held, k.Error
	}
	s.Logs = g.logStatus()
	if why := g.unsaved.Load(); why != nil {
		s.Store = *why
	}
	return s
}

var errNoPolicy = errors.New("no policy decides (gateway.authorization.policy_engine: none)")

// Releases is the body of /v1/policy.
type Releases struct {
	release.Status
	Canary *shadow.Summary `json:"canary,omitempty"`
}

func (g *Gateway) policyReleases(*http.Request) (any, error) {
	l := g.liveLine()
	if l == nil {
		return nil, errNoPolicy
	}
	r := Releases{Status: l.keeper.Status()}
	if rep := g.lasting.releases.canaryReport(); rep != nil {
		s := rep.Summary(20)
		r.Canary = &s
	}
	return r, nil
}

// Shadowed is the body of /v1/policy/shadow.
type Shadowed struct {
	Bundle  string `json:"bundle"`
	Error   string `json:"error,omitempty"`
	Dropped uint64 `json:"dropped"` // decisions that found no room to wait, of the canary too
	*shadow.Summary
}

const latest = 20 // disagreements that are told unless asked otherwise

func (g *Gateway) policyShadow(r *http.Request) (any, error) {
	c, ok := g.policyConfig()
	if !ok {
		return nil, errNoPolicy
	}
	if c.Shadow.Bundle == "" {
		return nil, errors.New("no bundle is compared (guards.policy.shadow.bundle)")
	}
	n := latest
	if text := r.URL.Query().Get("latest"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 0 {
			return nil, errors.New("latest is no number")
		}
	}
	s := Shadowed{Bundle: c.Shadow.Bundle, Dropped: g.lasting.releases.compared(c.Shadow.Queue).Dropped()}
	var err error
	if l := g.lasting.releases.has(shadowConfig(c), true); l != nil {
		err = l.keeper.Err()
	} else {
		err = g.lasting.releases.why(shadowConfig(c))
	}
	if err != nil {
		s.Error = err.Error()
	}
	if rep := g.lasting.releases.shadowReport(); rep != nil {
		sum := rep.Summary(n)
		s.Summary = &sum
	}
	return s, nil
}

// Judging is the answer to a command about policies.
type Judging struct {
	Revision string `json:"revision"` // that judges now, or is on its way
}

// policyCommand has a line do something, and answers when it is in force. Before, a
// receipt is kept.
func (g *Gateway) policyCommand(name string, do func(*release.Keeper, []byte) (string, error)) admin.Command {
	return func(ctx context.Context, body []byte) (any, error) {
		l := g.liveLine()
		if l == nil {
			return nil, errNoPolicy
		}
		if err := g.keepCommand(ctx, "/v1/policy", name, body, guard.Event{Kind: "policy_" + name, Guard: "policy"}); err != nil {
			return nil, err
		}
		revision, err := do(l.keeper, body)
		if err != nil {
			return nil, err
		}
		g.log.Warn("policy: changed as somebody asked for", "command", name, "revision", revision)
		g.apply(l)
		return Judging{revision}, nil
	}
}

// policyRoutes are the pages of the admin interface about policies.
func (g *Gateway) policyRoutes() []admin.Route {
	return []admin.Route{
		{Pattern: "GET /v1/policy", Show: g.policyReleases},
		{Pattern: "GET /v1/policy/shadow", Show: g.policyShadow},
		{Pattern: "POST /v1/policy/rollback", Do: g.policyCommand("rollback", func(k *release.Keeper, body []byte) (string, error) {
			var to struct {
				To string `json:"to"`
			}
			if err := json.Unmarshal(body, &to); err != nil {
				return "", errors.New("the body is no JSON object with a text member to")
			}
			return k.Rollback(to.To)
		})},
		{Pattern: "POST /v1/policy/release", Do: g.policyCommand("release", func(k *release.Keeper, _ []byte) (string, error) { return k.Release() })},
		{Pattern: "POST /v1/policy/promote", Do: g.policyCommand("promote", func(k *release.Keeper, _ []byte) (string, error) { return k.Promote() })},
	}
}

// lineStatus is how the line of the bundle that decides is doing.
func (g *Gateway) lineStatus() release.Status {
	if l := g.liveLine(); l != nil {
		return l.keeper.Status()
	}
	return release.Status{}
}

func (g *Gateway) policyError() string { return g.lineStatus().Error }
func (g *Gateway) policyHeld() string  { return g.lineStatus().Held }
func (g *Gateway) canaryStage() int64  { return int64(g.lineStatus().Stage) }

func (g *Gateway) uncompared() uint64 {
	if q := g.lasting.releases.waiting(); q != nil {
		return q.Dropped()
	}
	return 0
}

func (g *Gateway) logsSent() uint64 {
	if s := g.logStatus(); s != nil {
		return s.Sent
	}
	return 0
}

func (g *Gateway) logsDropped() uint64 {
	if s := g.logStatus(); s != nil {
		return s.Dropped
	}
	return 0
}
