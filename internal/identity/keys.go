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
	refetch  = 10 * time.Second // at the soonest after the last attempt, however many unknown key ids come
	fresh    = 15 * time.Minute // then they are fetched again beside the traffic
	maxStale = 24 * time.Hour   // how long known keys outlive their issuer's silence
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
	flight singleflight.Group

	fetching atomic.Bool
}

// Pool keeps the keys of issuers over reloads, so that a changed configuration
// does not forget them while their issuer is silent. The zero Pool is empty.
type Pool struct {
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
	fetched time.Time
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
			_ = s.fetch(ctx) // the known ones serve on; the next attempt may do
		}()
	}
	return true
}

// due reports whether fetching may be tried now.
func (s *keySet) due() bool {
	last := s.tried.Load()
	return s.now().UnixNano()-last >= int64(refetch)
}

// worthwhile reports whether a fetch can bring something new: one is under way,
// may be begun, or nothing is known at all.
func (s *keySet) worthwhile() bool { return s.fetching.Load() || s.due() || s.current() == nil }

// fetchTime bounds one attempt to fetch keys.
const fetchTime = 5 * time.Second

// fetch gets the keys anew; those who ask at the same time share one attempt.
func (s *keySet) fetch(ctx context.Context) error {
	result := s.flight.DoChan("", func() (any, error) {
		if !s.due() { // somebody else's attempt has ended just now
			if s.current() == nil {
				return nil, fmt.Errorf("identity: keys of %s: could not be fetched a moment ago", s.issuer)
			}
			return nil, nil
		}
		s.fetching.Store(true)
		defer s.fetching.Store(false)
		s.tried.Store(s.now().UnixNano())
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
		defer cancel()
		k, err := s.load(ctx)
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
	k := &keys{fetched: s.now(), url: url}
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

// errSignature says no more, because whoever forges learns nothing then.
var errSignature = errors.New("the signature is not the issuer's")
