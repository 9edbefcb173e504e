package xds

import "github.com/sallyport/sallyport/internal/envoymap"

// Names that the ext_proc service and Envoy's configuration agree on.
const (
	versionHeader  = envoymap.VersionHeader // set by ext_proc, never by a client
	internalPrefix = envoymap.InternalPrefix
	envoyPrefix    = "x-envoy-"
	sessionHeader  = "mcp-session-id"

	metadataNamespace = envoymap.Namespace
	metadataID        = "id" // the JSON-RPC id's lexeme, as a string

	// refusalDetails begins the details of every immediate response that
	// ext_proc sends, so that local replies of Envoy's own can be told apart.
	refusalDetails = "sallyport"
)

// Names of the resources.
const (
	// routeConfigName is the one route configuration that all listeners share.
	routeConfigName = "sallyport"
	// extProcCluster is the cluster of the ext_proc service.
	extProcCluster = "sallyport_ext_proc"

	pathPrefix = "/mcp/"
)

// Names of the filters, as routes refer to them.
const (
	extProcFilter  = "envoy.filters.http.ext_proc"
	sessionsFilter = "envoy.filters.http.stateful_session"
	routerFilter   = "envoy.filters.http.router"
)

// clusterName returns the name of the cluster that serves one version.
func clusterName(server, version string) string { return "mcp/" + server + "/" + version }
