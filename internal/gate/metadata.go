package gate

import (
	"net/http"
	"strings"
)

// wellKnown is where the metadata of a protected resource is found, before its
// own path (RFC 9728, 3.1).
const wellKnown = "/.well-known/oauth-protected-resource"

// Document returns the metadata that a request asks for; ok is false when it
// asks for none. It is public, and no part of any exchange that is judged.
func (s *Snapshot) Document(verb, path string) (body []byte, ok bool) {
	rest, asks := strings.CutPrefix(path, wellKnown)
	if !asks || s.Metadata == nil || verb != http.MethodGet {
		return nil, false
	}
	name := ""
	if rest != "" && rest != "/" {
		if name = ServerOf(rest); s.View.Lookup(name) == nil {
			return nil, false
		}
	}
	body = s.Metadata(name)
	return body, body != nil
}
