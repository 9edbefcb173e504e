// Package compare measures several set-ups in turns, and says what each costs
// beside a no-op.
//
// On a shared machine two runs of one set-up, a minute apart, may differ by a
// third. So the set-ups take turns of a few seconds, and a ratio is made of two
// neighbouring turns; the median of such ratios is what is reported.
package compare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sallyport/sallyport/bench/client"
	"github.com/sallyport/sallyport/bench/load"
	"github.com/sallyport/sallyport/bench/setup"
)

// Plan is what to measure.
type Plan struct {
	Connections int           `json:"connections"`
	Sizes       []int         `json:"sizes"` // bytes of the arguments, and of the answer
	Rounds      int           `json:"rounds"`
	Warmup      time.Duration `json:"warmup_ns"`
	Duration    time.Duration `json:"duration_ns"` // of one turn
	Rate        float64       `json:"rate"`        // calls per second of the open loop; 0: closed loop
	Revision    string        `json:"revision"`
	Events      bool          `json:"sse"` // answers come as event streams
}

// Sample is one turn of one set-up.
type Sample struct {
	Round     int                `json:"round"`
	Rate      float64            `json:"calls_per_second"`
	P50       float64            `json:"p50_us"`
	CPU       map[string]float64 `json:"cpu_us_per_call"` // by process; "bench" is the load generator
	Gateway   float64            `json:"gateway_cpu_us_per_call"`
	Foreign   float64            `json:"foreign_cpu_share"` // of the machine, used by others
	Steal     float64            `json:"steal_share"`
	Errors    map[string]int64   `json:"errors,omitempty"`
	histogram *hdrhistogram.Histogram
	lag       *hdrhistogram.Histogram
}

const (
	callTimeout = 10 * time.Second
	grace       = 5 * time.Second
)

// Run measures. progress hears of every turn.
func Run(ctx context.Context, rig *setup.Rig, p Plan, progress func(string)) (*Report, error) {
	if len(p.Sizes) == 0 || p.Rounds <= 0 {
		return nil, errors.New("compare: at least one size and one round are needed")
	}
	r := newReport(p)
	if d := rig.Difference(); d != "" {
		return nil, errors.New("compare: the Envoys of no-op and gateway have different listeners: " + d)
	}
	for _, size := range p.Sizes {
		samples := make([][]Sample, len(rig.Setups))
		for round := range p.Rounds {
			order := turns(len(rig.Setups), round)
			for _, i := range order {
				s := &rig.Setups[i]
				sample, err := turn(ctx, rig, s, p, size)
				if err != nil {
					return nil, fmt.Errorf("compare: %s: %d bytes: %w", s.Name, size, errors.Join(err, rig.Err()))
				}
				sample.Round = round + 1
				samples[i] = append(samples[i], *sample)
				progress(fmt.Sprintf("%d B, round %d of %d: %-9s %7.0f calls/s, %4.0f µs of CPU per call", size, round+1, p.Rounds, s.Name, sample.Rate, sample.Gateway))
			}
		}
		r.add(size, rig.Setups, samples)
	}
	return r, nil
}

// turns is the order of a round: every other one is reversed, so that no set-up
// always comes after the same other.
func turns(n, round int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	if round%2 == 1 {
		slices.Reverse(out)
	}
	return out
}

// turn measures one set-up once.
func turn(ctx context.Context, rig *setup.Rig, s *setup.Setup, p Plan, size int) (*Sample, error) {
	var m meter
	result, err := load.Run(ctx, load.Plan{
		Connections: p.Connections, Rate: p.Rate, Warmup: p.Warmup, Duration: p.Duration, Grace: grace,
		Begin: func() { m.begin(rig) }, End: func() { m.end(rig) },
		Kind: client.Kind, Lost: client.Lost,
	}, dialer(s, p, size))
	if err != nil {
		return nil, err
	}
	if m.err != nil {
		return nil, m.err
	}
	out := &Sample{Rate: result.Rate(), P50: micros(result.Latency.ValueAtQuantile(50)), histogram: result.Latency, lag: result.Lag}
	if result.Failed() > 0 {
		out.Errors = result.Errors
	}
	if result.Completed == 0 {
		return nil, errors.Join(errors.New("no call was answered"), result.First)
	}
	m.account(out, rig, s, result.Completed)
	return out, nil
}

func dialer(s *setup.Setup, p Plan, size int) load.Dial {
	return func(ctx context.Context, i int) (load.Caller, error) {
		call := client.EchoCall("c"+strconv.Itoa(i), size, size, p.Events)
		c, err := client.Dial(ctx, client.Config{URL: s.URL, Headers: s.Headers, Revision: p.Revision, Timeout: callTimeout}, call)
		if err != nil {
			return nil, err // no nil *Conn in an interface
		}
		return c, nil
	}
}

func micros(ns int64) float64 { return float64(ns) / 1e3 }
