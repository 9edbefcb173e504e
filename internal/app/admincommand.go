package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/guard"
)

// decodeCommand reads a command to the admin interface. Unknown members are errors:
// a misspelt bound must not read as none.
func decodeCommand(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("the body is no such command: %w", err)
	}
	return nil
}

// keepCommand keeps the receipt of a command before it takes effect, as of a
// request to the admin interface that was allowed: what was asked of which page,
// and the event that it is. What drops receipts of calls drops none of these: whoever fills
// the queue must not get a change that nobody can see.
func (g *Gateway) keepCommand(ctx context.Context, page, what string, body []byte, e guard.Event) error {
	if err := g.keepAdmin(ctx, http.MethodPost, page+"/"+what, "admin: "+what+" "+string(bytes.TrimSpace(body)), e); err != nil {
		return fmt.Errorf("nothing was changed, because no receipt could be kept: %w", err)
	}
	return nil
}

// keepAdmin keeps a receipt of what the admin interface, and no caller, has to do with.
func (g *Gateway) keepAdmin(ctx context.Context, verb, path, detail string, e guard.Event) error {
	x := &guard.Exchange{ID: "admin-" + strconv.FormatInt(time.Now().UnixNano(), 36), Verb: verb, Path: path, Started: time.Now()}
	d := &guard.Decision{Action: guard.Allow, Guard: e.Guard, At: time.Now(), Detail: detail, Events: []guard.Event{e}}
	form := g.form(g.source.Current())
	form.Must = true
	if err := g.receipts.Under(form).Observe(ctx, x, nil, d); err != nil {
		return err
	}
	return g.metrics.Observe(ctx, x, nil, d)
}
