package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// operationBounds are those that the conventions for MCP advise, and two below
// them, since a gateway is quicker than a server.
var operationBounds = []time.Duration{
	time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
}

type operation struct {
	server, method, outcome, kind string
	values                        *values // those of one set are at one place
}

func newOperation(k operation) *tally {
	list := []attribute.KeyValue{
		attribute.String("server", k.server), attribute.String("mcp.method.name", k.method), attribute.String("outcome", k.outcome),
	}
	if k.kind != "" {
		list = append(list, attribute.String("error.type", k.kind))
	}
	return newTally(operationBounds, append(list, k.values.attributes()...)...)
}

// observer is told of what happens under one configuration.
type observer struct {
	*Metrics
	breakdown
	exemplars bool
}

// Under returns the observer for one configuration: operations are broken down by
// labels, with at most limit sets of values, and histograms hold exemplars of traces
// that are kept, if wanted.
func (m *Metrics) Under(wanted []Label, limit int, exemplars bool) guard.Observer {
	return &observer{m, newBreakdown(wanted, limit), exemplars}
}

// Ended counts an exchange that has ended.
func (o *observer) Ended(_ context.Context, x *guard.Exchange, out *guard.Outcome) {
	k := operation{server: x.Server.Name, method: method(x.Asked.Method)}
	k.outcome, k.kind = Judge(out)
	k.values = o.of(&o.breakdown, x, out.Reply.Kind == mcp.Response && !out.Reply.Error)
	t := o.operations.get(k, 0, newOperation)
	i := t.add(out.Elapsed)
	if o.exemplars && x.Trace.Kept {
		t.show(i, out.Elapsed, &x.Trace)
	}
}

// method is a method as a label: one of the protocol, "extension" for one of the
// configuration or of the client's own, "none" where no message could be read.
func method(name string) string {
	if name == "" {
		return "none"
	}
	if _, ok := mcp.LookupMethod(name); ok || name == mcp.MethodListen || name == mcp.MethodClose {
		return name
	}
	return "extension"
}
