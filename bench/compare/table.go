package compare

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport/sallyport/bench/setup"
)

// Table writes the report as Markdown.
func (r *Report) Table(w io.Writer) error {
	var b strings.Builder
	p := r.Plan
	loop := "closed loop"
	if p.Rate > 0 {
		loop = fmt.Sprintf("open loop, %g calls/s", p.Rate)
	}
	form := "JSON"
	if p.Events {
		form = "SSE"
	}
	fmt.Fprintf(&b, "%s, %d CPUs, %s. MCP %s, answers as %s; %d connections, %s, %d rounds of %v per set-up, set-ups in turns.\n",
		r.Time.Format(time.DateOnly), r.CPUs, r.Go, p.Revision, form, p.Connections, loop, p.Rounds, p.Duration)
	for _, c := range r.Cases {
		fmt.Fprintf(&b, "\n**%s each way**\n\n", bytesText(c.Size))
		b.WriteString("| set-up | calls/s | p50 µs | p99 µs | p99.9 µs | CPU µs/call | of it | × no-op: calls/s | × no-op: CPU | foreign CPU | steal | errors |\n")
		b.WriteString("|---|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|\n")
		for _, s := range c.Results {
			rate, cpu := "", ""
			if s.ToNoop != nil {
				rate = s.ToNoop.Rate.String()
				if s.Setup != setup.Direct {
					cpu = s.ToNoop.CPU.String()
				}
			}
			fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.0f | %.0f | %.0f | %s | %s | %s | %.0f %% | %.1f %% | %d |\n",
				s.Setup, s.Rate, s.Latency.P50, s.Latency.P99, s.Latency.P999, s.Gateway, s.share(), rate, cpu, 100*s.Foreign, 100*s.Steal, s.Errors)
		}
		for _, s := range c.Results {
			if p.Rate > 0 && s.Rate < 0.98*p.Rate {
				fmt.Fprintf(&b, "\n%s did not keep up with %g calls/s.\n", s.Setup, p.Rate)
			}
			if s.ToBare != nil {
				fmt.Fprintf(&b, "\n%s against sallyport: %s times the calls per second, %s times the CPU.\n", s.Setup, s.ToBare.Rate, s.ToBare.CPU)
			}
			if s.Errors > 0 {
				fmt.Fprintf(&b, "\n%s failed: %v\n", s.Setup, s.Kinds)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// share says which process used how much.
func (r *Result) share() string {
	var out []string
	for _, p := range r.parts {
		out = append(out, fmt.Sprintf("%s %.0f", p.Name, r.CPU[p.Name]))
	}
	return strings.Join(out, ", ")
}

// String writes the ratio as 1.04 (0.98-1.11).
func (r Ratio) String() string { return fmt.Sprintf("%.2f (%.2f-%.2f)", r.Median, r.Min, r.Max) }

func bytesText(n int) string {
	if n >= 1024 && n%1024 == 0 {
		return fmt.Sprintf("%d KiB", n/1024)
	}
	return fmt.Sprintf("%d B", n)
}
