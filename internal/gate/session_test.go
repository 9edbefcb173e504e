package gate_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/registry"
)

func versions(names ...string) *registry.Server {
	s := &registry.Server{Name: "crm"}
	for _, n := range names {
		s.Versions = append(s.Versions, registry.Version{Name: n})
	}
	return s
}

func TestASessionGoesBackToTheVersionItBeganOn(t *testing.T) {
	for _, tt := range []struct {
		name              string
		srv               *registry.Server
		session           string
		version, upstream string
		ok                bool
	}{
		{"tagged", versions("v1", "v2"), "v2~abc", "v2", "abc", true},
		{"tagged by us, with the mark in the upstream's own id", versions("v1", "v2"), "v2~a~b", "v2", "a~b", true},
		{"a version that has left", versions("v1", "v2"), "v0~abc", "", "v0~abc", false},
		{"a made-up tag that names another server's version", versions("v1", "v2"), "../v1~abc", "", "../v1~abc", false},
		{"an empty tag", versions("v1", "v2"), "~abc", "", "~abc", false},
		{"another spelling of a version", versions("v1", "v2"), "V1~abc", "", "V1~abc", false},
		{"never tagged", versions("v1", "v2"), "abc", "", "abc", true},
		{"the upstream's own mark, with one version", versions("default"), "x~abc", "", "x~abc", true},
		{"tagged before the others left", versions("v2"), "v2~abc", "v2", "abc", true},
		{"nothing behind the tag", versions("v1", "v2"), "v1~", "v1", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			version, upstream, ok := gate.Untag(tt.srv, tt.session)
			if version != tt.version || upstream != tt.upstream || ok != tt.ok {
				t.Errorf("got %q %q %v", version, upstream, ok)
			}
		})
	}
	for _, id := range []string{"abc", "a~b", "~", ""} {
		if v, s, ok := gate.Untag(versions("v1", "v2"), gate.Tag("v1", id)); v != "v1" || s != id || !ok {
			t.Errorf("%q comes back as %q on %q, %v", id, s, v, ok)
		}
	}
}

func TestOnlyOnePathNamesAServer(t *testing.T) {
	for path, want := range map[string]string{
		"/mcp/crm": "crm", "/mcp/crm/": "", "/mcp/crm/x": "", "/mcp/": "", "/mcp": "", "/": "", "": "",
		"/MCP/crm": "", "/mcp//crm": "", "/x/mcp/crm": "", "mcp/crm": "",
		// Left as they are: no registered name has such characters.
		"/mcp/..": "..", "/mcp/%63rm": "%63rm", "/mcp/crm;v=1": "crm;v=1", "/mcp/CRM": "CRM",
	} {
		if got := gate.ServerOf(path); got != want {
			t.Errorf("%q names %q, want %q", path, got, want)
		}
	}
	view := registry.NewView([]registry.Server{*versions("v1")})
	for _, name := range []string{"..", "%63rm", "crm;v=1", "CRM", "", "cr", "crmm"} {
		if view.Lookup(name) != nil {
			t.Errorf("%q is served", name)
		}
	}
}

func TestExchangeIDsDiffer(t *testing.T) {
	seen := make(map[string]bool)
	for range 10_000 {
		id := gate.NewID()
		if len(id) != 32 || seen[id] {
			t.Fatalf("%q", id)
		}
		seen[id] = true
	}
}
