package telemetry

import (
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// raised is what events are counted by. Kinds are a closed vocabulary of the
// guards, so there are few of them.
type raised struct{ kind, guard, server string }

type occurrences struct {
	attributes attribute.Set
	n          atomic.Int64
}

func (m *Metrics) count(k raised) {
	o, ok := m.events.Load(k)
	if !ok {
		o, _ = m.events.LoadOrStore(k, &occurrences{attributes: attribute.NewSet(
			attribute.String("event", k.kind), attribute.String("guard", k.guard), attribute.String("server", k.server),
		)})
	}
	o.(*occurrences).n.Add(1)
}

// produceEvents returns the totals of events, nothing where there was none.
func (m *Metrics) produceEvents(now time.Time) []metricdata.Metrics {
	sum := metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
	m.events.Range(func(_, value any) bool {
		o := value.(*occurrences)
		sum.DataPoints = append(sum.DataPoints, metricdata.DataPoint[int64]{Attributes: o.attributes, StartTime: m.since, Time: now, Value: o.n.Load()})
		return true
	})
	if len(sum.DataPoints) == 0 {
		return nil
	}
	return []metricdata.Metrics{{Name: "mcp.gateway.events", Description: "Events that guards raised: what people should learn of, whatever was decided.", Data: sum}}
}
