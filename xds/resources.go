package xds

import (
	"errors"
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
)

// Resources are one complete configuration for Envoy. They are immutable once
// built: the server hands them to many streams at once.
type Resources struct {
	Listeners []*listenerv3.Listener
	Routes    []*routev3.RouteConfiguration
	Clusters  []*clusterv3.Cluster
	Secrets   []*tlsv3.Secret

	// uses are the clusters that routes and filters refer to. [Build] knows
	// them; reading them back out of packed messages would cost more.
	uses map[string]bool
}

// Validate reports everything that is wrong with the resources by themselves:
// rules of the protocol buffers, doubled names, and references to clusters
// that do not exist. Envoy accepts such routes and answers 503 on them, so
// nobody else would notice.
func (r *Resources) Validate() error {
	var errs []error
	check := func(kind, name string, seen map[string]bool, m interface{ ValidateAll() error }) {
		if name == "" || seen[name] {
			errs = append(errs, fmt.Errorf("xds: %s %q: the name must be set and unique", kind, name))
		}
		seen[name] = true
		if err := m.ValidateAll(); err != nil {
			errs = append(errs, fmt.Errorf("xds: %s %q: %w", kind, name, err))
		}
	}
	listeners, routes, clusters, secrets := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, l := range r.Listeners {
		check("listener", l.GetName(), listeners, l)
	}
	for _, c := range r.Routes {
		check("routes", c.GetName(), routes, c)
	}
	for _, c := range r.Clusters {
		check("cluster", c.GetName(), clusters, c)
	}
	for _, s := range r.Secrets {
		check("secret", s.GetName(), secrets, s)
	}
	for name := range r.uses {
		if !clusters[name] {
			errs = append(errs, fmt.Errorf("xds: cluster %q: used by a route or filter but not defined", name))
		}
	}
	return errors.Join(errs...)
}

// named returns the resources of every type by name, types in the order in
// which Envoy should make them.
func (r *Resources) named() map[string]map[string]proto.Message {
	out := make(map[string]map[string]proto.Message, len(types))
	for _, t := range types {
		out[t] = map[string]proto.Message{}
	}
	for _, l := range r.Listeners {
		out[listenerType][l.GetName()] = l
	}
	for _, c := range r.Routes {
		out[routeType][c.GetName()] = c
	}
	for _, c := range r.Clusters {
		out[clusterType][c.GetName()] = c
	}
	for _, s := range r.Secrets {
		out[secretType][s.GetName()] = s
	}
	return out
}
