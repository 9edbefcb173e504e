package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/mcp"
)

func TestANameThatCouldBeReadAsMoreIsNoName(t *testing.T) {
	for name, want := range map[string]struct{ server, version bool }{
		"crm": {true, true}, "crm-2": {true, true}, "0": {true, true}, strings.Repeat("a", 63): {true, true},
		"1.2.3": {false, true}, "a_b": {false, true},
		"": {}, strings.Repeat("a", 64): {}, "-a": {}, "a-": {}, ".a": {}, "a.": {}, "_a": {}, "a_": {}, ".": {}, "..": {},
		"CRM": {}, "crm/x": {}, "crm%2fx": {}, "a b": {}, "a~b": {}, "a\x00": {}, "a\n": {}, "é": {}, "a:b": {}, "a?b": {}, "\u212a": {},
	} {
		if registry.ValidName(name) != want.server || registry.ValidVersion(name) != want.version {
			t.Errorf("%q: server %v, version %v", name, registry.ValidName(name), registry.ValidVersion(name))
		}
	}
}

func TestAViewFindsEveryServerAndNoOther(t *testing.T) {
	var servers []registry.Server
	for i := range 2000 {
		servers = append(servers, registry.Server{Name: fmt.Sprintf("s%d", (i*7919)%2000)})
	}
	v := registry.NewView(servers)
	for i := range 2000 {
		name := fmt.Sprintf("s%d", i)
		if s := v.Lookup(name); s == nil || s.Name != name {
			t.Fatalf("%s: %v", name, s)
		}
	}
	for _, name := range []string{"", "s", "s2000", "S1", "s1 ", "s01"} {
		if s := v.Lookup(name); s != nil {
			t.Errorf("%q finds %s", name, s.Name)
		}
	}
	for i, s := range v.Servers()[1:] {
		if v.Servers()[i].Name >= s.Name {
			t.Fatalf("%s stands before %s", v.Servers()[i].Name, s.Name)
		}
	}
	var none *registry.View
	if none.Lookup("s1") != nil || none.Servers() != nil || new(registry.View).Lookup("s1") != nil {
		t.Error("a view of nothing has servers")
	}
}

func TestAServerIsSpokenToAsItIsRegistered(t *testing.T) {
	s := registry.Server{Name: "crm", Versions: []registry.Version{{Name: "v1"}, {Name: "v2"}}}
	for _, r := range mcp.Revisions() {
		if !s.Speaks(r) {
			t.Errorf("registered without revisions, and does not speak %s", r)
		}
	}
	s.Revisions = []mcp.Revision{mcp.R20251125}
	if !s.Speaks(mcp.R20251125) || s.Speaks(mcp.R20260728) || s.Speaks(mcp.RevisionUnknown) {
		t.Error("speaks what it is not registered for")
	}
	if v := s.Version("v2"); v != &s.Versions[1] {
		t.Errorf("v2 is %v", v)
	}
	for _, name := range []string{"", "v", "V1", "v3"} {
		if s.Version(name) != nil {
			t.Errorf("has a version %q", name)
		}
	}
	// Guards rank classifications by their own list.
	for i, c := range []registry.Classification{registry.Public, registry.Internal, registry.Confidential, registry.Restricted} {
		if guard.Rank(string(c)) != i {
			t.Errorf("guards rank %s as %d", c, guard.Rank(string(c)))
		}
	}
}
