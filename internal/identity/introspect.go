package identity

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/sallyport/sallyport/guard"
	own "github.com/sallyport/sallyport/guard/identity"
)

const (
	maxOpaque    = 4 << 10  // bytes of a token
	maxAnswer    = 64 << 10 // bytes
	tolerated    = 5        // failures in a row, after which an issuer is left alone
	leftAlone    = 2 * time.Second
	inactiveTime = 10 * time.Second // how long a no is remembered, at most
)

// introspection asks an issuer about tokens that say nothing themselves (RFC
// 7662).
type introspection struct {
	settings own.Introspection
	secret   string
	client   *http.Client
	now      func() time.Time
	flight   singleflight.Group // by token: those who ask at the same time share one question
	places   *places

	failures atomic.Int64 // in a row
	until    atomic.Int64 // when the issuer may be asked again, in nanoseconds

	mu sync.Mutex // of the half-open state: one question at a time
}

func newIntrospection(s own.Introspection, secret string, client *http.Client, now func() time.Time) *introspection {
	return &introspection{settings: s, secret: secret, client: client, now: now, places: newPlaces()}
}

// opaque returns the issuer to ask about a token that is no JWT. Only the issuer
// whose prefix it has learns of it.
func (a *Authenticator) opaque(token string) *issuer {
	if len(token) > maxOpaque || !isToken(token) {
		return nil
	}
	for _, i := range a.issuers {
		if i.introspection != nil && strings.HasPrefix(token, i.settings.Introspection.Prefix) {
			return i
		}
	}
	return nil
}

// isToken checks the syntax of bearer tokens (RFC 6750, 2.1).
func isToken(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// inquire asks i about a token, outside of the process.
func (a *Authenticator) inquire(x *guard.Exchange, i *issuer, c credential) own.Answer {
	source := x.Source.Addr()
	return own.Answer{Pending: func(ctx context.Context) (own.Answer, error) {
		result := i.introspection.flight.DoChan(string(c.sum[:]), func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), i.settings.Introspection.Timeout)
			defer cancel()
			said, err := i.introspection.ask(ctx, c, source)
			if err != nil {
				return nil, fmt.Errorf("identity: introspection by %s: %w", i.settings.URL, err)
			}
			v := a.judge(i, said)
			if v.refusal == "" {
				i.introspection.places.vouched(c.sum)
			}
			a.cache.put(c.sum, v)
			return v, nil
		})
		select {
		case r := <-result:
			if r.Err != nil {
				return own.Answer{}, r.Err // not their fault: no challenge
			}
			v := r.Val.(*verified)
			if v.refusal != "" {
				return a.refuse(x, i, v.refusal), nil
			}
			return finish(ctx)(a.admit(x, v, c))
		case <-ctx.Done():
			return own.Answer{}, ctx.Err()
		}
	}}
}

// judge makes of an issuer's word what a token proved. A no is remembered, too.
func (a *Authenticator) judge(i *issuer, c claims) *verified {
	now, keep := a.now(), i.settings.Introspection.Cache
	v, err := a.vouched(i, c, now)
	if err != nil {
		return &verified{issuer: i, refusal: err.Error(), until: now.Add(min(keep, inactiveTime))}
	}
	if v.until = v.principal.Expires; v.until.After(now.Add(keep)) {
		v.until = now.Add(keep)
	}
	return v
}

func (a *Authenticator) vouched(i *issuer, c claims, now time.Time) (*verified, error) {
	if active, _ := c["active"].(bool); !active {
		return nil, errors.New("the issuer says that the token is not active")
	}
	if iss, has := c["iss"]; has && iss != i.settings.URL {
		return nil, errors.New("the issuer says that the token is another issuer's")
	}
	v := &verified{issuer: i, audiences: c.list("aud"), introspected: true}
	var err error
	if v.principal, err = c.principal(&i.settings); err != nil {
		return nil, err
	}
	if err := a.checkTimes(c, &v.principal, now); err != nil {
		return nil, err
	}
	v.certDigest, v.keyDigest, err = binding(c)
	return v, err
}

var errLeftAlone = errors.New("it failed again and again, and is left alone for a moment")

// ask asks the issuer, unless it fails all the time.
func (n *introspection) ask(ctx context.Context, about credential, source netip.Addr) (claims, error) {
	if n.failures.Load() >= tolerated {
		if n.now().UnixNano() < n.until.Load() || !n.mu.TryLock() {
			return nil, errLeftAlone
		}
		defer n.mu.Unlock()
	}
	leave := n.places.enter(about.sum, source)
	if leave == nil {
		return nil, errors.New("too many questions are under way")
	}
	defer leave()
	c, err := n.post(ctx, about.token)
	if err != nil {
		n.until.Store(n.now().Add(leftAlone).UnixNano())
		n.failures.Add(1)
		return nil, err
	}
	n.failures.Store(0)
	return c, nil
}

func (n *introspection) post(ctx context.Context, token string) (claims, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.settings.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	// Both are encoded before they are joined (RFC 6749, 2.3.1).
	pair := url.QueryEscape(n.settings.ClientID) + ":" + url.QueryEscape(n.secret)
	req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	resp, err := n.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New("it answers " + resp.Status)
	}
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, errors.New("its answer is no JSON")
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil || len(b) > maxAnswer {
		return nil, fmt.Errorf("its answer cannot be read, or is over 64 KiB: %w", err)
	}
	var c claims
	if err := (&jsonClaims{&c}).UnmarshalJSON(b); err != nil || c == nil {
		return nil, errors.New("its answer is no JSON object")
	}
	return c, nil
}
