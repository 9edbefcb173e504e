package telemetry

import (
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sallyport/sallyport/guard"
)

// raised is what events, failures and shadowed refusals are counted by. What they
// are called is a closed vocabulary of the guards, so there are few of them.
type raised struct{ key, word, guard, server string }

type occurrences struct {
	attributes attribute.Set
	n          atomic.Int64
}

func newOccurrences(k raised) *occurrences {
	list := []attribute.KeyValue{attribute.String(k.key, k.word), attribute.String("guard", k.guard)}
	if k.server != "" {
		list = append(list, attribute.String("server", k.server))
	}
	return &occurrences{attributes: attribute.NewSet(list...)}
}

func count(t *table[raised, occurrences], k raised) { t.get(k, 0, newOccurrences).n.Add(1) }

// guards counts what a decision's journal says of guards that failed, and of
// guards in shadow that would have refused.
func (m *Metrics) guards(d *guard.Decision) {
	for i := range d.Journal {
		switch e := &d.Journal[i]; {
		case e.Err != nil:
			count(&m.failures, raised{key: "action", word: e.Action.String(), guard: e.Guard})
		case e.Mode == guard.Shadow && e.Action != guard.Allow:
			count(&m.shadowed, raised{key: "reason", word: string(e.Reason), guard: e.Guard})
		}
	}
}

// counted returns the totals of t.
func counted(t *table[raised, occurrences], since, now time.Time) metricdata.Sum[int64] {
	sum := metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
	for _, o := range t.all() {
		sum.DataPoints = append(sum.DataPoints, metricdata.DataPoint[int64]{Attributes: o.attributes, StartTime: since, Time: now, Value: o.n.Load()})
	}
	return sum
}
