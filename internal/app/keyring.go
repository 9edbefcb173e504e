package app

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/audit/keyring"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/config/notation"
)

// OpenKeyRing opens the key ring of receipts.
func OpenKeyRing(ctx context.Context, c config.Sealing) (*keyring.Ring, error) {
	o := keyring.Options{Directory: c.Keys, Rotate: c.Rotate, Now: time.Now}
	for i, ref := range c.WrapWith {
		w, err := wrapper(ref)
		if err != nil {
			return nil, fmt.Errorf("receipts.sealing.wrap_with[%d]: %w", i, err)
		}
		o.Wrappers = append(o.Wrappers, w)
	}
	r, err := keyring.Open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("receipts.sealing.keys: %w", err)
	}
	return r, nil
}

func wrapper(ref notation.SecretRef) (keyring.Wrapper, error) {
	text, err := ref.Resolve()
	if err != nil {
		return nil, err
	}
	return keyring.NewLocal(text.Reveal())
}

// sealing is what the receipts of one configuration seal; nil for nothing.
func (g *Gateway) sealing(c config.Sealing) *audit.Sealing {
	if g.ring == nil {
		return nil
	}
	s := &audit.Sealing{Ring: g.ring, Subjects: c.Subjects == "sealed", Largest: int(c.Largest)}
	for _, p := range c.Payloads {
		s.Payloads = append(s.Payloads, audit.Payload{
			Tenants: p.Tenants, Servers: p.Servers, Tools: p.Tools, Received: p.As == "received",
			Arguments: slices.Contains(p.Keep, "arguments"), Params: slices.Contains(p.Keep, "params"), Results: slices.Contains(p.Keep, "results"),
		})
	}
	return s
}

// tendRing takes in, once a second, that keys were destroyed or made elsewhere.
func tendRing(ctx context.Context, r *keyring.Ring, log *slog.Logger) {
	told := ""
	tend(ctx, func() (func(context.Context), func()) {
		if r == nil {
			return func(context.Context) {}, nil
		}
		return nil, func() {
			switch err := r.Refresh(ctx); {
			case err != nil && err.Error() != told:
				told = err.Error()
				log.Error("the key ring of receipts cannot be read; keys that were destroyed elsewhere may still be in use", "err", err)
			case err == nil && told != "":
				told = ""
				log.Info("the key ring of receipts is read again")
			}
		}
	})
}
