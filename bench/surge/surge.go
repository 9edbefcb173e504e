// Package surge measures what a gateway with adaptive_surge does for the calls of
// one tenant while another wants ten times its share, and for a server that
// becomes ten times slower.
package surge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/bench/client"
	"github.com/sallyport/sallyport/bench/issuer"
	"github.com/sallyport/sallyport/bench/load"
	"github.com/sallyport/sallyport/bench/setup"
)

// Plan is what to measure.
type Plan struct {
	Workers  int           `json:"workers"`    // calls that the server works on at once
	Service  time.Duration `json:"service_ns"` // of one call
	Ceiling  int           `json:"ceiling"`    // guards.surge.limit.max
	Rate     float64       `json:"rate"`       // calls per second of the modest tenant
	Greedy   int           `json:"greedy"`     // calls that the greedy tenant always wants at once
	Rounds   int           `json:"rounds"`
	Duration time.Duration `json:"duration_ns"` // of one turn, and of each part of the slow server
}

// Report is what was measured.
type Report struct {
	Plan   Plan   `json:"plan"`
	Alone  []Turn `json:"alone"`  // the modest tenant
	Beside []Turn `json:"beside"` // the modest tenant beside the greedy one
	Greedy []Turn `json:"greedy"`
	Parts  []Part `json:"parts"` // of the slow server, in order
}

// Turn is what one tenant got.
type Turn struct {
	Rate   float64          `json:"calls_per_second"`
	P50    float64          `json:"p50_ms"`
	P99    float64          `json:"p99_ms"`
	Errors map[string]int64 `json:"errors,omitempty"`
	Peak   int              `json:"peak_at_server"`
}

// Part is a while of the slow server.
type Part struct {
	Name    string  `json:"name"`
	Rate    float64 `json:"calls_per_second"`
	Peak    int     `json:"peak_at_server"`
	Limits  []int   `json:"limits"` // every half second
	Service float64 `json:"service_ms"`
}

const public = "https://bench.example"

func config(p Plan, o setup.Options, server, issuer string) string {
	return fmt.Sprintf(`listeners: [{address: "127.0.0.1:0"}]
gateway:
  authentication: {method: JWT}
  authorization: {policy_engine: none}
  rate_limiting: {adaptive_surge: true}
extproc: {address: "127.0.0.1:0"}
xds: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
envoy: {admin_address: "127.0.0.1:0", concurrency: %d}
limits: {drain: 1s}
receipts: {path: surge.jsonl}
log: {level: error}
servers:
  - name: echo
    description: The server of the bench
    owner: bench
    domain: bench
    data_classification: internal
    url: http://%s/mcp
    health_check: {disabled: true}
    limits: {max_connections: 4096, max_pending: 4096, max_requests: 4096}
guards:
  identity:
    public_url: %s
    issuers: [{url: %q, scopes: [mcp], claims: {tenant: org}}]
  dlp: {mode: "off"}
  injection: {mode: "off"}
  surge: {limit: {min: 4, start: %d, max: %d}}
`, o.Workers, server, public, issuer, min(p.Workers, p.Ceiling), p.Ceiling)
}

// rig is what runs.
type rig struct {
	*setup.Rig
	plan    Plan
	server  *server
	headers map[string]string
}

// Run starts the server, an issuer and the gateway, and measures.
func Run(ctx context.Context, o setup.Options, p Plan, progress func(string)) (*Report, error) {
	if p.Workers < 1 || p.Service <= 0 || p.Ceiling < 4 || p.Rate <= 0 || p.Greedy < 1 || p.Rounds < 1 || p.Duration <= 0 {
		return nil, errors.New("surge: everything must be positive, and the ceiling at least 4")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r := &rig{plan: p, server: newServer(p.Workers, p.Service), headers: map[string]string{}}
	address, err := r.server.start(ctx)
	if err != nil {
		return nil, fmt.Errorf("surge: server: %w", err)
	}
	who, err := issuer.Start()
	if err != nil {
		return nil, fmt.Errorf("surge: issuer: %w", err)
	}
	defer who.Close()
	if r.Rig, err = setup.StartGateway(ctx, o, config(p, o, address, who.URL)); err != nil {
		return nil, err
	}
	defer r.Close()
	for _, tenant := range []string{"modest", "greedy"} {
		token, err := who.Token(map[string]any{"sub": "user-of-" + tenant, "aud": public + "/mcp/echo", "org": tenant, "scope": "mcp"})
		if err != nil {
			return nil, fmt.Errorf("surge: token: %w", err)
		}
		r.headers[tenant] = "Authorization: Bearer " + token
	}
	out := &Report{Plan: p}
	for round := range p.Rounds {
		if err := r.fairness(ctx, out); err != nil {
			return nil, fmt.Errorf("surge: %w", errors.Join(err, r.Err()))
		}
		progress(fmt.Sprintf("round %d of %d: p99 of the modest tenant %.1f ms alone, %.1f ms beside the greedy one", round+1, p.Rounds, out.Alone[round].P99, out.Beside[round].P99))
	}
	if err := r.slowness(ctx, out, progress); err != nil {
		return nil, fmt.Errorf("surge: %w", errors.Join(err, r.Err()))
	}
	return out, nil
}

// calls makes a tenant's calls: at a rate, or so many at once.
func (r *rig) calls(ctx context.Context, tenant string, rate float64, at int, warmup, length time.Duration) (Turn, error) {
	call, err := client.ToolCall("work", json.RawMessage(`{}`))
	if err != nil {
		return Turn{}, err
	}
	plan := load.Plan{Connections: at, Rate: rate, Warmup: warmup, Duration: length, Grace: 15 * time.Second, Kind: client.Kind, Lost: client.Lost}
	result, err := load.Run(ctx, plan, func(ctx context.Context, _ int) (load.Caller, error) {
		c, err := client.Dial(ctx, client.Config{URL: r.Setups[0].URL, Revision: client.Modern, Headers: []string{r.headers[tenant]}, Timeout: 15 * time.Second}, call)
		if err != nil {
			return nil, err // no nil *Conn in an interface
		}
		return c, nil
	})
	if err != nil {
		return Turn{}, err
	}
	ms := func(q float64) float64 { return float64(result.Latency.ValueAtQuantile(q)) / 1e6 }
	return Turn{Rate: result.Rate(), P50: ms(50), P99: ms(99), Errors: result.Errors}, nil
}

// fairness is one turn alone, and one beside the greedy tenant.
func (r *rig) fairness(ctx context.Context, out *Report) error {
	const conns = 32
	alone, err := r.calls(ctx, "modest", r.plan.Rate, conns, r.plan.Duration/4, r.plan.Duration)
	if err != nil {
		return err
	}
	alone.Peak, _ = r.server.seen()
	var beside, greedy Turn
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		greedy, err = r.calls(inner, "greedy", 0, r.plan.Greedy, r.plan.Duration/4, r.plan.Duration+r.plan.Duration/4)
		return err
	})
	group.Go(func() (err error) {
		beside, err = r.calls(inner, "modest", r.plan.Rate, conns, r.plan.Duration/2, r.plan.Duration)
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	beside.Peak, _ = r.server.seen()
	out.Alone, out.Beside, out.Greedy = append(out.Alone, alone), append(out.Beside, beside), append(out.Greedy, greedy)
	return nil
}

// slowness loads a server that becomes ten times slower, and fast again.
func (r *rig) slowness(ctx context.Context, out *Report, progress func(string)) error {
	length := r.plan.Duration
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		_, err := r.calls(inner, "greedy", 0, r.plan.Greedy, 0, 5*length)
		return err
	})
	group.Go(func() error {
		for _, part := range []struct {
			name    string
			service time.Duration
			length  time.Duration
		}{{"fast", r.plan.Service, length}, {"ten times slower", 10 * r.plan.Service, 2 * length}, {"fast again", r.plan.Service, 2*length - length/4}} {
			r.server.service.Store(int64(part.service))
			r.server.seen()
			p := Part{Name: part.name, Service: float64(part.service) / 1e6}
			began := time.Now()
			for time.Since(began) < part.length {
				select {
				case <-inner.Done():
					return inner.Err()
				case <-time.After(min(500*time.Millisecond, part.length/4)):
				}
				limit, err := r.limit(inner)
				if err != nil {
					return err
				}
				p.Limits = append(p.Limits, limit)
			}
			peak, done := r.server.seen()
			p.Peak, p.Rate = peak, float64(done)/time.Since(began).Seconds()
			out.Parts = append(out.Parts, p)
			progress(fmt.Sprintf("%s: %.0f calls/s, at most %d at the server, limits %v", p.Name, p.Rate, p.Peak, p.Limits))
		}
		return nil
	})
	return group.Wait()
}

// limit asks the gateway.
func (r *rig) limit(ctx context.Context) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Setups[0].Admin+"/v1/status", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var status struct {
		Surge []struct{ Limit int } `json:"surge"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		return 0, err
	}
	if len(status.Surge) != 1 {
		return 0, errors.New("the status has no limit of the server")
	}
	return status.Surge[0].Limit, nil
}

// median of one number of turns.
func median(turns []Turn, of func(Turn) float64) float64 {
	var list []float64
	for _, t := range turns {
		list = append(list, of(t))
	}
	slices.Sort(list)
	return list[len(list)/2]
}
