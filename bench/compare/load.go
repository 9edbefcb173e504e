package compare

import (
	"context"
	"fmt"
	"io"

	"github.com/sallyport/sallyport/bench/client"
	"github.com/sallyport/sallyport/bench/load"
)

// Loaded is what one server did under load.
type Loaded struct {
	URL     string           `json:"url"`
	Rate    float64          `json:"calls_per_second"`
	Latency Latency          `json:"latency_us"`
	Lag     float64          `json:"send_lag_p99_us"`
	Errors  int64            `json:"errors"`
	Kinds   map[string]int64 `json:"errors_by_kind,omitempty"`
	First   string           `json:"first_error,omitempty"`
}

// Load makes one call again and again, as planned.
func Load(ctx context.Context, p load.Plan, cfg client.Config, call client.Call) (*Loaded, error) {
	p.Grace, p.Kind, p.Lost = cfg.Timeout, client.Kind, client.Lost
	r, err := load.Run(ctx, p, func(ctx context.Context, _ int) (load.Caller, error) {
		c, err := client.Dial(ctx, cfg, call)
		if err != nil {
			return nil, err // no nil *Conn in an interface
		}
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	out := &Loaded{URL: cfg.URL, Rate: r.Rate(), Latency: latency(r.Latency), Lag: micros(r.Lag.ValueAtQuantile(99)), Errors: r.Failed(), Kinds: r.Errors}
	if r.First != nil {
		out.First = r.First.Error()
	}
	return out, nil
}

// Table writes the result as Markdown.
func (l *Loaded) Table(w io.Writer) error {
	_, err := fmt.Fprintf(w, "| calls/s | p50 µs | p90 µs | p99 µs | p99.9 µs | max µs | sent late p99 µs | errors |\n|--:|--:|--:|--:|--:|--:|--:|--:|\n"+
		"| %.0f | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f | %d |\n",
		l.Rate, l.Latency.P50, l.Latency.P90, l.Latency.P99, l.Latency.P999, l.Latency.Max, l.Lag, l.Errors)
	if err == nil && l.Errors > 0 {
		_, err = fmt.Fprintf(w, "\n%v; first: %s\n", l.Kinds, l.First)
	}
	return err
}
