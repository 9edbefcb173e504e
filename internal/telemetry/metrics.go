// Package telemetry counts and measures with OpenTelemetry and shows it to
// Prometheus.
package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Metrics observes decisions. Attribute values come from closed sets: servers
// of the registry, methods of the protocol, declared reasons.
type Metrics struct {
	provider *sdk.MeterProvider
	handler  http.Handler
	meter    metric.Meter
	since    time.Time
	tallies  sync.Map // key -> *tally
	events   sync.Map // raised -> *occurrences
}

const scope = "github.com/sallyport/sallyport"

type key struct {
	server, method, action, reason, guard string
	direction                             mcp.Direction
}

// New returns metrics with their own registry.
func New() (*Metrics, error) {
	reg := prometheus.NewRegistry()
	m := &Metrics{since: time.Now()}
	exporter, err := otelprom.New(otelprom.WithRegisterer(reg), otelprom.WithoutScopeInfo(), otelprom.WithProducer(m))
	if err != nil {
		return nil, fmt.Errorf("telemetry: exporter: %w", err)
	}
	m.provider = sdk.NewMeterProvider(sdk.WithReader(exporter))
	m.handler = promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	m.meter = m.provider.Meter(scope)
	return m, nil
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
	k := key{server: x.Server.Name, action: d.Action.String(), reason: string(d.Reason), guard: d.Guard, direction: d.Direction}
	if msg != nil {
		k.method = "extension"
		topic := x.Topic(msg)
		if _, ok := mcp.LookupMethod(topic); ok || topic == guard.TopicResponse || msg.Kind == mcp.Transport {
			k.method = topic
		}
	}
	t, ok := m.tallies.Load(k)
	if !ok {
		t, _ = m.tallies.LoadOrStore(k, &tally{attributes: attribute.NewSet(
			attribute.String("server", k.server), attribute.String("method", k.method),
			attribute.String("direction", k.direction.String()), attribute.String("action", k.action),
			attribute.String("reason", k.reason), attribute.String("guard", k.guard),
		)})
	}
	t.(*tally).add(d.Took)
	for i := range d.Events {
		m.count(raised{kind: d.Events[i].Kind, guard: d.Events[i].Guard, server: x.Server.Name})
	}
	return nil
}

// Close ends the metrics.
func (m *Metrics) Close(ctx context.Context) error {
	if err := m.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("telemetry: close: %w", err)
	}
	return nil
}
