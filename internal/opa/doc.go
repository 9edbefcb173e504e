// Package opa decides by Rego policies, with the Open Policy Agent inside the
// process. It implements policy.Decider.
//
// A [Policy] is one bundle, compiled, immutable. Three documents make its
// contract with the gateway:
//
//	data.sallyport.access  may the principal use the target at all? Never sees arguments or params
//	data.sallyport.call    may it be used like this, now? Optional: what it does not define is allowed
//	data.sallyport.masks   true if any decision masks or caps results; optional
//
// Policies are functions of their input: what reads a clock, the network, the
// process or chance is not available to them.
package opa

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// impure are builtins that OPA does not flag, and that nevertheless look at the
// clock or may fetch what a schema refers to.
var impure = []string{
	"crypto.x509.parse_and_verify_certificates", "crypto.x509.parse_and_verify_certificates_with_options",
	"json.match_schema", "json.verify_schema",
}

// capabilities are what policies may use: OPA's, without anything whose answer
// depends on more than its arguments (http.send, net.lookup_ip_addr,
// opa.runtime, time.now_ns, rand.intn, uuid.rfc4122, ...).
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool {
		return b.Nondeterministic || slices.Contains(impure, b.Name)
	})
	c.AllowNet = []string{}
	return c
}
