package gate

import (
	"strings"

	"github.com/sallyport/sallyport/internal/registry"
)

// versionMark separates the version of a server from the upstream's own
// session id in the session ids that clients get.
const versionMark = "~"

// Tag returns the session id for the client of a session that began on one
// version of a server with several.
func Tag(version, session string) string { return version + versionMark + session }

// Untag takes a client's session id apart: which version of srv the session
// lives on, and the id under which that version knows it. version is empty for
// ids that the gateway did not tag. ok is false when the version has left the
// registry: the session is gone with it.
func Untag(srv *registry.Server, session string) (version, upstream string, ok bool) {
	tag, rest, tagged := strings.Cut(session, versionMark)
	switch {
	case !tagged:
		return "", session, true
	case srv.Version(tag) != nil:
		return tag, rest, true
	case len(srv.Versions) > 1:
		return "", session, false
	}
	return "", session, true // an upstream may use the mark itself
}
