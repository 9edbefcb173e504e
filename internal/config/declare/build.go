package declare

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/config/strict"
	"github.com/sallyport/sallyport/internal/registry"
)

// Declared is a server and where its name is written.
type Declared struct {
	registry.Server
	Name strict.Place
}

// Check implements strict.Checker.
func (s *Server) Check(at strict.At) {
	described := make(map[string]bool)
	for i := range s.Tools {
		if name := s.Tools[i].At.Field("name"); name.OK() && described[s.Tools[i].Name] {
			name.Report("%q is described twice", clip(s.Tools[i].Name))
		}
		described[s.Tools[i].Name] = true
	}
	if len(s.Versions) == 0 {
		s.Version.check(at)
		return
	}
	for _, key := range []string{"url", "urls"} {
		if u := at.Field(key); u.Exists() {
			u.Report("cannot stand beside versions; move it into one of them")
		}
	}
	seen := make(map[VersionName]bool)
	total := uint32(0)
	for _, v := range s.Versions {
		if v.At.Field("name").OK() && seen[v.Name] {
			v.At.Field("name").Report("%q is already the name of another version", v.Name)
		}
		seen[v.Name] = true
		switch {
		case v.Weight != nil:
			total += *v.Weight
		case len(s.Versions) == 1:
			total++
		default:
			v.At.Field("weight").Report("is required when there are several versions")
		}
	}
	if versions := at.Field("versions"); total == 0 && versions.OK() {
		versions.Report("no version has a weight above 0, so no session could begin")
	}
}

// Check implements strict.Checker.
func (n *Named) Check(at strict.At) { n.Version.check(at) }

// check reports what is wrong with the endpoints. A version's TLS settings may
// come from its server, so that they are looked at when both are known.
func (v *Version) check(at strict.At) {
	one, many := at.Field("url"), at.Field("urls")
	switch {
	case one.Exists() && many.Exists():
		many.Report("cannot stand beside url; write all URLs here")
	case !one.Exists() && !many.Exists():
		one.Report("is required: the URL of the MCP endpoint, or urls for several replicas")
	}
	seen := make(map[registry.Endpoint]bool)
	for i, u := range v.URLs {
		place := many.Item(i)
		first := v.URLs[0]
		switch {
		case !place.OK() || !many.Item(0).OK():
		case u.Scheme != first.Scheme || u.Path != first.Path:
			place.Report("differs from the first URL in scheme or path; replicas of one version differ in host and port only")
		case seen[u.Endpoint]:
			place.Report("is listed twice")
		}
		seen[u.Endpoint] = true
	}
	if p := at.Field("health_check").Field("path"); v.Health.Path != "" {
		if err := checkPath(v.Health.Path); v.Health.Path[0] != '/' || err != nil {
			p.Report("%q is not a path; write one such as /healthz", clip(v.Health.Path))
		}
	}
	if name := at.Field("tls").Field("server_name"); v.TLS.ServerName != "" && !notation.ValidHost(v.TLS.ServerName) {
		name.Report("%q is not a host name", clip(v.TLS.ServerName))
	}
}

// build turns a declaration without problems into a server. Problems that only
// show when server and version come together are reported to their places.
func (s *Server) build(files *pemFiles) Declared {
	r := registry.Server{
		Name: string(s.Name), Description: s.Description, Owner: s.Owner, Domain: s.Domain,
		Classification: s.Classification, Clearance: s.Clearance, Origin: s.At.String(),
	}
	r.Tools, r.Prices, r.Fields = s.tools(), s.prices(), s.fields()
	for _, rev := range s.Revisions {
		r.Revisions = append(r.Revisions, rev.Revision)
	}
	if len(s.Versions) == 0 {
		r.Versions = []registry.Version{s.Version.build("default", 1, s.At, s.At, files)}
	}
	for i := range s.Versions {
		v := &s.Versions[i]
		weight := uint32(1)
		if v.Weight != nil {
			weight = *v.Weight
		}
		tls := v.inherit(s)
		r.Versions = append(r.Versions, v.Version.build(string(v.Name), weight, v.At, tls, files))
	}
	return Declared{r, s.At.Field("name").Place()}
}

// tools returns the facts about tools by name, nil where there are none.
func (s *Server) tools() map[string]guard.Tool {
	if len(s.Tools) == 0 {
		return nil
	}
	all := make(map[string]guard.Tool, len(s.Tools))
	for i := range s.Tools {
		t := &s.Tools[i]
		if t.Classification == "" {
			t.Classification = s.Classification
		}
		if t.Clearance == "" {
			t.Clearance = s.Clearance
		}
		all[t.Name] = guard.Tool{
			Classification: string(t.Classification), Clearance: string(t.Clearance), Risk: t.Risk, Sensitive: t.Sensitive, ReadOnly: t.ReadOnly,
			Destructive: t.Destructive, Idempotent: t.Idempotent, External: t.External, Financial: t.Financial,
		}
	}
	return all
}

// prices returns what calls of tools cost by name, nil where nothing is said.
func (s *Server) prices() (all map[string]guard.Price) {
	for i := range s.Tools {
		p := &s.Tools[i].Price
		if *p == (Price{}) {
			continue
		}
		if all == nil {
			all = make(map[string]guard.Price)
		}
		all[s.Tools[i].Name] = guard.Price{
			Call: int64(p.Call), In: int64(p.In), Out: int64(p.Out), Tokens: p.Tokens, Million: int64(p.Million), Estimate: int64(p.Estimate),
		}
	}
	return all
}

// fields returns the fields of tools by name, nil where nothing is said. Tools
// without any are there too, so that those of * are not theirs.
func (s *Server) fields() map[string][]guard.DataField {
	if !slices.ContainsFunc(s.Tools, func(t Tool) bool { return len(t.Fields) > 0 }) {
		return nil
	}
	all := make(map[string][]guard.DataField)
	for i := range s.Tools {
		var list []guard.DataField
		for _, f := range s.Tools[i].Fields {
			list = append(list, guard.DataField{Path: f.Path, Classification: string(f.Classification), Arguments: f.In != "results", Results: f.In != "arguments"})
		}
		all[s.Tools[i].Name] = list
	}
	return all
}

// inherit takes what the version leaves out from the server, and returns where
// the TLS settings are written.
func (n *Named) inherit(s *Server) (tls strict.At) {
	absent := func(key string) bool { return !n.At.Field(key).Exists() }
	if absent("connect_timeout") {
		n.ConnectTimeout = s.ConnectTimeout
	}
	if absent("idle_timeout") {
		n.IdleTimeout = s.IdleTimeout
	}
	if absent("health_check") {
		n.Health = s.Health
	}
	if absent("limits") {
		n.Limits = s.Limits
	}
	if absent("tls") {
		n.TLS = s.TLS
		return s.At
	}
	return n.At
}

func (v *Version) build(name string, weight uint32, at, tlsAt strict.At, files *pemFiles) registry.Version {
	urls := v.URLs
	if len(urls) == 0 {
		urls = []URL{v.URL}
	}
	out := registry.Version{
		Name: name, Weight: weight, Scheme: urls[0].Scheme, Path: urls[0].Path,
		ConnectTimeout: v.ConnectTimeout, IdleTimeout: v.IdleTimeout,
		Health: registry.HealthCheck(v.Health), Limits: registry.Limits(v.Limits),
	}
	for _, u := range urls {
		out.Endpoints = append(out.Endpoints, u.Endpoint)
	}
	if tls := tlsAt.Field("tls"); tls.Exists() {
		if out.Scheme != "https" {
			at.Field("tls").Report("needs an https URL; version %s is reached over http", name)
		}
		out.TLS = v.TLS.build(tls, files)
	}
	return out
}

func (t TLS) build(at strict.At, files *pemFiles) registry.TLS {
	out := registry.TLS{CAFile: resolve(at, t.CA), SNI: t.ServerName, CertFile: resolve(at, t.Cert), KeyFile: resolve(at, t.Key), SPIFFE: t.SPIFFE.build(at)}
	if out.CAFile != "" {
		if err := files.authority(out.CAFile); err != nil {
			at.Field("ca").Report("%v", err)
		}
	}
	switch {
	case out.CertFile != "" && out.KeyFile == "":
		at.Field("client_key").Report("is required beside client_certificate")
	case out.CertFile == "" && out.KeyFile != "":
		at.Field("client_certificate").Report("is required beside client_key")
	case out.CertFile != "":
		if err := files.pair(out.CertFile, out.KeyFile); err != nil {
			at.Field("client_certificate").Report("%v", err)
		}
	}
	return out
}

// resolve makes a path absolute: relative ones begin at the file that they are
// written in, because Envoy, which reads them, may run anywhere.
func resolve(at strict.At, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	joined := filepath.Join(filepath.Dir(at.File()), path)
	if abs, err := filepath.Abs(joined); err == nil {
		return abs
	}
	return joined
}

// unique reports names that occur twice, with both places.
func unique(all []Declared) strict.Problems {
	var problems strict.Problems
	first := make(map[string]strict.Place, len(all))
	for _, d := range all {
		if other, taken := first[d.Server.Name]; taken {
			problems = append(problems, d.Name.Problem("%q is already the name of the server at %s", d.Server.Name, strings.TrimSpace(other.String())))
			continue
		}
		first[d.Server.Name] = d.Name
	}
	return problems
}
