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
	x := &guard.Exchange{ID: "admin-" + strconv.FormatInt(time.Now().UnixNano(), 36), Verb: http.MethodPost, Path: page + "/" + what, Started: time.Now()}
	d := &guard.Decision{Action: guard.Allow, Guard: e.Guard, At: time.Now(), Detail: "admin: " + what + " " + string(bytes.TrimSpace(body)), Events: []guard.Event{e}}
	form := g.form(g.source.Current())
	form.Must = true
	err := g.receipts.Under(form).Observe(ctx, x, nil, d)
	if err == nil {
		err = g.metrics.Observe(ctx, x, nil, d)
	}
	if err != nil {
		return fmt.Errorf("nothing was changed, because no receipt could be kept: %w", err)
	}
	return nil
}
