// Package identity finds out who is calling: it verifies bearer tokens of OpenID
// providers and OAuth authorization servers, and believes the client
// certificates that the transport verified.
//
// A token that was verified before, or whose key is known, is judged without
// leaving the process; only an unknown key makes a request, one for all who wait.
package identity
