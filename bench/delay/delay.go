// Package delay measures how long the events of a stream take on their way.
package delay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sallyport/sallyport/bench/client"
	"github.com/sallyport/sallyport/bench/jsonscan"
	"github.com/sallyport/sallyport/bench/load"
	"github.com/sallyport/sallyport/bench/setup"
)

// Plan is what to measure: streams of one event per interval, through all
// set-ups at the same time.
type Plan struct {
	Streams  int           `json:"streams"` // for each set-up
	Interval time.Duration `json:"interval_ns"`
	Duration time.Duration `json:"duration_ns"`
	Revision string        `json:"revision"`
}

// Report is what was measured.
type Report struct {
	Plan    Plan     `json:"plan"`
	Results []Result `json:"results"`
}

// Result is the delay of events through one set-up: from the moment at which
// the server wrote an event to the one at which its first byte was read.
type Result struct {
	Setup  string   `json:"setup"`
	Events int64    `json:"events"`
	Lost   int64    `json:"lost"` // sent, so the server says, and not seen
	Median float64  `json:"median_us"`
	P99    float64  `json:"p99_us"`
	Max    float64  `json:"max_us"`
	Errors []string `json:"errors,omitempty"`
}

// Run measures until every stream has ended.
func Run(ctx context.Context, rig *setup.Rig, p Plan) (*Report, error) {
	if p.Streams <= 0 || p.Interval < time.Millisecond || p.Duration < p.Interval {
		return nil, errors.New("delay: streams must be positive, the interval at least 1 ms and the duration at least one interval")
	}
	out := &Report{Plan: p, Results: make([]Result, len(rig.Setups))}
	var all sync.WaitGroup
	for i := range rig.Setups {
		all.Go(func() { out.Results[i] = watch(ctx, &rig.Setups[i], p) })
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("delay: %w", err)
	}
	return out, nil
}

// Errors returns the number of streams that failed and of events that were lost.
func (r *Report) Errors() int64 {
	var n int64
	for _, x := range r.Results {
		n += int64(len(x.Errors)) + x.Lost
	}
	return n
}

func watch(ctx context.Context, s *setup.Setup, p Plan) Result {
	out := Result{Setup: s.Name}
	seen := load.NewHistogram()
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range p.Streams {
		all.Go(func() {
			one, err := stream(ctx, s.URL, p, i)
			mu.Lock()
			defer mu.Unlock()
			seen.Merge(one)
			if err != nil {
				out.Errors = append(out.Errors, err.Error())
			} else {
				out.Lost += p.events() - one.TotalCount()
			}
		})
	}
	all.Wait()
	us := func(ns int64) float64 { return float64(ns) / 1e3 }
	out.Events = seen.TotalCount()
	out.Median, out.P99, out.Max = us(seen.ValueAtQuantile(50)), us(seen.ValueAtQuantile(99)), us(seen.Max())
	return out
}

func (p *Plan) events() int64 { return int64(p.Duration / p.Interval) }

func stream(ctx context.Context, url string, p Plan, i int) (*hdrhistogram.Histogram, error) {
	seen := load.NewHistogram()
	arguments := fmt.Sprintf(`{"events":%d,"interval_ms":%d}`, p.events(), p.Interval.Milliseconds())
	call, err := client.ToolCall("stream", json.RawMessage(arguments))
	if err != nil {
		return seen, err
	}
	call.Progress = true
	c, err := client.Dial(ctx, client.Config{URL: url, Revision: p.Revision, Timeout: p.Interval + 30*time.Second}, call)
	if err != nil {
		return seen, err
	}
	defer c.Close()
	time.Sleep(p.Interval * time.Duration(i) / time.Duration(p.Streams)) // not all in one moment
	err = c.Stream(func(data []byte, first int64) error {
		text := jsonscan.Text(jsonscan.Get(jsonscan.Get(data, "params"), "message"))
		sent, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return fmt.Errorf("delay: event without the time it was sent at: %w", err)
		}
		return seen.RecordValue(max(first-sent, 1))
	})
	return seen, err
}

// Table writes the report as Markdown.
func (r *Report) Table(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d streams per set-up at the same time, one event every %v for %v, MCP %s.\n\n", r.Plan.Streams, r.Plan.Interval, r.Plan.Duration, r.Plan.Revision)
	b.WriteString("| set-up | events | median delay µs | p99 µs | max µs | lost | errors |\n|---|--:|--:|--:|--:|--:|--:|\n")
	for _, x := range r.Results {
		fmt.Fprintf(&b, "| %s | %d | %.0f | %.0f | %.0f | %d | %d |\n", x.Setup, x.Events, x.Median, x.P99, x.Max, x.Lost, len(x.Errors))
	}
	for _, x := range r.Results {
		for _, e := range x.Errors {
			fmt.Fprintf(&b, "\n%s: %s\n", x.Setup, e)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
