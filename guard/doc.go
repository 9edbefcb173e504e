// Package guard decides what happens to each MCP message.
//
// A [Guard] looks at one message and returns a [Verdict]. A [Chain] asks an
// ordered list of guards, keeps a journal of their verdicts and comes to one
// [Decision]. The package knows nothing of Envoy, gRPC or HTTP servers: a host
// (ext_proc, ext_authz, a test) owns the bytes, the clock and every goroutine,
// and carries the decision out.
//
// Everything fails closed. The zero Verdict refuses, and so does the zero
// Decision; an error is never a refusal but "no answer was reached", and the
// guard's on_error setting decides what that means.
package guard
