package compose

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
)

// The profile adds what keeps traces, hardened like the rest, and the gateway's
// configuration for it differs from the other in that alone.
func TestTheProfileOfTelemetryHangsTogether(t *testing.T) {
	plain, p := project(t), project(t, "telemetry")
	for _, name := range []string{"collector", "jaeger", "tempo", "prometheus", "grafana"} {
		if _, ok := plain.Services[name]; ok {
			t.Errorf("%s runs without being asked for", name)
		}
		s, ok := p.Services[name]
		if !ok {
			t.Fatalf("no service %s", name)
		}
		image, tag, _ := strings.Cut(s.Image, ":")
		if !s.ReadOnly || s.User == "" || strings.HasPrefix(s.User, "0") || !slices.Contains(s.CapDrop, "ALL") || s.MemLimit == 0 || s.PidsLimit == 0 || tag == "" || tag == "latest" {
			t.Errorf("%s (%s) is not hardened, or of no fixed version", name, image)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q", name, port.Published, port.HostIP)
			}
		}
		for _, v := range s.Volumes {
			if v.Type != "bind" {
				continue
			}
			if info, err := os.Stat(v.Source); err == nil && info.IsDir() && v.ReadOnly {
				continue
			}
			var out any
			if b, err := os.ReadFile(v.Source); err != nil || yaml.Unmarshal(b, &out) != nil || !v.ReadOnly {
				t.Errorf("%s: %s: %v", name, v.Source, err)
			}
		}
	}
	if got := members(p, "telemetry"); !slices.Equal(got, []string{"collector", "door"}) || !p.Networks["telemetry"].Internal {
		t.Errorf("in the network telemetry: %v", got)
	}
	if got := members(p, "traces"); !slices.Equal(got, []string{"collector", "grafana", "jaeger", "prometheus", "tempo"}) || !p.Networks["traces"].Internal {
		t.Errorf("in the network traces: %v", got)
	}
	dir := filepath.Join(testenv.Root(), "examples/compose")
	base, err := os.ReadFile(filepath.Join(dir, "sallyport.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := os.ReadFile(filepath.Join(dir, "telemetry.yaml"))
	if err != nil || !strings.HasPrefix(string(more), string(base)) {
		t.Errorf("telemetry.yaml does not begin with sallyport.yaml (%v)", err)
	}
	c, err := config.Load(filepath.Join(dir, "telemetry.yaml"), app.ConfigOptions())
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := os.ReadFile(filepath.Join(testenv.Root(), "deploy/otel/collector.yaml"))
	if err != nil || c.Export.OTLP.Endpoint != "http://collector:4317" || !strings.Contains(string(receiver), "0.0.0.0:4317") {
		t.Errorf("the gateway sends to %s, where nothing listens (%v)", c.Export.OTLP.Endpoint, err)
	}
}

// What Prometheus and Grafana are told to load exists, and they ask each other
// where each listens.
func TestWhatIsWatchedIsMounted(t *testing.T) {
	p := project(t, "telemetry")
	rules := mounted(t, p, "prometheus", "/etc/prometheus/rules")
	var prometheus struct {
		Rules []string `yaml:"rule_files"`
	}
	read(t, mounted(t, p, "prometheus", argumentOf(t, p.Services["prometheus"].Command, "--config.file=")), &prometheus)
	if len(prometheus.Rules) != 3 {
		t.Errorf("rules: %v", prometheus.Rules)
	}
	for _, f := range prometheus.Rules {
		if _, err := os.Stat(filepath.Join(rules, filepath.Base(f))); err != nil || filepath.Dir(f) != "rules" {
			t.Errorf("%s: %v", f, err)
		}
	}
	provisioning := mounted(t, p, "grafana", "/etc/grafana/provisioning")
	var sources struct {
		Datasources []struct{ Type, URL string }
	}
	read(t, filepath.Join(provisioning, "datasources/sallyport.yaml"), &sources)
	for _, s := range sources.Datasources {
		if _, ok := p.Services[s.Type]; !ok || !strings.HasPrefix(s.URL, "http://"+s.Type+":") {
			t.Errorf("nothing answers at %s", s.URL)
		}
	}
	var dashboards struct {
		Providers []struct{ Options struct{ Path string } }
	}
	read(t, filepath.Join(provisioning, "dashboards/sallyport.yaml"), &dashboards)
	if len(dashboards.Providers) != 1 {
		t.Fatalf("%+v", dashboards)
	}
	if boards, err := filepath.Glob(filepath.Join(mounted(t, p, "grafana", dashboards.Providers[0].Options.Path), "*.json")); err != nil || len(boards) == 0 {
		t.Errorf("no dashboards: %v", err)
	}
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func argumentOf(t *testing.T, command []string, flag string) string {
	t.Helper()
	for _, a := range command {
		if v, ok := strings.CutPrefix(a, flag); ok {
			return v
		}
	}
	t.Fatalf("%q has no %s", command, flag)
	return ""
}
