package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport/sallyport/internal/registry"
	"github.com/sallyport/sallyport/mcp"
)

// Server declares one MCP server.
type Server struct {
	Name           string   `yaml:"name"`
	Description    string   `yaml:"description"`
	Owner          string   `yaml:"owner"`
	Domain         string   `yaml:"domain"`
	Classification string   `yaml:"data_classification"`
	Revisions      []string `yaml:"protocol_revisions"`
	Version        `yaml:",inline"`
	Versions       []NamedVersion `yaml:"versions"`

	origin string
}

// NamedVersion is one of several releases of a server.
type NamedVersion struct {
	Name    string  `yaml:"name"`
	Weight  *uint32 `yaml:"weight"`
	Version `yaml:",inline"`
}

// Version says where a release runs.
type Version struct {
	URL            string        `yaml:"url"`
	URLs           []string      `yaml:"urls"`
	TLS            TLS           `yaml:"tls"`
	ConnectTimeout time.Duration `yaml:"connect_timeout"`
	IdleTimeout    time.Duration `yaml:"idle_timeout"`
	Health         Health        `yaml:"health_check"`
	Limits         Breakers      `yaml:"limits"`
}

// TLS authenticates the server, and us to it. Values are paths of PEM files.
type TLS struct {
	CA         string `yaml:"ca"`
	ServerName string `yaml:"server_name"`
	Cert       string `yaml:"client_certificate"`
	Key        string `yaml:"client_key"`
}

// Health is Envoy's active health check.
type Health struct {
	Path     string        `yaml:"path"`
	Interval time.Duration `yaml:"interval"`
	Timeout  time.Duration `yaml:"timeout"`
	Disabled bool          `yaml:"disabled"`
}

// Breakers are Envoy's circuit breakers.
type Breakers struct {
	MaxConnections uint32 `yaml:"max_connections"`
	MaxPending     uint32 `yaml:"max_pending"`
	MaxRequests    uint32 `yaml:"max_requests"`
}

var serverName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (c *Config) servers() []error {
	_, errs := servers(c.Servers)
	return errs
}

// View returns the servers of the configuration and of its registry directory.
func (c *Config) View() (*registry.View, error) {
	all := slices.Clone(c.Servers)
	var errs []error
	if c.Registry.Directory != "" {
		more, err := readDirectory(c.Registry.Directory)
		if err != nil {
			errs = append(errs, err)
		}
		all = append(all, more...)
	}
	list, more := servers(all)
	if err := errors.Join(append(errs, more...)...); err != nil {
		return nil, err
	}
	return registry.NewView(list), nil
}

// readDirectory reads every *.yaml and *.yml file: one server each, or a list
// under servers.
func readDirectory(dir string) ([]Server, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("registry.directory: %w", err)
	}
	var (
		out  []Server
		errs []error
	)
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if strings.HasPrefix(e.Name(), ".") || ext != ".yaml" && ext != ".yml" {
			continue
		}
		path := filepath.Join(dir, e.Name())
		found, err := readFile(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
		out = append(out, found...)
	}
	return out, errors.Join(errs...)
}

func readFile(path string) ([]Server, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Server  `yaml:",inline"`
		Servers []Server `yaml:"servers"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if doc.Name != "" {
		doc.Servers = append(doc.Servers, doc.Server)
	}
	for i := range doc.Servers {
		doc.Servers[i].origin = path
	}
	return doc.Servers, nil
}

func servers(in []Server) ([]registry.Server, []error) {
	var (
		out  []registry.Server
		errs []error
		seen = make(map[string]string)
	)
	for i := range in {
		s := &in[i]
		origin := cmp.Or(s.origin, "servers["+strconv.Itoa(i)+"]")
		bad := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("%s: server %q: %w", origin, s.Name, fmt.Errorf(format, args...)))
		}
		if !serverName.MatchString(s.Name) {
			bad("name: use lower-case letters, digits and hyphens, at most 63")
		}
		if first, dup := seen[s.Name]; dup {
			bad("the name is taken by %s", first)
		}
		seen[s.Name] = origin
		r := registry.Server{Name: s.Name, Description: s.Description, Owner: s.Owner, Domain: s.Domain, Origin: origin,
			Classification: registry.Classification(cmp.Or(s.Classification, string(registry.Internal)))}
		switch r.Classification {
		case registry.Public, registry.Internal, registry.Confidential, registry.Restricted:
		default:
			bad("data_classification: %q is not public, internal, confidential or restricted", s.Classification)
		}
		for _, name := range s.Revisions {
			rev := mcp.ParseRevision(name)
			if rev == mcp.RevisionUnknown {
				bad("protocol_revisions: %q is not a revision this gateway speaks", name)
			}
			r.Revisions = append(r.Revisions, rev)
		}
		named := s.Versions
		if len(named) == 0 {
			named = []NamedVersion{{Name: "default", Version: s.Version}}
		} else if s.URL != "" || len(s.URLs) > 0 {
			bad("url and versions exclude each other")
		}
		names, total := make(map[string]bool), uint32(0)
		for _, v := range named {
			if !serverName.MatchString(v.Name) || names[v.Name] {
				bad("versions: the name %q must be unique and of lower-case letters, digits and hyphens", v.Name)
			}
			names[v.Name] = true
			rv, err := v.version()
			if err != nil {
				bad("version %s: %w", v.Name, err)
			}
			total += rv.Weight
			r.Versions = append(r.Versions, rv)
		}
		if total == 0 {
			bad("versions: at least one needs a weight above 0")
		}
		out = append(out, r)
	}
	return out, errs
}

func (v NamedVersion) version() (registry.Version, error) {
	r := registry.Version{
		Name: v.Name, Weight: 1,
		TLS:            registry.TLS{CAFile: v.TLS.CA, SNI: v.TLS.ServerName, CertFile: v.TLS.Cert, KeyFile: v.TLS.Key},
		ConnectTimeout: cmp.Or(v.ConnectTimeout, 2*time.Second),
		IdleTimeout:    cmp.Or(v.IdleTimeout, time.Hour),
		Health:         registry.HealthCheck{Path: v.Health.Path, Interval: cmp.Or(v.Health.Interval, 10*time.Second), Timeout: cmp.Or(v.Health.Timeout, 2*time.Second), Disabled: v.Health.Disabled},
		Limits:         registry.Limits{MaxConnections: cmp.Or(v.Limits.MaxConnections, 1024), MaxPending: cmp.Or(v.Limits.MaxPending, 1024), MaxRequests: cmp.Or(v.Limits.MaxRequests, 4096)},
	}
	if v.Weight != nil {
		r.Weight = *v.Weight
	}
	urls := v.URLs
	if v.URL != "" {
		urls = append([]string{v.URL}, urls...)
	}
	if len(urls) == 0 {
		return r, errors.New("url: is missing")
	}
	for i, raw := range urls {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return r, fmt.Errorf("url: %q must be http(s)://host[:port]/path without user, query or fragment", raw)
		}
		port := map[string]uint64{"http": 80, "https": 443}[u.Scheme]
		if p := u.Port(); p != "" {
			if port, err = strconv.ParseUint(p, 10, 16); err != nil || port == 0 {
				return r, fmt.Errorf("url: %q: the port must be 1 to 65535", raw)
			}
		}
		path := cmp.Or(u.EscapedPath(), "/")
		if i > 0 && (u.Scheme != r.Scheme || path != r.Path) {
			return r, fmt.Errorf("urls: %q differs from the first in scheme or path", raw)
		}
		r.Scheme, r.Path = u.Scheme, path
		r.Endpoints = append(r.Endpoints, registry.Endpoint{Host: u.Hostname(), Port: uint16(port)})
	}
	if r.Scheme == "http" && r.TLS != (registry.TLS{}) {
		return r, errors.New("tls: needs an https url")
	}
	if (r.TLS.CertFile == "") != (r.TLS.KeyFile == "") {
		return r, errors.New("tls: client_certificate and client_key go together")
	}
	for _, f := range []string{r.TLS.CAFile, r.TLS.CertFile, r.TLS.KeyFile} {
		if f != "" {
			if _, err := os.Stat(f); err != nil {
				return r, fmt.Errorf("tls: %w", err)
			}
		}
	}
	return r, nil
}
