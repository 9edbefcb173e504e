package sinks

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// TestACollectorOfOpenTelemetryGetsLogs has the real OpenTelemetry Collector
// of integration/collector print what it got over gRPC and over HTTP.
func TestACollectorOfOpenTelemetryGetsLogs(t *testing.T) {
	testenv.Heavy(t)
	binary := filepath.Join(testenv.Root(), ".tools/otelcol")
	if _, err := os.Stat(binary); err != nil {
		testenv.Missing(t, "a collector (make collector)")
	}
	grpc, http := testenv.FreePort(t), testenv.FreePort(t)
	config := filepath.Join(t.TempDir(), "collector.yaml")
	testenv.Write(t, config, fmt.Sprintf(`receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:%d"}, http: {endpoint: "127.0.0.1:%d"}}}}
exporters: {debug: {verbosity: detailed, sampling_initial: 100000}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {logs: {receivers: [otlp], exporters: [debug]}}
`, grpc, http))
	c := testenv.Launch(t, binary, "--config", "file:"+config)
	testenv.Eventually(t, time.Minute, "the collector", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", grpc))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	uid := regexp.MustCompile(`log\.record\.uid: Str\([0-9a-f]{16}-\d+-[0-9a-f]{8}\)`)
	total := 0
	for _, endpoint := range []string{fmt.Sprintf(`{endpoint: "http://127.0.0.1:%d"}`, grpc), fmt.Sprintf(`{endpoint: "http://127.0.0.1:%d", protocol: http}`, http)} {
		g := start(t, "otlp: "+endpoint)
		g.receipts(t, 20)
		g.delivered(t)
		total += 20
		testenv.Eventually(t, time.Minute, "the collector prints", func() bool { return len(uid.FindAllString(c.Text(), -1)) >= total })
	}
	if n := len(uid.FindAllString(c.Text(), -1)); n != 40 {
		t.Errorf("%d log records, want 40", n)
	}
}
