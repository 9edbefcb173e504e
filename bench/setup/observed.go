package setup

import (
	"context"
	"fmt"
	"path/filepath"
)

// traced is the gateway of Sallyport that keeps a share of its calls as traces, with
// Envoy's spans, and sends them to a receiver that is no part of the set-up.
func (r *Rig) traced(ctx context.Context, s *Setup, server string) error {
	_, address, err := r.own(ctx, "sink")
	if err != nil {
		return err
	}
	return r.gateway(ctx, s, server, "", only()+tracing(address))
}

func tracing(address string) string {
	return fmt.Sprintf(`telemetry:
  otlp: {endpoint: "http://%s"}
  traces: {sample: 0.1, per_second: 100000}
  metrics: {export: false}
telemetry_configuration:
  traces: {ai_spans: [prompt_hashes, tool_metadata, token_usage, cost_tracking, latency_percentiles]}
`, address)
}

// judged is the gateway's judging service alone, behind the no-op's Envoy, with
// chained receipts or without any.
func (r *Rig) judged(ctx context.Context, s *Setup, server string) error {
	if err := r.configure(s, server, "  authentication: {method: none}\n  authorization: {policy_engine: none}\n", only()); err != nil {
		return err
	}
	argv := []string{r.o.Self, "judge", "--listen", "127.0.0.1:0", "--config", filepath.Join(r.o.Dir, s.Name+".yaml")}
	if s.Name == Recorded {
		argv = append(argv, "--receipts", filepath.Join(r.o.Dir, s.Name+".receipts"))
	}
	p, address, err := r.run(ctx, "judge", "ready ", argv...)
	if err != nil {
		return err
	}
	s.Name += "-envoy" // whose bootstrap is a file of its own
	err = r.envoy(ctx, s, server, address)
	s.Name = s.Name[:len(s.Name)-len("-envoy")]
	s.Parts = append(s.Parts, Part{"judge", p.PID()})
	return err
}
