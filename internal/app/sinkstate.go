package app

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/config"
)

// signingKeys reads the key that signs checkpoints and what sinks remember, and the public
// keys of those before it.
func signingKeys(c config.Receipts) (ed25519.PrivateKey, chain.Keys, error) {
	pem, err := c.SignWith.Resolve()
	if err != nil {
		return nil, nil, fmt.Errorf("receipts.sign_with: %w", err)
	}
	key, err := chain.ParsePrivateKey([]byte(pem.Reveal()))
	if err != nil {
		return nil, nil, fmt.Errorf("receipts.sign_with: %s: %w", c.SignWith, err)
	}
	before := chain.Keys{}
	for _, ref := range c.SignedBefore {
		text, err := ref.Resolve()
		if err == nil {
			err = before.Add([]byte(text.Reveal()))
		}
		if err != nil {
			return nil, nil, fmt.Errorf("receipts.signed_before: %s: %w", ref, err)
		}
	}
	return key, before, nil
}

// sinkNames are the sinks that remember something, for the log to write down.
func (g *Gateway) sinkNames() []string {
	if s := g.reading.Load(); s != nil {
		return s.Names()
	}
	return nil
}

// distrusted keeps a receipt of a sink whose state somebody else wrote, so that it is in
// the log, and with that in each sink. The sink goes on all the same.
func (g *Gateway) distrusted(sink, why string) {
	ctx := context.Background()
	x := &guard.Exchange{ID: "admin-" + strconv.FormatInt(time.Now().UnixNano(), 36), Verb: http.MethodGet, Path: "/v1/sinks", Started: time.Now()}
	d := &guard.Decision{Action: guard.Allow, Guard: "sinks", At: time.Now(), Detail: "sink " + sink + ": " + why,
		Events: []guard.Event{{Kind: "sink_distrusted", Guard: "sinks", Detail: "sink " + sink}}}
	form := g.form(g.source.Current())
	form.Must = true
	err := g.receipts.Under(form).Observe(ctx, x, nil, d)
	if err == nil {
		err = g.metrics.Observe(ctx, x, nil, d)
	}
	if err != nil {
		g.log.Error("no receipt could be kept of what was found of a sink", "sink", sink, "err", err)
	}
}
