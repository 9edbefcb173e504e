// Package xds gives Envoy its configuration: it turns the registry's view
// into listeners, routes, clusters and secrets, and serves them over one delta
// ADS stream.
//
// [Build] is a pure function and [Bootstrap] writes the few lines that an
// Envoy needs to find the [Server]. The server replaces configurations without
// losing requests: new clusters are made ready before routes use them, and old
// ones go only after no route does.
package xds
