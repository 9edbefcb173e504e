package app

import (
	"reflect"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config"
)

// A key that nothing heeds would be accepted and ignored. These have no test that
// shows their effect, so each is followed to whoever has to keep it.
func TestKeysReachWhoKeepsThem(t *testing.T) {
	const head = "gateway:\n  authentication: {method: none}\n  authorization: {policy_engine: none}\nservers: [{name: crm, url: \"http://127.0.0.1:1/\", limits: {max_pending: 17}}]\n"
	cfg, err := config.Parse("x.yaml", []byte(head+`
limits: {headers_time: 11s, request_time: 43m, stream_idle: 13m, connection_idle: 17m, upstream_idle: 19m, number_length: 23, id_length: 29}
envoy: {system_ca: /ca.pem}
content: {over_budget: allow}
telemetry: {service_name: gate, otlp: {endpoint: "http://127.0.0.1:4317"}}
`), ConfigOptions())
	if err != nil {
		t.Fatal(err)
	}
	s, err := new(lasting).snapshot(cfg)
	if err != nil {
		t.Fatal(err)
	}
	x := new(Gateway).settings(cfg, s.Chain)
	limits := s.Decoder.Limits()
	for key, is := range map[string][2]any{
		"limits.headers_time":          {x.HeadersTimeout, 11 * time.Second},
		"limits.request_time":          {x.RequestTimeout, 43 * time.Minute},
		"limits.stream_idle":           {x.StreamIdle, 13 * time.Minute},
		"limits.connection_idle":       {x.ConnectionIdle, 17 * time.Minute},
		"limits.upstream_idle":         {x.UpstreamIdle, 19 * time.Minute},
		"limits.number_length":         {limits.NumberLen, 23},
		"limits.id_length":             {limits.StringIDLen, 29},
		"envoy.system_ca":              {x.SystemCAFile, "/ca.pem"},
		"content.over_budget":          {overBudget(cfg), guard.Allow},
		"servers[].limits.max_pending": {cfg.View().Servers()[0].Versions[0].Limits.MaxPending, uint32(17)},
		"telemetry.service_name":       {x.Tracing.ServiceName, "gate-envoy"},
	} {
		if !reflect.DeepEqual(is[0], is[1]) {
			t.Errorf("%s: %v, want %v", key, is[0], is[1])
		}
	}
}
