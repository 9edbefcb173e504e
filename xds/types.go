package xds

import "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

const (
	clusterType  = resource.ClusterType
	secretType   = resource.SecretType
	routeType    = resource.RouteType
	listenerType = resource.ListenerType
)

// types are the resource types that the server sends.
var types = []string{clusterType, secretType, routeType, listenerType}

// settled are the types that every Envoy acknowledges. Secrets are asked for
// by name, and only while a cluster needs them.
var settled = []string{clusterType, routeType, listenerType}

// short returns the word for a resource type in status, metrics and logs.
func short(typeURL string) string {
	switch typeURL {
	case clusterType:
		return "clusters"
	case secretType:
		return "secrets"
	case routeType:
		return "routes"
	case listenerType:
		return "listeners"
	default:
		return "other"
	}
}
