// Package transcripts replays protocol behaviour that is written down in
// testdata: what a client sends, what a server answers, and what came of it.
// Each transcript runs through a real Envoy, and its request once more through
// the ext_authz service, which must come to the same answer.
package transcripts
