package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/grpc/credentials"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/telemetry"
)

// about says in traces and metrics whose they are.
func about(c config.TelemetryExport, id string) *resource.Resource {
	list := []attribute.KeyValue{attribute.String("service.name", c.ServiceName), attribute.String("service.instance.id", id)}
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		list = append(list, attribute.String("service.version", b.Main.Version))
	}
	return resource.NewSchemaless(list...)
}

// openMetrics begins to count, and to send metrics where they go.
func openMetrics(c config.TelemetryExport, id string) (*telemetry.Metrics, error) {
	if !c.OTLP.On() || !c.Metrics.Export {
		return telemetry.New(about(c, id), nil)
	}
	exporter, err := metricExporter(c.OTLP)
	if err != nil {
		return nil, fmt.Errorf("telemetry.otlp: %w", err)
	}
	return telemetry.New(about(c, id), &telemetry.Push{Exporter: exporter, Interval: c.Metrics.Interval, Timeout: c.OTLP.Timeout})
}

// closeTelemetry sends what is left, for a little while: a receiver that is away
// must not keep the gateway from ending.
func (g *Gateway) closeTelemetry(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := errors.Join(g.traces.close(ctx), g.metrics.Close(ctx)); err != nil {
		g.log.Warn("not all traces and metrics were sent", "err", err)
	}
}

// counting is told of what happens under a configuration.
func (g *Gateway) counting(cfg *config.Config) guard.Observer {
	var labels []telemetry.Label
	for _, l := range cfg.Telemetry.Metrics.HighCardinalityLabels {
		labels = append(labels, telemetry.Label(l))
	}
	return g.metrics.Under(labels, cfg.Export.Metrics.LabelSets, g.traces.Tracer != nil && slices.Contains(cfg.Telemetry.Traces.AISpans, "latency_percentiles"))
}

func metricExporter(c config.OTLP) (sdk.Exporter, error) {
	d, err := dial(c)
	if err != nil {
		return nil, err
	}
	if c.Protocol == "http" {
		o := []otlpmetrichttp.Option{otlpmetrichttp.WithEndpointURL(d.below("/v1/metrics")), otlpmetrichttp.WithHeaders(d.headers), otlpmetrichttp.WithTimeout(c.Timeout)}
		if d.tls != nil {
			o = append(o, otlpmetrichttp.WithTLSClientConfig(d.tls))
		}
		if c.Compression == "gzip" {
			o = append(o, otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression))
		}
		return otlpmetrichttp.New(context.Background(), o...)
	}
	o := []otlpmetricgrpc.Option{otlpmetricgrpc.WithEndpoint(d.url.Host), otlpmetricgrpc.WithHeaders(d.headers), otlpmetricgrpc.WithTimeout(c.Timeout)}
	if d.tls != nil {
		o = append(o, otlpmetricgrpc.WithTLSCredentials(credentials.NewTLS(d.tls)))
	} else {
		o = append(o, otlpmetricgrpc.WithInsecure())
	}
	if c.Compression == "gzip" {
		o = append(o, otlpmetricgrpc.WithCompressor("gzip"))
	}
	return otlpmetricgrpc.New(context.Background(), o...)
}

// dialled is what there is to know to reach a receiver.
type dialled struct {
	url     *url.URL
	headers map[string]string
	tls     *tls.Config // nil for none
}

// below returns the URL of a path below the endpoint.
func (d *dialled) below(path string) string { return d.url.JoinPath(path).String() }

func dial(c config.OTLP) (*dialled, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	d := &dialled{url: u, headers: make(map[string]string)}
	for _, h := range c.Headers {
		value, err := h.Value.Resolve()
		if err != nil {
			return nil, fmt.Errorf("headers: %s: %w", h.Name, err)
		}
		d.headers[h.Name] = value.Reveal()
	}
	if u.Scheme != "https" {
		return d, nil
	}
	d.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		d.tls.RootCAs = x509.NewCertPool()
		if !d.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %s holds no certificate", c.CA)
		}
	}
	if c.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		d.tls.Certificates = []tls.Certificate{pair}
	}
	return d, nil
}
