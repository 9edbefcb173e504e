package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	own "github.com/sallyport/sallyport/guard/identity"
)

// How keys are kept.
const (
	refetch  = 500 * time.Millisecond // at the soonest after the last attempt, however many unknown key ids come
	retry    = 2 * time.Second        // likewise, after one that failed
	waiters  = 1024                   // at most, so that made-up key ids hold up no more requests than this
	fresh    = 15 * time.Minute       // then they are fetched again beside the traffic
	maxStale = 24 * time.Hour         // how long known keys outlive their issuer's silence
	maxKeys  = 64
	maxJWKS  = 1 << 20 // bytes
)

// keySet is what an issuer signs with. Verifying with known keys never leaves
// the process; an unknown key id makes one request for all who wait for it.
type keySet struct {
	issuer string // its URL
	jwks   string // where its keys are; empty: its metadata says so
	client *http.Client
	now    func() time.Time
	known  atomic.Pointer[keys]
	tried  atomic.Int64 // when fetching was last tried, in nanoseconds
	failed atomic.Bool  // that attempt
	flight singleflight.Group

	waiting atomic.Int64
}

// Pool keeps the keys of issuers over reloads, so that a changed configuration
// does not forget them while their issuer is silent. The zero Pool is empty.
type Pool struct {
	proofs proofs

	mu   sync.Mutex
	sets map[[2]string]*keySet
}

func (p *Pool) keys(i *own.Issuer, client *http.Client, now func() time.Time) *keySet {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := [2]string{i.URL, i.JWKS}
	if p.sets == nil {
		p.sets = make(map[[2]string]*keySet)
	}
	if p.sets[id] == nil {
		p.sets[id] = &keySet{issuer: i.URL, jwks: i.JWKS, client: client, now: now}
	}
	return p.sets[id]
}

// keys are one state of a key set.
type keys struct {
	list    []jose.JSONWebKey
	fetched time.Time // when they were asked for
	url     string
}

// find returns the keys that may have made a signature with this key id. A
// token without one is tried with every key.
func (k *keys) find(kid string) []jose.JSONWebKey {
	if k == nil {
		return nil
	}
	if kid == "" {
		return k.list
	}
	var out []jose.JSONWebKey
	for i := range k.list {
		if k.list[i].KeyID == kid {
			out = append(out, k.list[i])
		}
	}
	return out
}

// current returns the keys that are known and not too old to be believed.
func (s *keySet) current() *keys {
	k := s.known.Load()
	if k == nil || s.now().Sub(k.fetched) > maxStale {
		return nil
	}
	return k
}

// has reports whether a signature with this key id can be judged without
// leaving the process.
func (s *keySet) has(kid string) bool {
	k := s.current()
	if len(k.find(kid)) == 0 {
		return false
	}
	if s.now().Sub(k.fetched) > fresh && s.due() {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
			defer cancel()
			_ = s.refresh(ctx) // the known ones serve on; the next attempt may do
		}()
	}
	return true
}

// due reports whether fetching may be tried now.
func (s *keySet) due() bool { return s.wait() <= 0 }

// wait is how long until fetching may be tried again.
func (s *keySet) wait() time.Duration {
	pause := refetch
	if s.failed.Load() {
		pause = retry
	}
	return pause - time.Duration(s.now().UnixNano()-s.tried.Load())
}

// fetchTime bounds one attempt to fetch keys.
const fetchTime = 5 * time.Second

// learn fetches keys until there is one with this key id, or until they are
// known not to have had one when it was asked for (errNoKey): an issuer that
// changes its key uses the new one at once, and nobody who shows it may be
// refused because somebody else had the keys fetched just before.
func (s *keySet) learn(ctx context.Context, kid string) error {
	if s.waiting.Add(1) > waiters {
		s.waiting.Add(-1)
		return fmt.Errorf("identity: keys of %s: too many wait for them", s.issuer)
	}
	defer s.waiting.Add(-1)
	for asked := s.now(); ; {
		k := s.current()
		switch {
		case len(k.find(kid)) > 0:
			return nil
		case k != nil && k.fetched.After(asked):
			return errNoKey
		}
		if err := s.fetch(ctx); err != nil {
			return err
		}
	}
}

// refresh fetches keys if that may be tried now.
func (s *keySet) refresh(ctx context.Context) error {
	if !s.due() {
		return nil // somebody else has just done so
	}
	return s.fetch(ctx)
}

// fetch gets the keys anew, as soon as that may be tried; those who ask at the
// same time share one attempt. While the issuer does not answer nobody waits for
// the next one.
func (s *keySet) fetch(ctx context.Context) error {
	result := s.flight.DoChan("", func() (any, error) {
		if pause := s.wait(); pause > 0 {
			if s.failed.Load() {
				return nil, fmt.Errorf("identity: keys of %s: could not be fetched a moment ago", s.issuer)
			}
			time.Sleep(pause)
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
		defer cancel()
		s.tried.Store(s.now().UnixNano())
		k, err := s.load(ctx)
		s.failed.Store(err != nil)
		if err != nil {
			return nil, err
		}
		s.known.Store(k)
		return nil, nil
	})
	select {
	case r := <-result:
		return r.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *keySet) load(ctx context.Context) (*keys, error) {
	began := s.now()
	url, err := s.location(ctx)
	if err != nil {
		return nil, err
	}
	body, err := s.get(ctx, url)
	if err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("identity: keys of %s: %w", s.issuer, err)
	}
	k := &keys{fetched: began, url: url}
	for _, key := range set.Keys {
		// Private and symmetric keys have no business here: with them whoever
		// can read the document could sign.
		if key.IsPublic() && key.Valid() && (key.Use == "" || key.Use == "sig") && len(k.list) < maxKeys {
			k.list = append(k.list, key)
		}
	}
	if len(k.list) == 0 {
		return nil, fmt.Errorf("identity: keys of %s: none can be used", s.issuer)
	}
	return k, nil
}

// location is where the keys are, as configured or as the issuer's metadata
// says (OpenID Connect Discovery, 4.3: it must name the same issuer).
func (s *keySet) location(ctx context.Context) (string, error) {
	if s.jwks != "" {
		return s.jwks, nil
	}
	if k := s.known.Load(); k != nil && s.now().Sub(k.fetched) < fresh {
		return k.url, nil
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, s.client), s.issuer)
	if err != nil {
		return "", fmt.Errorf("identity: metadata of %s: %w", s.issuer, err)
	}
	var m struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := provider.Claims(&m); err != nil {
		return "", fmt.Errorf("identity: metadata of %s: %w", s.issuer, err)
	}
	if m.JWKS == "" || own.Insecure(m.JWKS) != "" {
		return "", fmt.Errorf("identity: metadata of %s: jwks_uri %q is not usable", s.issuer, m.JWKS)
	}
	return m.JWKS, nil
}

func (s *keySet) get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("identity: keys of %s: %w", s.issuer, err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("identity: keys of %s: %w", s.issuer, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("identity: keys of %s: %s", s.issuer, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKS+1))
	if err != nil || len(body) > maxJWKS {
		return nil, fmt.Errorf("identity: keys of %s: cannot be read, or over 1 MiB: %w", s.issuer, err)
	}
	return body, nil
}

var (
	errNoKey = errors.New("the token's key is not its issuer's")
	// errSignature says no more, because whoever forges learns nothing then.
	errSignature = errors.New("the signature is not the issuer's")
)
