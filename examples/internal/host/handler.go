// Package host serves the example MCP servers over streamable HTTP, to clients
// of every protocol revision at one URL.
package host

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// firstModern is the first revision without sessions. Revisions are dates, so
// they compare as strings.
const firstModern = "2026-07-28"

const (
	sessionIdle  = 30 * time.Minute // an abandoned legacy session ends after this
	maxBodyBytes = 1 << 20
)

// Handler serves s to both generations of clients. Legacy clients get a session,
// through which the server may ask them for input in the middle of a call;
// modern ones get stateless requests, for which the SDK's handler has a mode of
// its own. The header decides, as it does for the SDK.
func Handler(s *mcp.Server, log *slog.Logger) http.Handler {
	get := func(*http.Request) *mcp.Server { return s }
	legacy := mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{
		Logger:              log,
		SessionTimeout:      sessionIdle,
		MaxRequestBodyBytes: maxBodyBytes,
	})
	modern := mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{
		Logger:                       log,
		Stateless:                    true,
		MaxRequestBodyBytes:          maxBodyBytes,
		PropagateRequestCancellation: true,
	})
	both := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Protocol-Version") >= firstModern {
			modern.ServeHTTP(w, r)
			return
		}
		legacy.ServeHTTP(w, r)
	})
	return http.NewCrossOriginProtection().Handler(both)
}
