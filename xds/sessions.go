package xds

import (
	"net/netip"

	sessionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/stateful_session/v3"
	envelopev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/stateful_session/envelope/v3"

	"github.com/sallyport/sallyport/internal/registry"
)

// sticky reports whether version v may run in more than one process, so that
// legacy sessions have to go back to where they began. A DNS name may stand
// for many addresses.
func sticky(v *registry.Version) bool {
	if len(v.Endpoints) > 1 {
		return true
	}
	host := v.Endpoints[0].Host
	_, err := netip.ParseAddr(host)
	return err != nil && host != "localhost"
}

// stickySessions puts the endpoint's address into the session id that the
// client gets ("envelope"), and takes it out again on the way in: no state
// anywhere, and every replica of the gateway can route every session. When the
// endpoint is gone the call goes to another one, which answers that it does not
// know the session, and the client begins a new one.
func (b *builder) stickySessions() *sessionsv3.StatefulSessionPerRoute {
	return &sessionsv3.StatefulSessionPerRoute{Override: &sessionsv3.StatefulSessionPerRoute_StatefulSession{
		StatefulSession: &sessionsv3.StatefulSession{
			SessionState: b.extension("envoy.http.stateful_session.envelope", &envelopev3.EnvelopeSessionState{
				Header: &envelopev3.EnvelopeSessionState_Header{Name: sessionHeader},
			}),
		},
	}}
}
