package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/internal/audit"
)

// announce prints the ready line once requests can be served.
func (g *Gateway) announce(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for g.o.Child && g.ready() != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	scheme := "http"
	if g.cfg.Listeners[0].TLS.On() {
		scheme = "https"
	}
	line := fmt.Sprintf("sallyport ready mcp=%s://%s admin=http://%s", scheme, g.ports.mcp[0], g.ports.admin)
	for _, a := range g.ports.egress {
		line += " egress=" + a.String()
	}
	_, err := fmt.Fprintln(g.o.Stdout, line)
	return err
}

// ready returns why requests cannot be served now, or nil.
func (g *Gateway) ready() error {
	if g.draining.Load() {
		return errors.New("the gateway is stopping")
	}
	if !g.xds.Ready() {
		return errors.New("no Envoy has accepted the configuration yet")
	}
	if asks(g.source.Current().Gateway.Authentication) {
		if err := g.lasting.revoked.Stale(); err != nil {
			return fmt.Errorf("%w; every caller is refused", err)
		}
	}
	if g.cfg.Receipts.WhenFull == string(audit.Block) {
		if err := g.receipts.Trouble(); err != nil {
			return fmt.Errorf("%w; messages are refused (receipts.when_full is block)", err)
		}
	}
	return nil
}
