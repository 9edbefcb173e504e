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
