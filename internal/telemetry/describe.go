package telemetry

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Kind is what kind of metric something is.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Description is what is to know of a metric.
type Description struct {
	Name   string // OpenTelemetry's
	Kind   Kind
	Unit   string   // "s" for seconds, or empty
	Labels []string // attributes, as OpenTelemetry names them
	Text   string
}

var (
	decisionCount = Description{"mcp.gateway.decisions", Counter, "", []string{"server", "method", "direction", "action", "reason", "guard"}, "Messages judged."}
	decisionTime  = Description{"mcp.gateway.decision.duration", Histogram, "s", decisionCount.Labels, "Time the guard chain took for one message."}
	operationTime = Description{"mcp.server.operation.duration", Histogram, "s", []string{"server", "mcp.method.name", "outcome", "error.type"},
		"Time from a request's headers to the end of its answer, as the conventions for MCP name it. outcome: ok, tool_error, error (the server's), refused (by the gateway), upstream (the server failed), gateway (the gateway did), reset (the client left)."}
	eventCount   = Description{"mcp.gateway.events", Counter, "", []string{"event", "guard", "server"}, "Events that guards raised: what people should learn of, whatever was decided."}
	failureCount = Description{"mcp.gateway.guard.failures", Counter, "", []string{"action", "guard"}, "Guards that reached no answer, by what on_error or a defect made of that; action allow is a message that passed unjudged by that guard."}
	shadowCount  = Description{"mcp.gateway.guard.shadowed", Counter, "", []string{"reason", "guard"}, "Refusals of guards in shadow, which had no effect."}
)

// Own are the metrics that this package counts by itself.
func Own() []Description {
	return []Description{decisionCount, decisionTime, operationTime, eventCount, failureCount, shadowCount}
}

// Prometheus returns the name under which Prometheus knows d.
func (d *Description) Prometheus() string {
	name := strings.ReplaceAll(d.Name, ".", "_")
	if d.Unit == "s" {
		name += "_seconds"
	}
	if d.Kind == Counter {
		name += "_total"
	}
	return name
}

// Page writes list as a table in Markdown, sorted by name.
func Page(list []Description) string {
	list = slices.SortedFunc(slices.Values(list), func(a, b Description) int { return cmp.Compare(a.Name, b.Name) })
	var b strings.Builder
	b.WriteString("| Prometheus | OpenTelemetry | kind | labels | meaning |\n| --- | --- | --- | --- | --- |\n")
	for _, d := range list {
		var words []string
		for _, l := range d.Labels {
			words = append(words, "`"+strings.ReplaceAll(l, ".", "_")+"`")
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", d.Prometheus(), d.Name, d.Kind, strings.Join(words, ", "), strings.ReplaceAll(d.Text, "|", "\\|"))
	}
	return b.String()
}
