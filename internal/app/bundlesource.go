package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/opa"
	"github.com/sallyport/sallyport/internal/release"
	"github.com/sallyport/sallyport/internal/remote"
)

// fetcher is the source behind a URL.
func fetcher(c policy.Config) (release.Source, error) {
	o, err := remoteOptions(c.Bundle, c.Fetch)
	if err != nil {
		return nil, err
	}
	o.MaxReply = release.MaxArchive
	web, err := remote.New(o)
	if err != nil {
		return nil, err
	}
	return &release.HTTP{Client: web, Timeout: c.Fetch.Timeout}, nil
}

func bundleKeys(c policy.Config) (*opa.Keys, error) {
	if len(c.Keys) == 0 && c.Signatures == policy.SignaturesOptional || c.Bundle == "" {
		return nil, nil
	}
	k := &opa.Keys{Optional: c.Signatures == policy.SignaturesOptional, Public: make(map[string]opa.Key)}
	for _, one := range c.Keys {
		text, err := secret(one.Key)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", one.ID, err)
		}
		k.Public[one.ID] = opa.Key{PEM: text, Algorithm: one.Algorithm}
	}
	return k, nil
}

// poll asks the source again and again, until ctx ends.
func (l *line) poll(ctx context.Context) {
	pause := jitter(l.config.Poll)
	for failures := 0; ; {
		if !rest(ctx, pause) {
			return
		}
		began := time.Now()
		o, err := l.source.Fetch(ctx, l.keeper.Mark(), l.config.Wait)
		if ctx.Err() != nil {
			return
		}
		_ = l.keeper.Offer(o, err) // the keeper remembers
		switch {
		case err != nil:
			failures = min(failures+1, 16)
			pause = jitter(max(l.config.Poll, min(l.config.Poll<<failures, maxPause)))
		case o.Waits && (o.Archive != nil || time.Since(began) > time.Second):
			failures, pause = 0, look // it waits for us
		default:
			failures, pause = 0, jitter(l.config.Poll)
		}
	}
}

// jitter is d, give or take a quarter, so that replicas do not ask all at once.
func jitter(d time.Duration) time.Duration {
	return d - d/4 + rand.N(d/2+1) //nolint:gosec // spreads load, hides nothing
}
