package identity

import (
	"slices"
	"strings"
)

// isWorkload reports whether id is a SPIFFE id of a workload in one of the
// domains (SPIFFE-ID, 2). Envoy chose the bundle by the id and verified the
// certificate with it; this is the second look.
func isWorkload(id string, domains []string) bool {
	rest, ok := strings.CutPrefix(id, "spiffe://")
	domain, path, hasPath := strings.Cut(rest, "/")
	return ok && hasPath && path != "" && slices.Contains(domains, domain)
}
