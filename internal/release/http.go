package release

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/remote"
)

// HTTP is a source behind a URL: a server of OPA bundles, or whatever serves an
// archive. Where the server knows long polling (OPA's bundle service), a change
// arrives at once.
type HTTP struct {
	Client  *remote.Client
	Timeout time.Duration // of one answer, beyond what it may wait
	waits   bool          // the server has said that it knows long polling
}

// bundles is the media type by which a server says that it knows long polling.
const bundles = "application/vnd.openpolicyagent.bundles"

// Fetch implements Source.
func (h *HTTP) Fetch(ctx context.Context, mark string, wait time.Duration) (Offer, error) {
	header := http.Header{"Accept": {"application/gzip, application/octet-stream;q=0.9, */*;q=0.1"}, "Prefer": {"modes=snapshot"}}
	limit := h.Timeout
	if mark != "" {
		header.Set("If-None-Match", mark)
		if s := int(wait.Seconds()); h.waits && s > 0 {
			header.Set("Prefer", "modes=snapshot;wait="+strconv.Itoa(s))
			limit += wait
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r, err := h.Client.Get(ctx, header)
	if err != nil {
		h.waits = false
		return Offer{}, fmt.Errorf("release: fetch: %w", err)
	}
	switch {
	case r.Status == http.StatusNotModified && mark != "":
		return Offer{Mark: mark, Waits: h.waits && header.Get("Prefer") != "modes=snapshot"}, nil
	case r.Status == http.StatusOK && len(r.Body) == 0 && mark != "":
		return Offer{Mark: mark, Waits: h.waits}, nil // OPA's service has nothing new
	case r.Status != http.StatusOK:
		h.waits = false
		return Offer{}, fmt.Errorf("release: fetch: the server answers with status %d", r.Status)
	}
	h.waits = r.Header.Get("Content-Type") == bundles && wait > 0
	return Offer{Archive: r.Body, Mark: r.Header.Get("ETag"), Waits: h.waits}, nil
}
