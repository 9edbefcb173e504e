package app

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/config"
)

// signing is the key that signs checkpoints and what sinks remember, and the public keys
// of those before it.
type signing struct {
	key    ed25519.PrivateKey
	before chain.Keys
}

// openSigning reads the keys, once: log and sinks must not have different ones.
func openSigning(c config.Receipts) (signing, error) {
	if c.Directory == "" {
		return signing{}, nil
	}
	pem, err := c.SignWith.Resolve()
	if err != nil {
		return signing{}, fmt.Errorf("receipts.sign_with: %w", err)
	}
	key, err := chain.ParsePrivateKey([]byte(pem.Reveal()))
	if err != nil {
		return signing{}, fmt.Errorf("receipts.sign_with: %s: %w", c.SignWith, err)
	}
	before := chain.Keys{}
	for _, ref := range c.SignedBefore {
		text, err := ref.Resolve()
		if err == nil {
			err = before.Add([]byte(text.Reveal()))
		}
		if err != nil {
			return signing{}, fmt.Errorf("receipts.signed_before: %s: %w", ref, err)
		}
	}
	return signing{key, before}, nil
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
	e := guard.Event{Kind: "sink_distrusted", Guard: "sinks", Detail: "sink " + sink}
	if err := g.keepAdmin(context.Background(), http.MethodGet, "/v1/sinks", "sink "+sink+": "+why, e); err != nil {
		g.log.Error("no receipt could be kept of what was found of a sink", "sink", sink, "err", err)
	}
}
