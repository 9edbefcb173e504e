package spiffe

import (
	"context"
	"sync"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// followAPI watches the Workload API until ctx ends.
func (s *Source) followAPI(ctx context.Context) error {
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(s.o.Address))
	if err != nil {
		return err
	}
	defer client.Close()
	var watches sync.WaitGroup // one that ends for good does not end the other
	watch := func(f func() error) {
		watches.Go(func() {
			if err := f(); err != nil {
				s.failed(err)
			}
		})
	}
	watch(func() error { return client.WatchX509Context(ctx, svids{s}) })
	if s.o.JWT {
		watch(func() error { return client.WatchJWTBundles(ctx, keys{s}) })
	}
	watches.Wait()
	return nil
}

type svids struct{ *Source }

// OnX509ContextUpdate implements workloadapi.X509ContextWatcher.
func (s svids) OnX509ContextUpdate(c *workloadapi.X509Context) {
	m, err := fromAPI(c)
	if err != nil {
		s.failed(err)
		return
	}
	s.take(m)
}

// OnX509ContextWatchError implements workloadapi.X509ContextWatcher.
func (s svids) OnX509ContextWatchError(err error) { s.failed(err) }

type keys struct{ *Source }

// OnJWTBundlesUpdate implements workloadapi.JWTBundleWatcher.
func (k keys) OnJWTBundlesUpdate(set *jwtbundle.Set) { k.takeKeys(set) }

// OnJWTBundlesWatchError implements workloadapi.JWTBundleWatcher.
func (k keys) OnJWTBundlesWatchError(err error) { k.failed(err) }
