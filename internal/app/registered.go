package app

import (
	"net"
	"net/http"
	"strconv"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/registry"
)

// Registered is a server as /v1/servers shows it: what its owner says of it, and
// where it is. Nothing of it is a secret; those are references.
type Registered struct {
	Name           string                  `json:"name"`
	Description    string                  `json:"description,omitempty"`
	Owner          string                  `json:"owner,omitempty"`
	Domain         string                  `json:"domain,omitempty"`
	Classification registry.Classification `json:"data_classification,omitempty"`
	Clearance      registry.Classification `json:"clearance,omitempty"`
	Versions       []Deployed              `json:"versions"`
	Declared       string                  `json:"declared"` // as file:line:col
}

// Deployed is one version of a server.
type Deployed struct {
	Name      string   `json:"name"`
	Weight    uint32   `json:"weight"` // of new sessions, beside the other versions' weights
	Endpoints []string `json:"endpoints"`
}

func (g *Gateway) serverRoutes() []admin.Route {
	return []admin.Route{{Pattern: "GET /v1/servers", Show: func(*http.Request) (any, error) {
		return map[string]any{"servers": registered(g.holder.Current().View)}, nil
	}}}
}

func registered(v *registry.View) []Registered {
	out := make([]Registered, 0, len(v.Servers()))
	for _, s := range v.Servers() {
		r := Registered{
			Name: s.Name, Description: s.Description, Owner: s.Owner, Domain: s.Domain,
			Classification: s.Classification, Clearance: s.Clearance, Declared: s.Origin,
		}
		for _, one := range s.Versions {
			d := Deployed{Name: one.Name, Weight: one.Weight}
			for _, e := range one.Endpoints {
				d.Endpoints = append(d.Endpoints, one.Scheme+"://"+net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))+one.Path)
			}
			r.Versions = append(r.Versions, d)
		}
		out = append(out, r)
	}
	return out
}
