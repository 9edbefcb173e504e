package app

import (
	"os"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/config"
)

const wide = "gateway:\n  authentication: {method: none}\n  authorization: {policy_engine: none}\n"

// The guide's block as it stands, and what it needs beside it.
func TestTheGuidesTelemetryBlockTakesEffect(t *testing.T) {
	block, err := os.ReadFile("../config/testdata/guide/telemetry_configuration.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = config.Parse("c.yaml", append(block, wide...), ConfigOptions())
	if err == nil || !strings.Contains(err.Error(), "needs telemetry.otlp.endpoint") {
		t.Errorf("traces that go nowhere: %v", err)
	}
	cfg, err := config.Parse("c.yaml", append(block, wide+"telemetry: {otlp: {endpoint: \"http://127.0.0.1:4317\"}}\n"...), ConfigOptions())
	if err != nil {
		t.Fatal(err)
	}
	g := &Gateway{}
	if g.traces, err = openTraces(cfg.Export, "r", nil); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = g.traces.close(t.Context()) }()
	l := new(lasting)
	s, err := l.snapshot(cfg, g.traces.under(cfg))
	if err != nil || s.Tracer == nil {
		t.Errorf("nothing is traced: %v", err)
	}
	if e := envoyTracing(cfg); e == nil || e.Sample != 0.1 {
		t.Errorf("Envoy traces %+v", e)
	}
}

func TestWhereTelemetryGoesIsChecked(t *testing.T) {
	for text, want := range map[string]string{
		`{endpoint: "127.0.0.1:4317"}`:                                                 "is no URL",
		`{endpoint: "http://u:p@h:1"}`:                                                 "is no URL",
		`{endpoint: "http://h:1/v1/traces"}`:                                           "has a path",
		`{endpoint: "http://h:1", ca: a.pem}`:                                          "without TLS",
		`{endpoint: "https://h:1", certificate: a.pem}`:                                "together",
		`{endpoint: "http://collector:1", headers: [{name: x-token, value: "env:T"}]}`: "in clear",
		`{endpoint: "https://h:1", headers: [{name: "a b", value: "env:T"}]}`:          "not the name",
		`{endpoint: "https://h:1", headers: [{name: x-token, value: secret}]}`:         "reference to a secret",
		`{protocol: http}`: "needs endpoint",
		`{endpoint: "https://h:1/otlp", protocol: http, headers: [{name: x-t, value: "env:T"}]}`:          "",
		`{endpoint: "http://127.0.0.1:1", headers: [{name: x-token, value: "env:T"}], compression: gzip}`: "",
	} {
		_, err := config.Parse("c.yaml", []byte(wide+"telemetry: {otlp: "+text+"}\n"), ConfigOptions())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
