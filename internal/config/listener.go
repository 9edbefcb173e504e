package config

import (
	"github.com/sallyport/sallyport/internal/config/declare"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/config/strict"
)

// Listener is one address that MCP clients connect to.
type Listener struct {
	Address        notation.ListenAddress `yaml:"address" required:"true" doc:"Where to listen"`
	TLS            ListenerTLS            `yaml:"tls" doc:"How gateway and clients prove who they are; plain HTTP when absent"`
	BehindTLSProxy bool                   `yaml:"behind_tls_proxy" doc:"States that only a proxy that speaks TLS with the clients reaches this address, so that tokens never travel in the clear; nothing checks it"`
}

// ListenerTLS authenticates the gateway to its clients, and clients to the
// gateway. Envoy watches the files, so a rotated certificate needs no reload.
type ListenerTLS struct {
	Certificate string `yaml:"certificate" doc:"PEM file of the gateway's certificate chain; relative to this file. With spiffe, the gateway's own X.509-SVID when absent"`
	Key         string `yaml:"key" doc:"PEM file of the private key of certificate"`
	ClientCA    string `yaml:"client_ca" doc:"PEM file of the authorities whose certificates clients must show; none are asked for when absent"`
	SPIFFE      bool   `yaml:"spiffe" doc:"Clients must show an X.509-SVID of one of spiffe.trust_domains, in place of a certificate of client_ca"`
}

// On reports whether the listener speaks TLS.
func (t *ListenerTLS) On() bool { return t.Certificate != "" || t.SPIFFE }

// AsksClients reports whether clients must show a certificate.
func (t *ListenerTLS) AsksClients() bool { return t.ClientCA != "" || t.SPIFFE }

// checkListeners demands of each listener what the way in which callers prove
// who they are depends on.
func (c *Config) checkListeners(at strict.At) {
	method := at.Field("gateway").Field("authentication").Field("method")
	for i := range c.Listeners {
		l, p := &c.Listeners[i], at.Field("listeners").Item(i)
		l.TLS.check(p.Field("tls"))
		if p.Field("tls").Exists() && l.BehindTLSProxy {
			p.Field("behind_tls_proxy").Report("cannot stand beside tls: either the proxy speaks TLS with the clients or this listener does")
		}
		if p.OK() {
			c.checkWorkloads(l, p)
		}
		if method.OK() && p.OK() {
			c.checkTransport(l, p)
		}
	}
}

func (c *Config) checkTransport(l *Listener, p strict.At) {
	address, open := p.Field("address"), l.Address.IsValid() && !l.Address.Loopback()
	switch c.Gateway.Authentication.Method {
	case "none":
		if open {
			address.Report("%s can be reached from other machines, and gateway.authentication.method none would serve them all; listen on a loopback address such as 127.0.0.1:%d", l.Address, l.Address.Port())
		}
	case "JWT":
		if open && !l.TLS.On() && !l.BehindTLSProxy {
			address.Report("%s can be reached from other machines, and tokens would travel in the clear; give the listener tls, or write behind_tls_proxy: true if only such a proxy reaches it", l.Address)
		}
	case "mTLS", "mTLS + JWT":
		if !l.TLS.AsksClients() {
			p.Field("tls").Field("client_ca").Report("or spiffe is required: gateway.authentication.method %s demands client certificates, and the gateway believes only what its own listener verified", c.Gateway.Authentication.Method)
		}
	}
}

// check reports files that are missing, or do not hold what they should.
func (t *ListenerTLS) check(at strict.At) {
	if !at.Exists() || !at.OK() {
		return
	}
	cert, key := at.Field("certificate"), at.Field("key")
	switch {
	case t.SPIFFE && t.Certificate == "" && t.Key == "":
	case t.Certificate == "":
		cert.Report("is required: the PEM file of the gateway's certificate chain")
	case t.Key == "":
		key.Report("is required beside certificate")
	default:
		if err := declare.CheckPair(t.Certificate, t.Key); err != nil {
			cert.Report("%v", err)
		}
	}
	if ca := at.Field("client_ca"); t.ClientCA != "" {
		if t.SPIFFE {
			ca.Report("cannot stand beside spiffe: clients show a certificate of the one or of the other")
		}
		if err := declare.CheckAuthority(t.ClientCA); err != nil {
			ca.Report("%v", err)
		}
	}
}
