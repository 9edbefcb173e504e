package xds

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// TestEnvoyAcceptsTheGoldens wraps the resources into a static configuration
// and lets Envoy itself check them.
func TestEnvoyAcceptsTheGoldens(t *testing.T) {
	bin := testenv.Envoy(t)
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			r := build(t, g.servers, g.adjust)
			validate(t, bin, static(t, r, 0))
		})
	}
}

func TestEnvoyAcceptsTheBootstrap(t *testing.T) {
	bin := testenv.Envoy(t)
	y, err := Bootstrap(DefaultBootstrap())
	if err != nil {
		t.Fatal(err)
	}
	validate(t, bin, y)
}

func validate(t *testing.T, bin string, config []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "envoy.yaml")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, bin, "--mode", "validate", "-l", "warn", "-c", path).CombinedOutput()
	if err != nil {
		t.Fatalf("envoy refuses: %v\n%s", err, out)
	}
	if bytes.Contains(out, []byte("[warning]")) {
		t.Errorf("envoy warns:\n%s", out)
	}
}

// static returns a bootstrap that holds r itself: routes inside their
// listeners, and made-up secrets, since the files do not exist here.
func static(t testing.TB, r *Resources, adminPort uint32) []byte {
	t.Helper()
	routes := map[string]any{}
	for _, c := range r.Routes {
		routes[c.GetName()] = tree(t, c)
	}
	listeners := trees(t, r.Listeners)
	for _, l := range listeners {
		inline(l, routes)
	}
	clusters := trees(t, r.Clusters)
	for _, c := range clusters {
		withoutADS(c)
	}
	secrets := []any{}
	for _, s := range r.Secrets {
		name := map[string]any{"name": s.GetName()}
		if s.GetValidationContext() != nil {
			name["validation_context"] = map[string]any{"trusted_ca": map[string]any{"inline_string": testenv.NewAuthority(t).PEM()}}
		} else {
			client := testenv.NewAuthority(t).Issue(t, time.Hour, "client")
			name["tls_certificate"] = map[string]any{
				"certificate_chain": map[string]any{"inline_string": client.PEM()}, "private_key": map[string]any{"inline_string": client.KeyPEM(t)},
			}
		}
		secrets = append(secrets, name)
	}
	b := DefaultBootstrap()
	b.AdminPort = adminPort
	m, err := bootstrap(b)
	if err != nil {
		t.Fatal(err)
	}
	root := tree(t, m).(map[string]any)
	delete(root, "dynamic_resources")
	root["static_resources"] = map[string]any{"listeners": listeners, "clusters": clusters, "secrets": secrets}
	return toYAML(t, root)
}

// inline replaces the reference to a route configuration by its routes.
func inline(v any, routes map[string]any) {
	switch v := v.(type) {
	case map[string]any:
		if rds, ok := v["rds"].(map[string]any); ok {
			delete(v, "rds")
			v["route_config"] = routes[rds["route_config_name"].(string)]
			return
		}
		for _, c := range v {
			inline(c, routes)
		}
	case []any:
		for _, c := range v {
			inline(c, routes)
		}
	}
}

// withoutADS makes references to secrets look for static ones.
func withoutADS(v any) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "sds_config")
		for _, c := range v {
			withoutADS(c)
		}
	case []any:
		for _, c := range v {
			withoutADS(c)
		}
	}
}
