package app

import (
	"strconv"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/xds"
)

// settings are what the configuration of Envoy is made from.
func (g *Gateway) settings(cfg *config.Config, chain *guard.Chain) xds.Settings {
	s := xds.DefaultSettings()
	s.Listeners = nil
	for i, a := range g.ports.mcp {
		s.Listeners = append(s.Listeners, xds.Listener{Name: "mcp" + strconv.Itoa(i), Address: a.Addr().String(), Port: uint32(a.Port()), TLS: listenerTLS(&cfg.Listeners[i].TLS)})
	}
	s.Egress = egressListeners(cfg, g.ports.egress)
	s.Workload = g.workload()
	s.ExtProc = g.ports.judge
	s.BodyLimit = uint64(cfg.Limits.Body)
	s.AccessLogRefusals = cfg.Envoy.AccessLogOf == "refusals"
	s.AccessLog, s.SystemCAFile = cfg.Envoy.AccessLog, cfg.Envoy.SystemCA
	s.MaxHeadersKiB, s.MaxHeaders, s.MaxStreams = uint32(cfg.Limits.Headers/notation.KiB), cfg.Limits.HeaderCount, cfg.Limits.Streams
	s.MessageTimeout, s.HeadersTimeout, s.RequestTimeout = cfg.Limits.JudgeTime, cfg.Limits.HeadersTime, cfg.Limits.RequestTime
	s.StreamIdle, s.ConnectionIdle, s.UpstreamIdle = cfg.Limits.StreamIdle, cfg.Limits.ConnectionIdle, cfg.Limits.UpstreamIdle
	s.Drain = cfg.Limits.Drain
	s.Tracing = envoyTracing(cfg)
	// Requests are always read: nothing passes undecoded. Replies are sent to the
	// service only if some guard looks at them.
	s.Phases = xds.Phases{RequestBody: true, Response: chain.Wants(mcp.ToClient) || chain.Informs()}
	return s
}

func listenerTLS(t *config.ListenerTLS) *xds.ListenerTLS {
	if !t.On() {
		return nil
	}
	return &xds.ListenerTLS{CertFile: t.Certificate, KeyFile: t.Key, ClientCAFile: t.ClientCA, SPIFFE: t.SPIFFE}
}

// Bootstrap returns the bootstrap of an Envoy that takes its configuration from
// the xDS server at address.
func Bootstrap(cfg *config.Config, address string) ([]byte, error) {
	b := xds.DefaultBootstrap()
	b.XDS = address
	a := cfg.Envoy.AdminAddress
	b.AdminAddress, b.AdminPort = a.Addr().String(), uint32(a.Port())
	b.MaxConnections, b.MaxHeap = cfg.Envoy.MaxConnections, uint64(cfg.Envoy.MaxHeap)
	return xds.Bootstrap(b)
}
