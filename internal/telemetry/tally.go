package telemetry

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sallyport/sallyport/guard"
)

// decisionBounds are the upper ends of the buckets for the time of a decision.
var decisionBounds = []time.Duration{
	5 * time.Microsecond, 10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond,
	500 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, time.Second,
}

// tally counts what has one set of attributes, by how long it took. The SDK's
// instruments look the set up anew for each measurement, which cost a tenth of
// what the gateway spends on a call; so it is counted here, and handed to the SDK
// when somebody reads it.
type tally struct {
	attributes attribute.Set
	bounds     []time.Duration
	buckets    []atomic.Uint64
	shown      []atomic.Pointer[exemplar] // of each bucket, the latest
	total      atomic.Int64               // nanoseconds
}

// exemplar is one of those that are counted, whose trace can be looked at.
type exemplar struct {
	at    time.Time
	took  time.Duration
	trace [16]byte
	span  [8]byte
}

func newTally(bounds []time.Duration, list ...attribute.KeyValue) *tally {
	return &tally{
		attributes: attribute.NewSet(list...), bounds: bounds,
		buckets: make([]atomic.Uint64, len(bounds)+1), shown: make([]atomic.Pointer[exemplar], len(bounds)+1),
	}
}

// add counts one, and returns its bucket.
func (t *tally) add(took time.Duration) int {
	i := 0
	for i < len(t.bounds) && took > t.bounds[i] {
		i++
	}
	t.buckets[i].Add(1)
	t.total.Add(int64(took))
	return i
}

// show makes what was counted in bucket i its exemplar.
func (t *tally) show(i int, took time.Duration, tr *guard.Trace) {
	t.shown[i].Store(&exemplar{time.Now(), took, tr.ID, tr.Span})
}

// point returns t as the SDK has it.
func (t *tally) point(since, now time.Time) metricdata.HistogramDataPoint[float64] {
	p := metricdata.HistogramDataPoint[float64]{
		Attributes: t.attributes, StartTime: since, Time: now, Bounds: make([]float64, len(t.bounds)), BucketCounts: make([]uint64, len(t.buckets)),
		Sum: time.Duration(t.total.Load()).Seconds(),
	}
	for i, b := range t.bounds {
		p.Bounds[i] = b.Seconds()
	}
	for i := range t.buckets {
		p.BucketCounts[i] = t.buckets[i].Load()
		p.Count += p.BucketCounts[i]
		if e := t.shown[i].Load(); e != nil {
			p.Exemplars = append(p.Exemplars, metricdata.Exemplar[float64]{Time: e.at, Value: e.took.Seconds(), TraceID: e.trace[:], SpanID: e.span[:]})
		}
	}
	return p
}

// Produce implements the SDK's Producer.
func (m *Metrics) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	now := time.Now()
	out := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: scope}}
	decisions := metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
	duration := metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality}
	for _, t := range m.tallies.all() {
		p := t.point(m.since, now)
		duration.DataPoints = append(duration.DataPoints, p)
		decisions.DataPoints = append(decisions.DataPoints, metricdata.DataPoint[int64]{Attributes: t.attributes, StartTime: m.since, Time: now, Value: int64(p.Count)})
	}
	operations := metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality}
	for _, t := range m.operations.all() {
		operations.DataPoints = append(operations.DataPoints, t.point(m.since, now))
	}
	add := func(d Description, n int, data metricdata.Aggregation) {
		if n > 0 {
			out.Metrics = append(out.Metrics, metricdata.Metrics{Name: d.Name, Description: d.Text, Unit: d.Unit, Data: data})
		}
	}
	add(decisionCount, len(decisions.DataPoints), decisions)
	add(decisionTime, len(duration.DataPoints), duration)
	add(operationTime, len(operations.DataPoints), operations)
	for _, c := range []struct {
		Description
		of *table[raised, occurrences]
	}{{eventCount, &m.events}, {failureCount, &m.failures}, {shadowCount, &m.shadowed}} {
		sum := counted(c.of, m.since, now)
		add(c.Description, len(sum.DataPoints), sum)
	}
	if len(out.Metrics) == 0 {
		return nil, nil
	}
	return []metricdata.ScopeMetrics{out}, nil
}
