// Package telemetry counts and measures with OpenTelemetry and shows it to
// Prometheus.
package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Metrics observes decisions and the ends of exchanges. Attribute values come from
// closed sets: servers of the registry, methods of the protocol, declared reasons.
// What has more values than that is an attribute where an operator asks for it.
type Metrics struct {
	provider   *sdk.MeterProvider
	handler    http.Handler
	meter      metric.Meter
	since      time.Time
	tallies    table[key, tally]
	operations table[operation, tally]
	events     table[raised, occurrences]
	failures   table[raised, occurrences]
	shadowed   table[raised, occurrences]
	seen       table[values, values]
	beyond     table[values, values] // all of them "other", one for each choice of labels
	tools      table[named, struct{}]
}

const scope = "github.com/sallyport/sallyport"

type key struct {
	server, method, action, reason, guard string
	direction                             mcp.Direction
}

func newDecisions(k key) *tally {
	return newTally(decisionBounds,
		attribute.String("server", k.server), attribute.String("method", k.method), attribute.String("direction", k.direction.String()),
		attribute.String("action", k.action), attribute.String("reason", k.reason), attribute.String("guard", k.guard))
}

// New returns metrics with their own registry. What about says is said of all of
// them; push, if there is one, gets them at its interval.
func New(about *resource.Resource, push *Push) (*Metrics, error) {
	reg := prometheus.NewRegistry()
	m := &Metrics{since: time.Now()}
	exporter, err := otelprom.New(otelprom.WithRegisterer(reg), otelprom.WithoutScopeInfo(), otelprom.WithProducer(m))
	if err != nil {
		return nil, fmt.Errorf("telemetry: exporter: %w", err)
	}
	readers := []sdk.Option{sdk.WithReader(exporter)}
	if about != nil {
		readers = append(readers, sdk.WithResource(about))
	}
	if push != nil {
		readers = append(readers, sdk.WithReader(sdk.NewPeriodicReader(push.Exporter, sdk.WithInterval(push.Interval), sdk.WithTimeout(push.Timeout), sdk.WithProducer(m))))
	}
	m.provider = sdk.NewMeterProvider(readers...)
	m.handler = promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true})
	m.meter = m.provider.Meter(scope)
	return m, nil
}

// Push is where metrics are sent to, beside being shown to Prometheus.
type Push struct {
	Exporter sdk.Exporter
	Interval time.Duration
	Timeout  time.Duration
}

// Handler serves the metrics in Prometheus' format.
func (m *Metrics) Handler() http.Handler { return m.handler }

// Gauge adds a metric whose value is asked for at each scrape.
func (m *Metrics) Gauge(name, description string, value func() int64) error {
	_, err := m.meter.Int64ObservableGauge(name, metric.WithDescription(description),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(value())
			return nil
		}))
	if err != nil {
		return fmt.Errorf("telemetry: gauge %s: %w", name, err)
	}
	return nil
}

// Age adds a metric of the time since something, which is asked for at each
// scrape; nothing is shown while there is no such time.
func (m *Metrics) Age(name, description string, since func() time.Time) error {
	_, err := m.meter.Float64ObservableGauge(name, metric.WithDescription(description), metric.WithUnit("s"),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			if t := since(); !t.IsZero() {
				o.Observe(time.Since(t).Seconds())
			}
			return nil
		}))
	if err != nil {
		return fmt.Errorf("telemetry: age %s: %w", name, err)
	}
	return nil
}

// GaugeBy adds a metric whose values by the value of one attribute are asked for
// at each scrape. The attribute's values must come from a closed set.
func (m *Metrics) GaugeBy(name, description, by string, values func() map[string]float64) error {
	_, err := m.meter.Float64ObservableGauge(name, metric.WithDescription(description),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			for of, v := range values() {
				o.Observe(v, metric.WithAttributes(attribute.String(by, of)))
			}
			return nil
		}))
	if err != nil {
		return fmt.Errorf("telemetry: gauge %s: %w", name, err)
	}
	return nil
}

// Counter adds a counter whose total is asked for at each scrape.
func (m *Metrics) Counter(name, description string, total func() uint64) error {
	_, err := m.meter.Int64ObservableCounter(name, metric.WithDescription(description),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(total()))
			return nil
		}))
	if err != nil {
		return fmt.Errorf("telemetry: counter %s: %w", name, err)
	}
	return nil
}

// CounterBy adds a counter whose totals by the value of one attribute are asked
// for at each scrape. The values must come from a closed set.
func (m *Metrics) CounterBy(name, description, by string, totals func() map[string]uint64) error {
	_, err := m.meter.Int64ObservableCounter(name, metric.WithDescription(description),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for value, n := range totals() {
				o.Observe(int64(n), metric.WithAttributes(attribute.String(by, value)))
			}
			return nil
		}))
	if err != nil {
		return fmt.Errorf("telemetry: counter %s: %w", name, err)
	}
	return nil
}

// Observe counts one decision.
func (m *Metrics) Observe(_ context.Context, x *guard.Exchange, msg *mcp.Message, d *guard.Decision) error {
	m.decided(x, msg, d)
	return nil
}

// Observe counts one decision.
func (o *observer) Observe(_ context.Context, x *guard.Exchange, msg *mcp.Message, d *guard.Decision) error {
	t, i := o.decided(x, msg, d)
	if o.exemplars && x.Trace.Kept {
		t.show(i, d.Took, &x.Trace)
	}
	return nil
}

func (m *Metrics) decided(x *guard.Exchange, msg *mcp.Message, d *guard.Decision) (t *tally, bucket int) {
	k := key{server: x.Server.Name, action: d.Action.String(), reason: string(d.Reason), guard: d.Guard, direction: d.Direction}
	if msg != nil {
		k.method = "extension"
		topic := x.Topic(msg)
		if _, ok := mcp.LookupMethod(topic); ok || topic == guard.TopicResponse || msg.Kind == mcp.Transport {
			k.method = topic
		}
	}
	t = m.tallies.get(k, 0, newDecisions)
	for i := range d.Events {
		count(&m.events, raised{"event", d.Events[i].Kind, d.Events[i].Guard, x.Server.Name})
	}
	m.guards(d)
	bucket = t.add(d.Took)
	return t, bucket
}

// Close ends the metrics.
func (m *Metrics) Close(ctx context.Context) error {
	if err := m.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("telemetry: close: %w", err)
	}
	return nil
}
