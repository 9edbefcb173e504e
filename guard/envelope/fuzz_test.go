package envelope

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// What splitHost accepts, net/url reads in the same way: there is no second
// host to be found in it.
func FuzzSplitHost(f *testing.F) {
	for _, s := range []string{"localhost", "LOCALHOST.:80", "[::1]:443", "[fe80::1%25eth0]", "a@b", "a:b:c", "a..b", ".", "[", "]", "%6c", "xn--bcher-kva.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, port, ok := splitHost(s)
		if !ok {
			return
		}
		if again, p, ok := splitHost(name); !ok || again != name && again+"." != name || p != "" {
			t.Errorf("%q gives %q, which gives %q %q %v", s, name, again, p, ok)
		}
		if strings.ToLower(name) != name || strings.ContainsAny(name, "/@?#\\ ,") {
			t.Errorf("%q gives the name %q", s, name)
		}
		u, err := url.Parse("http://" + s + "/")
		if err != nil {
			t.Fatalf("%q passes and is no host of a URL: %v", s, err)
		}
		if host := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."); host != strings.Trim(name, "[]") || u.User != nil || u.Path != "/" {
			t.Errorf("%q is %q to us and %q to net/url", s, name, host)
		}
		if port != "" && strings.TrimLeft(u.Port(), "0") != port {
			t.Errorf("%q has port %q to us and %q to net/url", s, port, u.Port())
		}
		if name[0] == '[' {
			if a, err := netip.ParseAddr(strings.Trim(name, "[]")); err != nil || !a.Is6() {
				t.Errorf("%q: %q is no address", s, name)
			}
		} else if net.ParseIP(name) == nil && strings.Contains(name, ":") {
			t.Errorf("%q: the name %q holds a colon", s, name)
		}
	})
}

// An origin that passes as local is one of this machine to net/url too.
func FuzzOriginAllowed(f *testing.F) {
	for _, s := range []string{"http://localhost", "https://[::1]:8443", "null", "http://localhost@evil.example", "http://localhost\\.evil.example", "HTTP://127.0.0.1:80", "://", "a://b://c"} {
		f.Add(s)
	}
	g, err := build(Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !g.(*envelope).originAllowed(s) || strings.Contains(s, "%") {
			return
		}
		u, err := url.Parse(s)
		if err != nil {
			t.Fatalf("%q passes and is no URL: %v", s, err)
		}
		host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
		if ip := net.ParseIP(host); host != "localhost" && !strings.HasSuffix(host, ".localhost") && (ip == nil || !ip.IsLoopback()) || u.User != nil {
			t.Errorf("%q passes as a page of this machine; its host is %q", s, host)
		}
	})
}
