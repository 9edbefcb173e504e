package gate

import (
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/guard/identity"
)

// Document returns the metadata that a request asks for; ok is false when it
// asks for none. It is public, and no part of any exchange that is judged.
func (s *Snapshot) Document(verb, path string) (body []byte, ok bool) {
	rest, asks := strings.CutPrefix(path, identity.WellKnown)
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
