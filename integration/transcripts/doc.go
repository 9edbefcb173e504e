// Package transcripts replays protocol behaviour that is written down in
// testdata: what a client sends, what a server answers, and what came of it.
//
// Each transcript runs twice, with the same outcome: through `sallyport run`
// with a real Envoy (TestThroughEnvoy), and in process (TestInProcess), where a
// small stand-in for Envoy speaks to the ext_proc service, so that nobody needs
// an Envoy to work on it. Its request goes once more through the ext_authz
// service, which must come to the same decision.
//
// A transcript opens with why it exists. Its parts:
//
//	config.yaml  what the configuration says beside servers and ports; $ISSUER is a live issuer of tokens, $KEY a file with the key that binds ids, $SIGNERS one with the keys of signed segments
//	guard        a guard that does what no real one does, see scripted_test.go; such a transcript runs in process only
//	before       calls that come before the request, see before_test.go; all are let through
//	request      method and path (POST to /mcp/one unless it says more), headers, an empty line, the body
//	reply        the server's, alike; after "200 open" the stream stays open
//	client       what the client got (expected)
//	upstream     what reached the server (expected)
//	decision     one line per judged message, from the receipts or from an observer (expected)
//	closing      how the exchange ended, where that has a receipt of its own (expected)
//
// A decision reads `to_server deny envelope header_mismatch`: direction, action,
// who refused ("-" for the decoder and the host) and why. Below it stands, with
// two spaces, what a guard said that did not count: in shadow, or excused by
// on_error. Run with -update to rewrite the expected parts.
package transcripts
